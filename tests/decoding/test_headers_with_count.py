"""Headers of plugins' protocols that announce how many records follow."""

from __future__ import annotations

import struct

from appliance import headers_with_count
from appliance.decoding.messages.block import block_of
from tests.decoding.building import datagram


def test_headers_with_count_when_counts_are_true_low_high_or_cut_then_ends_and_faults() -> None:
    record = bytes(20)
    payloads = [
        struct.pack(">HH8x", 77, 2) + 2 * record,
        struct.pack(">HH8x", 77, 1) + 2 * record,
        struct.pack(">HH8x", 77, 9) + 2 * record + b"\0",
        struct.pack(">HH", 77, 1),
        b"",
    ]
    headers = headers_with_count(block_of([datagram(each) for each in payloads]), 12, 2, 20)
    assert headers.end.tolist() == [52, 32, 52, 0, 0]
    faults = sorted((fault.datagram, fault.reason) for fault in headers.faults)
    assert faults == [(2, "count_too_large"), (3, "header_cut"), (4, "header_cut")]
    assert headers.count.tolist()[:3] == [2, 1, 9]
