"""Paperflow, from a datagram to flows in the flow log."""

from __future__ import annotations

import struct
from pathlib import Path

import appliance_paperflow

from appliance import PluginHarness


def test_paperflow_when_a_datagram_comes_then_its_flows_are_kept(tmp_path: Path) -> None:
    records = struct.pack(">HHIHHI", 1024, 443, 1500, 53, 5353, 80)
    harness = PluginHarness(tmp_path, appliance_paperflow)
    harness.receive(struct.pack(">H", appliance_paperflow.PROTOCOL.version) + records)
    rows = harness.flows("source_transport_port", "destination_transport_port", "octet_delta_count")
    assert rows == [(1024, 443, 1500), (53, 5353, 80)]
