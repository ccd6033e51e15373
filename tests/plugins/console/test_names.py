"""The console where addresses have names: AS, countries, networks, and the DNS."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rrset
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.collector.running import RunningCollector
from tests.decoding.building import IPFIX, a_set, template
from tests.plugins.console.conftest import RunningSite, Watched, administrator
from tests.plugins.console.sites import wait_for_groups
from tests.plugins.names.test_names import write
from tests.plugins.names.test_reverse_names import DnsServer

pytestmark = pytest.mark.slow

INSIDE, OUTSIDE = "10.1.2.3", "192.0.2.1"
EVIL = "<img src=x onerror='alert(1)'> & Sons"
LONG = "a-very-long-name-of-a-host-that-somebody-has-chosen." * 4 + "example.com"
NETWORKS = [
    {
        "name": EVIL,
        "prefixes": ["10.1.0.0/16"],
        "site": "Vienna, Gürtel",
        "role": "servers",
    }
]
RECORD = {
    "autonomous_system_number": 3356,
    "autonomous_system_organization": f"Level 3 {EVIL}",
    "country": {"iso_code": "DE"},
}


def named(question: bytes) -> bytes:
    """Answer a long name to every question."""
    message = dns.message.from_wire(question)
    reply = dns.message.make_response(message)
    reply.answer.append(dns.rrset.from_text(message.question[0].name, 60, "IN", "PTR", f"{LONG}."))
    return reply.to_wire()


@pytest.fixture(scope="module")
def named_site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[RunningSite]:
    """An appliance that knows networks, AS, countries and a DNS server, and has flows."""
    folder, server = tmp_path_factory.mktemp("named"), DnsServer(named)
    database = write(folder / "addresses.mmdb", {"192.0.2.0/24": RECORD})
    settings = (
        f"networks: {json.dumps(NETWORKS)}\nnames:\n  as_database: {database}\n"
        f'  country_database: {database}\n  resolvers: ["{server.address}"]\n'
    )
    running = RunningCollector(folder, settings, command="run").start()
    try:
        site = RunningSite(running)
        site.choose_password()
        context = site.signed_in(browser)
        # The databases are read beside; flows from before have no AS.
        _send_until_named(running, context)
        wait_for_groups(context, "network", 1)
        context.close()
        yield site
    finally:
        running.stop()
        server.close()


def _send_until_named(running: RunningCollector, context: Any) -> None:
    records = b"".join(
        ip_address(a).packed + ip_address(b).packed + (1000).to_bytes(8)
        for a, b in ((INSIDE, OUTSIDE), (OUTSIDE, INSIDE))
    )
    sets = (
        IPFIX.templates(template(256, (8, 4), (12, 4), (1, 8))),
        a_set(256, records),
    )
    deadline = time.monotonic() + 60
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while time.monotonic() < deadline:
            message = IPFIX.message(*sets, seconds=int(time.time()))
            sock.sendto(message, ("127.0.0.1", running.port))
            answer = context.request.get("/api/v1/explore/top?by=country&last=1h")
            if any(row["country"] for row in answer.json()["rows"]):
                return
            time.sleep(0.5)
    raise AssertionError("no flow has a country")


@pytest.fixture
def named_console(
    browser: Any, named_site: RunningSite, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    """The page of its administrator."""
    yield from administrator(browser, named_site, request)


def test_host_when_inside_then_network_site_role_and_its_name(named_console: Watched) -> None:
    page = named_console.open_settled(f"hosts/{INSIDE}")
    names = page.locator("section[aria-label=Names]")
    expect(names).to_contain_text(LONG)
    for text in (EVIL, "Vienna, Gürtel", "servers"):
        expect(names).to_contain_text(text)
    expect(page.locator("main img")).to_have_count(0)
    expect(page.locator("section[aria-label='AS']")).to_contain_text("AS3356 Level 3")


def test_host_when_outside_then_as_country_and_that_the_dns_is_not_asked(
    named_console: Watched,
) -> None:
    page = named_console.open_settled(f"hosts/{OUTSIDE}")
    names = page.locator("section[aria-label=Names]")
    expect(names).to_contain_text("AS3356 Level 3")
    expect(names).to_contain_text("DE Germany")
    expect(names).to_contain_text("not asked for, as it is outside")
    names.locator("a", has_text="AS3356").click()
    expect(page).to_have_url(re.compile(r"filter=as(\+|%20)3356"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "place",
    [
        f"hosts/{INSIDE}",
        f"hosts/{OUTSIDE}",
        "hosts",
        "explore?by=source_network,destination_as&flows=1",
        "",
    ],
)
def test_page_when_addresses_have_names_then_accessible_and_fits_a_phone(
    named_console: Watched, place: str, scheme: str
) -> None:
    named_console.page.emulate_media(color_scheme=scheme)
    page = named_console.open_settled(place)
    violations = Axe().run(page).response["violations"]
    assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_explore_when_networks_are_configured_then_offered_and_filtered_by(
    named_console: Watched,
) -> None:
    page = named_console.open_settled("explore?by=source_network")
    dimensions = page.get_by_label("Dimension 1").locator("option")
    expect(dimensions.filter(has_text="Site, source")).to_have_count(1)
    expect(dimensions.filter(has_text="Country, either side")).to_have_count(1)
    page.locator("main table").get_by_text(EVIL).first.click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("network")


def test_start_when_all_is_configured_then_no_hint(named_console: Watched) -> None:
    page = named_console.open_settled("start")
    expect(page.locator("section[aria-label='Names for addresses']")).to_have_count(0)
