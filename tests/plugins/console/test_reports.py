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
