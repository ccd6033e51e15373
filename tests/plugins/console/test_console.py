"""The console in a real browser, on real flows."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from appliance.contracts import ExportedCounters
from appliance.counter_history import FILE as COUNTERS_FILE
from appliance.counter_history import CounterHistory
from appliance.interface_history import FILE, DeviceReading, InterfaceHistory, InterfaceReading
from tests.collector.test_exporter_health import CountingExporter
from tests.decoding.building import BASIC, V9, a_set, template
from tests.plugins.console.conftest import RunningSite, Watched

pytestmark = pytest.mark.slow

CAPTURES = Path(__file__).parents[2] / "data" / "captures"

PLACES = {
    "": "Overview",
    "explore?by=source,destination&flows=1": "Explore",
    "explore?by=ingress_interface,application&graph=sankey": "Explore",
    "hosts": "Hosts",
    "hosts/10.1.0.2": "10.1.0.2 - Hosts",
    "interfaces": "Interfaces",
    "interfaces/127.0.0.3/1": "127.0.0.3/1 - Interfaces",
    "exporters": "Exporters",
    "exporters/127.0.0.3": "127.0.0.3 - Exporters",
}


def test_visit_when_not_signed_in_then_sign_in_leads_back_to_the_page(visitor: Watched) -> None:
    page = visitor.open("exporters")
    page.fill("input[autocomplete=username]", visitor.site.name)
    page.fill("input[type=password]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Name or password is wrong")
    page.fill("input[type=password]", visitor.site.password)
    page.click("text=Sign in")
    page.wait_for_selector("text=127.0.0.3")
    assert page.url.endswith("/console/exporters")
    page.click("text=Sign out")
    page.wait_for_selector("input[autocomplete=username]")
    assert "127.0.0.3" not in page.inner_text("body")


def test_start_when_a_browser_asks_then_it_is_led_to_the_console(visitor: Watched) -> None:
    visitor.page.goto(visitor.site.url)
    assert visitor.page.url == f"{visitor.site.url}/console/"


@pytest.mark.parametrize("place", PLACES)
def test_page_when_opened_then_accessible_and_without_complaints(
    console: Watched, place: str
) -> None:
    page = console.open_settled(place)
    assert page.title().startswith(PLACES[place])
    assert not page.query_selector(".failure"), page.inner_text(".failure")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    page.set_viewport_size({"width": 360, "height": 740})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360, f"the page is {width} wide on a phone"


def test_overview_when_an_application_is_clicked_then_explore_shows_only_it(
    console: Watched,
) -> None:
    page = console.open_settled("")
    page.click(".panel[aria-label=Applications] tr:has-text('quic')")
    page.wait_for_selector("h1:has-text('Explore')", state="attached")
    assert page.input_value("[data-filter]") == 'app "quic"'


def test_explore_when_a_filter_is_wrong_then_its_place_is_shown(console: Watched) -> None:
    page = console.open_settled("explore")
    page.fill("[data-filter]", "dst port htp")
    page.keyboard.press("Enter")
    problem = page.wait_for_selector(".filter .problem")
    assert "did you mean http?" in problem.inner_text()
    assert page.inner_text(".filter .place mark") == "htp"
    console.complaints = [text for text in console.complaints if "400" not in text]


def test_explore_when_typing_then_values_of_the_data_are_offered(console: Watched) -> None:
    page = console.open_settled("explore")
    page.click("[data-filter]")
    page.keyboard.type("exporter 127.0.0.")
    page.wait_for_selector("[role=option]:has-text('127.0.0.4')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert re.fullmatch(r"exporter 127\.0\.0\.[234] ", page.input_value("[data-filter]"))


def test_explore_when_dragged_then_zoomed_and_back_returns(console: Watched) -> None:
    page = console.open_settled("explore?last=1h")
    box = page.query_selector(".u-over").bounding_box()
    y = box["y"] + 50
    page.mouse.move(box["x"] + 100, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, y, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("from=.*to="))
    page.go_back()
    page.wait_for_url(re.compile("last=1h"))


def test_view_when_saved_then_it_is_offered_and_leads_back(console: Watched) -> None:
    page = console.open_settled("explore?by=protocol")
    page.click("text=Save …")
    page.fill("dialog input", "Protocols of today")
    page.click("dialog button.primary")
    page.wait_for_selector("option:has-text('Protocols of today')", state="attached")
    page.goto(f"{console.site.url}/console/explore")
    page.wait_for_selector("option:has-text('Protocols of today')", state="attached")
    page.select_option(".views select", label="Protocols of today")
    page.wait_for_url(re.compile("by=protocol"))


def test_exporter_when_named_with_markup_then_it_is_text(console: Watched) -> None:
    page = console.open_settled("exporters/127.0.0.2")
    page.fill("input >> nth=0", "<img src=x onerror=alert(1)>")
    page.click("text=Save")
    page.wait_for_selector("h1:has-text('<img src=x')")
    assert not page.query_selector("main img")


def test_exporter_when_snmp_is_set_for_it_then_kept_without_its_secret(console: Watched) -> None:
    page = console.open_settled("exporters/127.0.0.3")
    panel = page.get_by_role("region", name="SNMP")
    panel.get_by_label("It is asked").select_option("own")
    panel.get_by_label("Version").select_option("3")
    panel.get_by_label("User").fill("flows")
    panel.get_by_label("Its password, authentication").fill("a-long-secret")
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_contain_text("from the next start of the collector on")
    expect(panel.get_by_label("Its password, authentication")).to_have_value("")
    assert "a-long-secret" not in page.content()
    panel.get_by_label("It is asked").select_option("settings")
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_contain_text("not asked")


def test_interface_when_named_then_called_so_and_counters_are_asked_for(console: Watched) -> None:
    page = console.open_settled("interfaces/127.0.0.4/2")
    expect(page.get_by_role("region", name="Beside its own counters")).to_contain_text(
        "snmp.community"
    )
    page.get_by_role("button", name="Name …").click()
    page.get_by_label("Name", exact=True).fill("<b>floor</b> 1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>floor</b> 1")


def test_interface_when_its_exporter_sends_counters_then_compared_with_them(
    console: Watched,
) -> None:
    exporter, now_ms = "127.0.0.3", int(time.time() * 1000)
    CounterHistory(console.site.running.data / COUNTERS_FILE).record(
        [
            ExportedCounters(
                *(exporter, 1, 0, 105, now_ms - before, 10**9 - before, 10**9),
                is_up=True,
                in_octets=10**12 - 1000 * before,
                out_octets=10**12 - 500 * before,
            )
            for before in range(0, 2 * 3_600_000, 300_000)
        ]
    )
    page = console.open_settled(f"interfaces/{exporter}/1?last=1h")
    panel = page.get_by_role("region", name="Beside its own counters")
    expect(panel).to_contain_text("that the interface counts, by sFlow")
    expect(panel).to_contain_text("up")
    expect(panel).to_contain_text("1.00\u202fGbit/s")
    page = console.open_settled(f"exporters/{exporter}")
    panel = page.get_by_role("region", name="SNMP")
    expect(panel).to_contain_text("by sFlow it sends counters of an interface itself")


def test_interfaces_when_a_speed_is_known_then_how_full_each_is(console: Watched) -> None:
    name, speed = "GigabitEthernet0/0/1", 100_000_000
    interface = InterfaceReading(2, name, "", speed, None, None)
    device = DeviceReading("127.0.0.4", int(time.time() * 1000), 1000, "", "", [interface])
    InterfaceHistory(console.site.running.data / FILE).record([device])
    page = console.open_settled("interfaces")
    rows = page.locator("tbody tr")
    known = rows.filter(has_text="127.0.0.4").filter(has_text="100\u202fMbit/s")
    expect(known).to_have_count(1)
    expect(known).to_contain_text("%")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_capture_when_dropped_then_explained_and_its_trouble_alone(console: Watched) -> None:
    page = console.open_settled("exporters")
    explained = page.get_by_role("region", name="Datagrams explained")
    page.set_input_files("input[type=file]", CAPTURES / "mixed_constructed_unknown-versions.pcap")
    expect(explained).to_contain_text("datagram 1: ")
    expect(explained).to_contain_text("sourceIPv4Address")
    page.get_by_role("button", name="Only trouble").click()
    expect(explained).to_contain_text("refused: no decoder takes version 8")
    expect(explained).not_to_contain_text("sourceIPv4Address")


def test_capture_when_it_is_none_then_one_sentence(console: Watched) -> None:
    page = console.open_settled("exporters")
    page.set_input_files("input[type=file]", CAPTURES / "README.md")
    expect(page.get_by_role("alert")).to_contain_text("README.md: The capture: ")
    (complaint,) = console.complaints
    assert "status of 400" in complaint
    console.complaints.clear()


def test_user_when_added_then_may_look_and_not_change(console: Watched, browser: Any) -> None:
    page = console.open_settled("users")
    page.click("text=Add a user")
    page.fill("dialog input >> nth=0", "reader")
    page.fill("dialog input[type=password]", "Th!s1s@paSw0RD")
    page.click("dialog button.primary")
    page.wait_for_selector("td:has-text('reader')")
    context = browser.new_context()
    other = Watched(context.new_page(), console.site)
    there = other.open("")
    there.fill("input[autocomplete=username]", "reader")
    there.fill("input[type=password]", "Th!s1s@paSw0RD")
    there.click("text=Sign in")
    there.wait_for_selector("nav a:has-text('Explore')")
    assert not there.query_selector("nav a:has-text('Users')")
    context.close()


def test_keys_when_pressed_then_pages_and_filter(console: Watched) -> None:
    page = console.open_settled("")
    page.keyboard.press("g")
    page.keyboard.press("x")
    page.wait_for_url(re.compile("/console/exporters"))
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_selector("[data-filter]")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.dataset.filter") is not None


def test_session_when_it_ends_then_what_was_typed_stays(console: Watched) -> None:
    page = console.open_settled("explore")
    page.fill("[data-filter]", "proto udp and")
    page.context.clear_cookies()
    page.click("[aria-label='Ask again now']")
    page.fill("dialog input[type=password]", console.site.password)
    page.click("dialog button.primary")
    page.wait_for_selector("dialog", state="detached")
    assert page.input_value("[data-filter]") == "proto udp and"


def test_server_when_away_then_said_and_recovered(console: Watched) -> None:
    page = console.open_settled("exporters")
    page.route("**/api/**", lambda route: route.abort())
    page.wait_for_selector("text=The appliance does not answer", timeout=15_000)
    page.unroute("**/api/**")
    page.wait_for_selector("text=The appliance does not answer", state="detached", timeout=15_000)
    console.complaints = [text for text in console.complaints if "ERR_FAILED" not in text]


def test_exporter_when_it_is_in_trouble_then_the_page_says_what_and_what_to_do(
    console: Watched, site: RunningSite
) -> None:
    exporter = CountingExporter(V9)
    sent = [exporter.totals(), *(exporter.flows(20) for _ in range(9)), exporter.totals()]
    del sent[4:6]
    unknown = V9.templates(template(302, *BASIC, (3000, 2)))
    sent.append(V9.message(a_set(301, bytes(200)), unknown, sequence=exporter.sequence))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.77", 0))
        sender.sendto(sent[0], site.running.target)
        wait_for_total(console.page, 0)
        for message in sent[1:]:
            sender.sendto(message, site.running.target)
    wait_for_total(console.page, 180)
    page = console.open_settled("exporters/127.0.0.77")
    text = " ".join(page.inner_text("main").split())
    for words in (
        "2 of 12 messages",
        "1 missing",
        "template (301)",
        "this machine dropped nothing",
        "v9field3000",
        "it sent 180 flow records",
        "flow records 0 180 140 40",
        "Use NTP on both",
    ):
        assert words in text, (words, text)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_explore_when_each_flow_counts_once_then_the_answer_says_so(console: Watched) -> None:
    page = console.open_settled("explore?by=exporter")
    page.select_option("label:has-text('Count flows') select", label="each flow once")
    page.wait_for_url(re.compile("dedupe=nearest"))
    page.wait_for_selector(".provenance:has-text('each flow once: of the same addresses')")


def wait_for_total(page: Any, records: int) -> None:
    """Wait until the figures say that an exporter told so many flow records."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = page.context.request.get("/api/v1/exporters/127.0.0.77/health")
        if answer.ok and answer.json()["totals"][0]["flow_records"]["sent"] == records:
            return
    raise AssertionError(answer.text())
