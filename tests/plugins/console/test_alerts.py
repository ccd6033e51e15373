"""The page Alerts: a rule is made in the browser, and its alert comes, is seen and goes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.plugins.console.conftest import Watched

pytestmark = pytest.mark.slow

EVIL = "<img src=x onerror=alert(1)>"


def test_rule_when_made_in_the_browser_then_its_alert_comes_and_is_seen(console: Watched) -> None:
    page = console.open_settled("alerts")
    page.get_by_role("button", name="Add a rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill(EVIL)
    dialog.locator("[data-filter]").fill("prot tcp")
    dialog.get_by_label("Limit", exact=True).fill("1")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("did you mean proto?")
    console.complaints = [text for text in console.complaints if "400" not in text]
    dialog.locator("[data-filter]").fill("proto tcp")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("region", name="Rules")).to_contain_text(EVIL)
    row = page.locator("section[aria-label='Open now'] tbody tr").filter(has_text=EVIL)
    expect(row).to_have_count(1, timeout=30_000)
    row.click()
    expect(dialog).to_contain_text("Largest flows at its beginning")
    dialog.get_by_label("Comment").fill("it is the <b>demo</b>")
    dialog.get_by_role("button", name="I have seen it").click()
    expect(row).to_contain_text(console.site.name)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page).response["violations"]
        assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
    page.get_by_role("switch", name=f"{EVIL} is on").click()
    expect(row).to_have_count(0, timeout=30_000)
    page.get_by_role("checkbox", name="those that are over, too").check()
    expect(page.get_by_role("region", name="The newest")).to_contain_text(EVIL)
    assert not page.query_selector("main img")


def test_rule_when_tried_on_the_past_then_how_often_and_deleted_by_name(console: Watched) -> None:
    page = console.open_settled("alerts")
    page.get_by_role("button", name="Try one source, a gigabit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It would have said nothing in this range")
    dialog.get_by_role("button", name="Close").click()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Edit SYN flood").click()
    expect(dialog.get_by_label("Limit", exact=True)).to_have_value("2000")
    assert dialog.evaluate("(one) => one.scrollWidth <= one.clientWidth")
