"""Exporters that share an address, or restart from another port; quirks 7 and 33."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from appliance.collector.saved_state import load_states, save_states
from appliance.collector.sessions import SILENCE_MS, TWIN_SILENCE_MS
from appliance.decoding.messages.block import Datagram
from appliance.decoding.results import DecodeOptions, ExporterTrust
from appliance.flows import address_halves
from appliance.settings.core import CORE_SETTINGS
from appliance.traffic.captures import CaptureReader
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    IPFIX,
    RECEIVED_MS,
    V9,
    Decoded,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    number,
    template,
    v4,
)
from tests.decoding.protocols import both, in_both_modes, one_option

CAPTURES = Path(__file__).parents[1] / "data" / "sessions"
LATER = RECEIVED_MS + SILENCE_MS


def captured(name: str) -> list[Datagram]:
    return [c.datagram for c in CaptureReader(CAPTURES / name)]


def announcement(protocol: Exporter, port: int = 2000, received_ms: int = RECEIVED_MS) -> Datagram:
    """Announce `BASIC` as 300, and a sampling of 1 in 50."""
    told = one_option(protocol, (34, number(50, 4)))
    payload = protocol.message(protocol.templates(template(300, *BASIC)), told)
    return datagram(payload, port=port, received_ms=received_ms)


def data(
    protocol: Exporter, port: int = 2001, received_ms: int = LATER, sequence: int = 0
) -> Datagram:
    payload = protocol.message(a_set(300, basic(octets=70)), sequence=sequence)
    return datagram(payload, port=port, received_ms=received_ms)


@in_both_modes
def test_quirk_33_sampling_when_two_exporters_share_an_address_then_each_has_its_own(
    one_by_one: bool,
) -> None:
    found = decode(*captured("v9_nat_sampling.pcap"), one_by_one=one_by_one)
    rates = {row["source_address"]: row["sampling_rate"] for row in found.rows}
    assert rates == {"10.7.0.1": 100, "10.7.1.1": 1000}


@in_both_modes
def test_quirk_07_data_when_before_their_own_template_then_no_live_neighbour_lends_its_own(
    one_by_one: bool,
) -> None:
    found = decode(*captured("v9_nat_two.pcap"), one_by_one=one_by_one)
    rows = sorted(
        (row["source_address"], row["packet_delta_count"], row["octet_delta_count"])
        for row in found.rows
    )
    assert rows == [("10.6.0.1", 1, 100)] * 2 + [("172.31.0.1", 3, 1500)] * 2
    assert found.counts["sets_late"] == 1
    assert not found.counts["sets_borrowed"]


@both
def test_quirk_07_exporter_when_it_restarts_from_a_new_port_then_its_silent_session_lends(
    protocol: Exporter,
) -> None:
    found = decode(announcement(protocol), data(protocol, received_ms=LATER - 1), one_by_one=True)
    assert not found.rows
    found = decode(data(protocol, sequence=1), states=found.states)
    # What had waited is decoded with it, and the old session's sampling holds.
    assert found.column("octet_delta_count") == [70, 70]
    assert found.column("sampling_rate") == [50, 50]
    assert found.counts["sets_borrowed"] == 2


@both
@pytest.mark.parametrize(
    ("layout", "silent_ms", "lent"),
    [
        ((1, 4), TWIN_SILENCE_MS, True),
        ((1, 4), TWIN_SILENCE_MS - 1, False),
        ((1, 8), TWIN_SILENCE_MS, False),  # another layout: a neighbour
    ],
)
def test_quirk_07_exporter_when_it_repeats_its_templates_from_a_new_port_then_soon_lent_the_rest(
    protocol: Exporter, layout: tuple[int, int], silent_ms: int, lent: bool
) -> None:
    # Cisco XR: the options templates come at once, those of flows half an hour later.
    first = template(301, (8, 4), (1, 4))
    announced = protocol.message(protocol.templates(first, template(300, *BASIC)))
    again = protocol.message(protocol.templates(template(301, (8, 4), layout)))
    at_ms = RECEIVED_MS + silent_ms
    found = decode(
        datagram(announced),
        datagram(again, port=2001, received_ms=RECEIVED_MS + 1),
        data(protocol, received_ms=at_ms, sequence=0 if protocol is IPFIX else 1),
        one_by_one=True,
    )
    assert len(found.rows) == lent


@both
def test_quirk_07_session_when_it_told_its_own_then_nothing_is_lent(protocol: Exporter) -> None:
    found = decode(announcement(protocol), one_by_one=True)
    own = protocol.message(
        protocol.templates(template(300, (8, 4), (1, 4))),
        one_option(protocol, (34, number(7, 4))),
        a_set(300, bytes(4) + number(3, 4)),
    )
    found = decode(datagram(own, port=2001, received_ms=LATER), states=found.states)
    assert found.row["octet_delta_count"] == 3
    assert found.row["sampling_rate"] == 7


@both
def test_quirk_07_exporter_when_a_neighbour_sends_beside_it_then_never_lent(
    protocol: Exporter,
) -> None:
    quiet = [announcement(protocol), data(protocol, received_ms=RECEIVED_MS + 1)]
    spoke = data(protocol, port=2000, received_ms=RECEIVED_MS + 2, sequence=1)
    late = data(protocol, received_ms=LATER + 10**6, sequence=1)
    found = decode(*quiet, spoke, late, one_by_one=True)
    assert len(found.rows) == 1
    assert not found.counts["sets_borrowed"]


@both
@pytest.mark.parametrize("silent_ms", [SILENCE_MS - 1, SILENCE_MS])
def test_quirk_07_session_when_the_collector_restarts_then_its_silence_counts_from_there(
    protocol: Exporter, silent_ms: int, tmp_path: Path
) -> None:
    save_states(decode(announcement(protocol)).states, tmp_path / "states.json")
    states = Decoded().states
    assert load_states(states, tmp_path / "states.json", LATER) == 0
    found = decode(data(protocol, received_ms=LATER + silent_ms), states=states)
    assert len(found.rows) == (silent_ms == SILENCE_MS)


def relayed(protocol: Exporter, address: bytes, octets: bytes = b"", domain: int = 0) -> bytes:
    """Return a message in which a relay names an exporter in its options, before one flow."""
    element = 131 if len(address) == 16 else 130
    layout = (*BASIC, *(((130, 4),) if octets else ()))
    told = one_option(protocol, (element, address)) if address else b""
    flow = protocol.templates(template(300, *layout)) + a_set(300, basic() + octets)
    return protocol.message(told, flow, domain=domain)


@both
@pytest.mark.parametrize(
    ("address", "trust", "expected"),
    [
        ("198.51.100.7", "options", "198.51.100.7"),
        ("2001:db8::7", "options", "2001:db8::7"),
        ("198.51.100.7", "records", "198.51.100.7"),
        ("198.51.100.7", "off", EXPORTER),
        ("0.0.0.0", "options", EXPORTER),
    ],
)
def test_exporter_when_a_relay_names_it_in_options_then_as_the_setting_trusts(
    protocol: Exporter, address: str, trust: str, expected: str
) -> None:
    options = DecodeOptions(trust_exporter_address=ExporterTrust(trust))
    packed = ipaddress.ip_address(address).packed
    found = decode(relayed(protocol, packed), relayed(protocol, b"", domain=1), options=options)
    # What was named holds for its observation domain alone.
    assert found.column("exporter_address") == [expected, EXPORTER]
    assert found.options[0]["exporter_address"] == expected
    assert list(found.states.exporters) == [address_halves(EXPORTER)]


@both
def test_exporter_when_a_record_names_it_then_before_what_options_named(
    protocol: Exporter,
) -> None:
    options = DecodeOptions(trust_exporter_address=ExporterTrust.RECORDS)
    for octets, expected in ((v4("198.51.100.9"), "198.51.100.9"), (bytes(4), "198.51.100.7")):
        found = decode(relayed(protocol, v4("198.51.100.7"), octets), options=options)
        assert found.row["exporter_address"] == expected


@pytest.mark.parametrize(
    ("trust", "expected"),
    [("options", ["172.18.0.1"] * 2), ("records", ["198.51.100.1", "198.51.100.2"])],
)
def test_exporter_when_a_captured_relay_names_it_in_records_then_as_the_setting_trusts(
    trust: str, expected: list[str]
) -> None:
    options = DecodeOptions(trust_exporter_address=ExporterTrust(trust))
    found = decode(*captured("ipfix_exporter130.pcap"), options=options)
    assert found.column("exporter_address") == expected


@both
def test_exporter_when_the_collector_restarts_then_what_the_relay_named_still_holds(
    protocol: Exporter, tmp_path: Path
) -> None:
    first = decode(relayed(protocol, ipaddress.ip_address("2001:db8::7").packed))
    save_states(first.states, tmp_path / "states.json")
    states = Decoded().states
    assert load_states(states, tmp_path / "states.json", RECEIVED_MS) == 0
    found = decode(protocol.message(a_set(300, basic()), sequence=1), states=states)
    assert found.row["exporter_address"] == "2001:db8::7"


def test_setting_when_it_trusts_then_decoders_know_each_of_its_values() -> None:
    (setting,) = (s for s in CORE_SETTINGS if s.name == "collector.trust_exporter_address")
    assert sorted(ExporterTrust) == sorted(setting.type.words)


def test_interface_names_when_two_exporters_share_an_address_then_each_keeps_its_own() -> None:
    sent = [
        datagram(V9.message(one_option(V9, (10, number(1, 4)), (82, name))), port=port)
        for port, name in ((2000, b"eth0"), (2001, b"wan0"))
    ]
    sessions = decode(*sent).exporter().sessions
    assert {port: session.names for port, session in sessions.items()} == {
        2000: {("interface", 1): ("eth0", "")},
        2001: {("interface", 1): ("wan0", "")},
    }
