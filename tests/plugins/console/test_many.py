"""The console of a large network: 250 exporters with 5,000 interfaces."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.collector.running import RunningCollector
from tests.decoding.building import IPFIX, VARIABLE, a_set, template, v4, variable
from tests.plugins.console.conftest import RunningSite, Watched, administrator
from tests.plugins.console.sites import wait_for_groups

pytestmark = pytest.mark.slow

EXPORTERS, INTERFACES = 250, 20
FIRST_EXPORTER = ipaddress.IPv4Address("127.0.1.1")
FLOWS, NAMES = 256, 257
_TEMPLATES = (
    IPFIX.templates(template(FLOWS, (8, 4), (12, 4), (10, 4), (14, 4), (1, 8), (2, 8))),
    IPFIX.options_templates(IPFIX.options(NAMES, [(10, 4)], [(82, VARIABLE), (83, VARIABLE)])),
)
LONG, RIGHT_TO_LEFT = "uplink-" + "x" * 193, "ממשק ראשי"


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[RunningSite]:
    """An appliance that each exporter has sent its names and one flow an interface to."""
    running = RunningCollector(tmp_path_factory.mktemp("large"), command="run").start()
    try:
        site = RunningSite(running)
        site.choose_password()
        for number in range(EXPORTERS):
            _send(number, running)
        context = site.signed_in(browser)
        wait_for_groups(context, "ingress_interface", EXPORTERS * INTERFACES)
        context.close()
        yield site
    finally:
        running.stop()


@pytest.fixture
def large(
    browser: Any, large_site: RunningSite, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    """The page of its administrator."""
    yield from administrator(browser, large_site, request)


def _send(number: int, running: RunningCollector) -> None:
    names, flows = b"", b""
    for interface in range(1, INTERFACES + 1):
        name, description = _name(number, interface), f"customer {number * 100 + interface}"
        names += struct.pack(">I", interface)
        names += variable(name.encode()) + variable(description.encode())
        octets = (number * INTERFACES + interface) * 1000
        ends = (interface, interface % INTERFACES + 1, octets, 10)
        flows += v4("10.0.0.1") + v4("10.0.0.2") + struct.pack(">IIQQ", *ends)
    sets = (*_TEMPLATES, a_set(NAMES, names), a_set(FLOWS, flows))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((str(FIRST_EXPORTER + number), 0))
        message = IPFIX.message(*sets, seconds=int(time.time()))
        sock.sendto(message, ("127.0.0.1", running.port))


def _name(number: int, interface: int) -> str:
    odd = {(0, 1): LONG, (0, 2): RIGHT_TO_LEFT}
    return odd.get((number, interface), f"xe-{number}/0/{interface}")


def test_interfaces_when_there_are_thousands_then_each_is_found_and_the_page_stays_short(
    large: Watched,
) -> None:
    page = large.open_settled("interfaces")
    rows = page.get_by_role("table", name="Interfaces").locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(page.get_by_text("1\u2013100 of 5\u202f000")).to_be_visible()
    expect(rows.first).to_contain_text("xe-249/0/20")
    page.get_by_role("button", name="Last", exact=True).click()
    expect(page.get_by_text("4\u202f901\u20135\u202f000 of 5\u202f000")).to_be_visible()
    page.get_by_label("Search interfaces").fill("customer 4207")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("xe-42/0/7")
    rows.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("xe-42/0/7")


def test_interfaces_when_sorted_by_name_then_over_all_pages(large: Watched) -> None:
    page = large.open_settled("interfaces")
    rows = page.get_by_role("table", name="Interfaces").locator("tbody tr")
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_text("101\u2013200 of 5\u202f000")).to_be_visible()
    page.get_by_role("table").get_by_role("button", name="interface").click()
    expect(rows.first).to_contain_text(LONG)
    page.get_by_role("table").get_by_role("button", name="interface").click()
    expect(rows.first).to_contain_text(RIGHT_TO_LEFT)


def test_exporters_when_there_are_hundreds_then_each_is_found(large: Watched) -> None:
    page = large.open_settled("exporters")
    rows = page.get_by_role("table", name="Exporters").locator("tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_text("101\u2013200 of 250")).to_be_visible()
    page.get_by_label("Search exporters").fill("127.0.1.207")
    expect(rows).to_have_count(1)
    expect(page.get_by_text("1 of 250")).to_be_visible()
    page.get_by_label("Search exporters").fill("")
    page.get_by_role("button", name="waiting").click()
    expect(rows).to_have_count(100)


@pytest.mark.parametrize("place", ["", "interfaces", "exporters", "start", "collector"])
def test_page_when_the_network_is_large_then_it_fits_a_phone(large: Watched, place: str) -> None:
    page = large.open_settled(place)
    expect(page.locator(".failure")).to_have_count(0)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
