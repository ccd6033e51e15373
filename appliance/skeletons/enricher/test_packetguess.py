"""The column, from a datagram to flows in the flow log."""

from __future__ import annotations

import struct
from pathlib import Path

import appliance_packetguess

from appliance import PluginHarness, ipfix_message


def test_packetguess_when_a_flow_has_no_packets_then_they_are_filled_in(tmp_path: Path) -> None:
    settings = {"packetguess": {"packet_octets": "100"}}
    harness = PluginHarness(tmp_path, appliance_packetguess, settings)
    # IANA's number 1: octetDeltaCount.
    harness.receive(ipfix_message([(1, 4)], struct.pack(">II", 1500, 80)))
    rows = harness.flows("octet_delta_count", "packet_delta_count", "packet_guess")
    assert rows == [(1500, 15, 1), (80, 1, 1)]
    assert harness.top("packet_guess") == {1: 1580}
    assert harness.top("packet_guess", "octets > 100") == {1: 1500}


def test_packetguess_when_a_flow_has_packets_then_they_stay(tmp_path: Path) -> None:
    harness = PluginHarness(tmp_path, appliance_packetguess)
    harness.receive(ipfix_message([(1, 4), (2, 4)], struct.pack(">II", 1500, 2)))
    assert harness.flows("packet_delta_count", "packet_guess") == [(2, None)]
