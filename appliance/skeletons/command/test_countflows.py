"""The command, from a datagram to what it prints."""

from __future__ import annotations

import struct
from pathlib import Path

import appliance_countflows

from appliance import PluginHarness, ipfix_message


def test_countflows_when_flows_came_then_their_number_is_printed(tmp_path: Path) -> None:
    harness = PluginHarness(tmp_path, appliance_countflows)
    # IANA's number 1: octetDeltaCount.
    harness.receive(ipfix_message([(1, 4)], struct.pack(">II", 1500, 80)))
    assert harness.run("countflows") == "2 flows\n"
