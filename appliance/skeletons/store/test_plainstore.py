"""The store, from a datagram to its sums."""

from __future__ import annotations

import struct
from pathlib import Path

import appliance_plainstore

from appliance import Measure, PluginHarness, Selection, ipfix_message


def test_plainstore_when_flows_come_then_they_are_summed_once(tmp_path: Path) -> None:
    settings = {"flows": {"database": "plainstore:sums.json"}}
    harness = PluginHarness(tmp_path, appliance_plainstore, settings)
    # IANA's numbers: octetDeltaCount, packetDeltaCount.
    harness.receive(ipfix_message([(1, 4), (2, 4)], struct.pack(">IIII", 1500, 2, 80, 1)))
    for _ in range(2):
        assert harness.filled_store().totals(Selection()) == Measure(1580, 3, 2)
