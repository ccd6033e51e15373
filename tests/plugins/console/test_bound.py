"""The console of a user who is bound to a filter, and the page where an administrator binds one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.plugins.console.conftest import RunningSite, Watched
from tests.plugins.console.sites import WIDE, basic

NAME, PASSWORD = "customer17", "th!s1s@paSw0RD"
FILTER = "ip 10.0.0.0/8 and not ip 10.255.255.255"
PAGES = ("", "explore?flows=1&by=application", "hosts", "interfaces", "reports", "account")
CLOSED = ("exporters", "start", "about", "users", "device", "collector", "alerts")


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
    assert {"", "explore", "hosts", "interfaces", "reports"} <= links
    assert not links & set(CLOSED)
    for place in PAGES:
        shown = customer.open_settled(place)
        expect(shown.locator(".failure")).to_have_count(0)


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
