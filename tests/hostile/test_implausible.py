"""Counters that nobody can have counted: in the log, in no sum, and no answer fails for them."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.collector.plausibility import LARGEST_COUNT, with_implausible_marked
from appliance.flows import FlowBatch, RecordKind
from appliance.plugins.rollups.grouping import LARGEST_SUM, add_sums
from tests.decoding.building import (
    EXPORT_MS,
    IPFIX,
    V9,
    Decoded,
    decode,
    number,
    v5,
    v5_record,
)
from tests.decoding.protocols import one_record

FASTEST = 100e9  # 12.5 MB in a millisecond


def kinds(found: Decoded) -> list[int]:
    return [row.get("record_kind", 0) for row in found.rows]


def batch(octets: int, duration_ms: int = 0, **columns: float) -> FlowBatch:
    values = {
        "octet_delta_count": np.array([octets, 100], "u8"),
        "flow_start_milliseconds": np.array([EXPORT_MS - duration_ms, EXPORT_MS]),
        "flow_end_milliseconds": np.array([EXPORT_MS, EXPORT_MS]),
        **{name: np.array([value, 1]) for name, value in columns.items()},
    }
    return FlowBatch(2, values)


@pytest.mark.parametrize(
    ("octets", "duration_ms", "implausible"),
    [
        (12_500_000_000, 0, False),  # what the interface carries in a second
        (12_500_000_001, 0, True),
        (12_500_000_001, 1, False),
        (13_000_000_000_000, 1_000_000, True),
        (LARGEST_COUNT, 10**9, False),
        (LARGEST_COUNT + 1, 10**12, True),
        (2**64 - 1, 0, True),
    ],
)
def test_octets_when_more_than_an_interface_carries_then_implausible(
    octets: int, duration_ms: int, implausible: bool
) -> None:
    marked = with_implausible_marked(batch(octets, duration_ms), FASTEST)
    expected = RecordKind.IMPLAUSIBLE if implausible else RecordKind.FLOW
    assert marked.column("record_kind").tolist() == [expected, RecordKind.FLOW]
    assert marked.column("octet_delta_count").tolist() == [octets, 100]


def test_octets_when_sampled_then_what_was_seen_is_measured_up_to_a_limit() -> None:
    seen = batch(12_000_000_000, sampling_rate=1000.0)
    assert with_implausible_marked(seen, FASTEST) is seen
    scaled = batch(12_000_000_000, sampling_rate=100_000.0)
    kind = with_implausible_marked(scaled, FASTEST).column("record_kind")
    assert kind.tolist() == [RecordKind.IMPLAUSIBLE, RecordKind.FLOW]


def test_events_and_options_when_they_carry_large_numbers_then_stay_what_they_are() -> None:
    options = FlowBatch(1, {"octet_delta_count": np.array([2**64 - 1], "u8")}, options=True)
    assert with_implausible_marked(options, FASTEST) is options
    event = batch(2**64 - 1)
    event.columns["record_kind"] = np.full(2, RecordKind.EVENT, "u1")
    assert with_implausible_marked(event, FASTEST).column("record_kind").tolist() == [1, 1]


@pytest.mark.parametrize("protocol", [V9, IPFIX])
def test_record_when_it_claims_all_that_64_bits_hold_then_counted_by_exporter(protocol) -> None:
    record = one_record(protocol, (1, b"\xff" * 8), (2, number(1, 4)))
    found = decode(protocol.message(record))
    assert kinds(found) == [RecordKind.IMPLAUSIBLE]
    assert found.row["octet_delta_count"] == 2**64 - 1
    assert found.counts["records_implausible"] == 1
    assert found.exporter().counts["implausible"] == 1


def test_record_of_v5_when_all_ones_then_plausible_for_it_has_but_32_bits() -> None:
    assert kinds(decode(v5(v5_record(octets=2**32 - 1, packets=2**32 - 1)))) == [0]


def test_sums_when_added_beyond_64_bits_then_the_largest() -> None:
    rows = [[LARGEST_SUM, 5, 2**40]] * 20
    assert add_sums(np.array(rows)).tolist() == [LARGEST_SUM, 100, 20 * 2**40]
    assert add_sums(np.zeros((0, 3), np.int64)).tolist() == [0, 0, 0]
