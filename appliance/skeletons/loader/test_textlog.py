"""The loader, from a datagram to its file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import appliance_textlog

from appliance import PluginHarness, ipfix_message


def test_textlog_when_flows_come_then_each_is_written_once(tmp_path: Path) -> None:
    harness = PluginHarness(tmp_path, appliance_textlog)
    # IANA's numbers: sourceTransportPort, destinationTransportPort, octetDeltaCount.
    fields = [(7, 2), (11, 2), (1, 4)]
    harness.receive(ipfix_message(fields, struct.pack(">HHI", 1024, 443, 1500)))
    harness.load()
    harness.load()
    (line,) = (tmp_path / "flows.txt").read_text().splitlines()
    assert json.loads(line)["flows"] == ["192.0.2.1 1024 443 1500"]
