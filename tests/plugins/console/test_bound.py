"""The console of a user who is bound to a filter, and the page where an administrator binds one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.plugins.console.conftest import RunningSite, Watched
from tests.plugins.console.sites import WIDE, basic

NAME, PASSWORD = "customer17", "th!s1s@paSw0RD"
FILTER = "ip 10.0.0.0/8 and not ip 10.255.255.255"
PAGES = (
    "",
    "explore?flows=1&by=application",
    "hosts",
    "interfaces",
    "alerts",
    "reports",
    "account",
)
CLOSED = ("exporters", "start", "about", "users", "device", "collector")


@pytest.fixture
def customer(browser: Any, site: RunningSite, console: Watched) -> Iterator[Watched]:
    """Somebody who was bound on the page of users, signed in."""
    _bind(console)
    context = browser.new_context(viewport=WIDE, base_url=site.url)
    assert context.request.post(f"{site.url}/auth", headers=basic(NAME, PASSWORD)).ok
    watched = Watched(context.new_page(), site)
    yield watched
    context.close()
    # A route that is closed would be one: the pages do not ask for any.
    assert not watched.complaints
    _delete(console)


def _bind(console: Watched) -> None:
    page = console.open_settled("users")
    page.click("text=Add a user …")
    page.fill("dialog input[autocomplete=off]", NAME)
    page.fill("dialog input[type=password]", PASSWORD)
    page.fill("dialog [aria-label=Filter]", FILTER)
    page.focus("dialog input[autocomplete=off]")
    page.click("dialog button:text-is('Add')")
    expect(page.locator("table", has_text="limited to")).to_contain_text(FILTER)


def _delete(console: Watched) -> None:
    page = console.open_settled("users")
    page.click(f"[aria-label='Delete {NAME}']")
    page.click("dialog button:text-is('Delete')")
    expect(page.locator(f"[aria-label='Delete {NAME}']")).to_have_count(0)


def test_console_when_bound_then_shows_the_filter_and_no_page_that_is_closed(
    customer: Watched,
) -> None:
    page = customer.open_settled("")
    expect(page.locator("header .bound")).to_have_text(f"limited to: {FILTER}")
    links = {re.sub(r"^/console/", "", link.split("?")[0]) for link in _links(page)}
    assert {"", "explore", "hosts", "interfaces", "alerts", "reports"} <= links
    assert not links & set(CLOSED)
    for place in PAGES:
        shown = customer.open_settled(place)
        expect(shown.locator(".failure")).to_have_count(0)


@pytest.mark.slow
def test_rule_when_a_bound_user_makes_one_then_its_alert_is_seen_by_the_user_and_administrators(
    customer: Watched, console: Watched
) -> None:
    page = customer.open_settled("alerts")
    rules = page.get_by_role("region", name="Rules")
    expect(rules).to_contain_text("10 rules at most")
    expect(rules).to_contain_text("SYN flood")
    # Rules about exporters, and what the administrator made of them, are not this user's.
    expect(rules).not_to_contain_text("nothing received")
    page.get_by_role("button", name="Add a rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("busy host")
    dialog.get_by_label("Limit", exact=True).fill("1")
    assert "utilisation" not in dialog.get_by_label("Alert when").inner_html()
    assert "lost" not in dialog.get_by_label("Measure", exact=True).inner_html()
    dialog.get_by_role("button", name="Save").click()
    expect(rules).to_contain_text("busy host")
    row = page.locator("section[aria-label='Open now'] tbody tr")
    expect(row.first).to_contain_text("busy host", timeout=60_000)
    row.first.click()
    dialog.get_by_label("Comment").fill("ours")
    dialog.get_by_role("button", name="I have seen it").click()
    expect(row.first).to_contain_text(NAME)
    assert not Axe().run(page).response["violations"]
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    of_all = console.open_settled("alerts")
    expect(of_all.locator("main")).not_to_contain_text("busy host")
    of_all.get_by_label("Whose alerts").select_option(label=_option(of_all))
    expect(of_all.get_by_role("region", name="Rules")).to_contain_text("busy host")
    assert not Axe().run(of_all).response["violations"]


def _option(page: Any) -> str:
    """Return the choice of the user, which says how many alerts are open."""
    options = page.get_by_label("Whose alerts").locator("option", has_text=NAME)
    return str(options.first.inner_text())


def _links(page: Any) -> list[str]:
    return [link.get_attribute("href") or "" for link in page.query_selector_all("#links li a")]


def test_user_when_bound_to_nonsense_then_the_place_is_shown(
    customer: Watched, console: Watched
) -> None:
    page = console.open_settled("users")
    page.click(f"[aria-label='Edit {NAME}']")
    page.fill("dialog [aria-label=Filter]", "ip 10.0.0.0/8 andd port 80")
    page.focus("dialog input[autocomplete=off]")
    page.click("dialog button:text-is('Save')")
    expect(page.locator("dialog .filter .problem")).to_contain_text("column 15")
    console.complaints = [text for text in console.complaints if "status of 400" not in text]
    page.fill("dialog [aria-label=Filter]", "")
    page.focus("dialog input[autocomplete=off]")
    page.click("dialog button:text-is('Save')")
    expect(page.locator("table", has_text="limited to")).not_to_contain_text("10.0.0.0/8")
    shown = customer.open_settled("")
    expect(shown.locator("header .bound")).to_have_count(0)
