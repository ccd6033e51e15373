"""The route, from a datagram to its answer."""

from __future__ import annotations

import struct
from pathlib import Path

import appliance_biggest
import pytest

from appliance import PluginHarness, RequestError, ipfix_message


def test_biggest_when_flows_came_then_the_largest_port_is_first(tmp_path: Path) -> None:
    harness = PluginHarness(tmp_path, appliance_biggest)
    # IANA's numbers: protocolIdentifier, destinationTransportPort, octetDeltaCount.
    records = struct.pack(">BHI", 6, 443, 1500) + struct.pack(">BHI", 6, 25, 80)
    harness.receive(ipfix_message([(4, 1), (11, 2), (1, 4)], records))
    answer = appliance_biggest.biggest(harness.filled_store(), "1")
    assert answer["ports"] == [{"port": "tcp/443", "octets": 1500}]


def test_biggest_when_the_number_is_none_then_refused(tmp_path: Path) -> None:
    store = PluginHarness(tmp_path, appliance_biggest).filled_store()
    with pytest.raises(RequestError, match="from 1 to 100"):
        appliance_biggest.biggest(store, "0")
