"""The console of an appliance that nothing has sent to yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.collector.running import RunningCollector
from tests.plugins.console.conftest import RunningSite, Watched, administrator

pytestmark = pytest.mark.slow

PLACES = {
    "": "No exporter has sent anything yet",
    "explore": "No flows fit in this range",
    "explore?by=source,destination&graph=sankey&flows=1": "No flows fit in this range",
    "hosts": "Nothing in this range",
    "hosts/10.1.0.2": "This host has no flows in this range",
    "interfaces": "No exporter has sent anything yet",
    "interfaces/192.0.2.1/1": "Nothing went through it in this range",
    "exporters": "No exporter has sent anything yet",
    "exporters/192.0.2.1": "No exporter 192.0.2.1 is known here",
    "collector": "No exporter has sent anything yet",
    "start": "No datagram has arrived",
    "users": "No program has a token",
}
"""Pages, and what each says while there is nothing to show."""


@pytest.fixture(scope="module")
def fresh_site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[RunningSite]:
    """An appliance just started."""
    running = RunningCollector(tmp_path_factory.mktemp("fresh"), command="run").start()
    try:
        site = RunningSite(running)
        site.choose_password()
        yield site
    finally:
        running.stop()


@pytest.fixture
def fresh(
    browser: Any, fresh_site: RunningSite, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    """The page of its administrator."""
    yield from administrator(browser, fresh_site, request)


def test_start_when_nothing_names_addresses_then_it_says_how(fresh: Watched) -> None:
    page = fresh.open_settled("start")
    hints = page.locator("section[aria-label='Names for addresses']")
    for text in ("networks:", "names.as_database", "names.country_database"):
        expect(hints).to_contain_text(text)
    page = fresh.open_settled("hosts/10.1.0.2")
    names = page.locator("section[aria-label=Names]")
    expect(names).to_contain_text("Not configured: AS, countries, networks")


@pytest.mark.parametrize("place", PLACES)
def test_page_when_the_database_is_empty_then_it_says_what_to_do(
    fresh: Watched, place: str
) -> None:
    page = fresh.open_settled(place)
    expect(page.locator("main")).to_contain_text(PLACES[place])
    expect(page.locator(".failure")).to_have_count(0)
    expect(page.locator("main .chart canvas")).to_have_count(0)
    text = page.inner_text("main")
    # Figures of nothing.
    assert not re.search(r"NaN|Infinity|undefined|\bnull\b|Invalid Date|1970", text), text
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("place", ["", "explore", "hosts", "interfaces", "exporters"])
def test_page_when_no_exporter_ever_sent_then_it_leads_to_the_first_steps(
    fresh: Watched, place: str
) -> None:
    page = fresh.open_settled(place)
    page.get_by_role("main").get_by_role(
        "link", name="How to make a router send flows here"
    ).click()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
