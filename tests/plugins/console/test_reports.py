"""The page Reports: of a day that goes on, with what would be billed."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.plugins.console.conftest import Watched

pytestmark = pytest.mark.slow


def test_report_when_opened_in_the_browser_then_totals_and_what_is_billed(console: Watched) -> None:
    page = console.open_settled("reports")
    page.get_by_label("A day in it").fill(f"{datetime.now():%Y-%m-%d}")
    totals = page.get_by_role("table", name="Totals")
    expect(totals).to_contain_text("octets", timeout=20_000)
    expect(page.get_by_role("region", name="Largest by source")).to_be_visible()
    billed = page.get_by_role("region", name="95th percentile")
    expect(billed.locator("tbody tr").first).to_contain_text("interface")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page).response["violations"]
        assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
    if folder := os.environ.get("REPORT_PICTURES"):
        page.screenshot(path=Path(folder) / "reports.png", full_page=True)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_report_when_the_page_refreshes_then_asked_again_only_by_its_button(
    console: Watched,
) -> None:
    page = console.open_settled("reports")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def n_reports() -> int:
        return sum("/api/v1/reports/daily" in url for url in asked)

    page.get_by_role("button", name="Ask again now").click()
    page.wait_for_timeout(1000)  # nothing else is asked on this page that could be waited for
    assert n_reports() == 0
    with page.expect_response("**/api/v1/reports/daily"):
        page.get_by_role("button", name="Ask again", exact=True).click()
    assert n_reports() == 1


def test_report_when_set_in_the_browser_then_listed_changed_and_deleted(console: Watched) -> None:
    page = console.open_settled("reports")
    page.get_by_role("button", name="Add a report").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("weekly <b> & more")
    dialog.get_by_label("By mail to").fill("noc@example.com, ops@example.org")
    dialog.get_by_label("traffic").uncheck()
    dialog.get_by_label("More lists").fill("source/24")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("xpected up to 60 letters")).to_be_visible()
    dialog.get_by_label("Name").fill("weekly (NOC)")
    violations = Axe().run(page).response["violations"]
    assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
    dialog.get_by_role("button", name="Save").click()
    table = page.get_by_role("table", name="Made regularly")
    expect(table).to_contain_text("by mail to noc@example.com, ops@example.org")
    console.complaints.clear()  # the browser says that the answer was 400
    report = page.request.get(f"{console.site.url}/api/v1/reports").json()["reports"][0]
    assert report["sections"][-1] == "source/24"
    assert "traffic" not in report["sections"]
    # It changes with the answer, not with the click.
    page.get_by_role("switch", name="weekly (NOC) is on").click()
    expect(table).to_contain_text("off")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Delete weekly (NOC)").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("None yet: one is made when")).to_be_visible()
