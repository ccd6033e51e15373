"""Rows that a sample keeps: constants, absent columns, nulls, texts and octets."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.flowlog.samples import kept
from appliance.flowlog.samples.kept import KeptRows
from appliance.flowlog.schema import Rows, arrow_type
from appliance.flows import COLUMN, octets_column
from appliance.native import library

OCTETS = octets_column(0, 33)
VALUES: dict[str, Any] = {
    "octet_delta_count": st.integers(0, 2**64 - 1),
    "flow_start_milliseconds": st.integers(-(2**63), 2**63 - 1),
    "sampling_rate": st.floats(allow_nan=False),
    "application_name": st.text(max_size=3),
    OCTETS: st.binary(max_size=3),
}


@st.composite
def some_rows(draw: st.DrawFn) -> tuple[Rows, np.ndarray[Any, Any]]:
    """Return rows and places in them."""
    rows = Rows(draw(st.integers(0, 6)))
    for name, values in VALUES.items():
        kind = draw(st.sampled_from(["absent", "constant", "whole", "with nulls"]))
        if kind == "constant" and name != OCTETS:
            rows.constants[name] = draw(values)
        elif kind in ("whole", "with nulls"):
            one = values if kind == "whole" else st.none() | values
            found = draw(st.lists(one, min_size=rows.n_rows, max_size=rows.n_rows))
            rows.arrays[name] = pa.array(found, arrow_type(name))
    places = draw(
        st.lists(st.integers(0, rows.n_rows - 1), unique=True) if rows.n_rows else st.just([])
    )
    return rows, np.array(sorted(places), np.int64)


@pytest.mark.parametrize("is_native", [False, True])
@given(pieces=st.lists(some_rows(), max_size=6), data=st.data())
def test_rows_when_put_to_slots_that_are_used_again_then_as_they_were(
    is_native: bool, pieces: list[tuple[Rows, np.ndarray[Any, Any]]], data: st.DataObject
) -> None:
    if is_native and not library.IS_AVAILABLE:
        pytest.skip("no C compiler was at hand")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept.library, "IS_AVAILABLE", is_native)
        rows, free = KeptRows(4), list(range(4))
        expected: dict[int, dict[str, Any]] = {}
        for piece, places in pieces:
            gone = data.draw(st.sets(st.sampled_from(sorted(expected)))) if expected else set()
            free += gone
            if len(free) < len(places):
                rows.grow(rows.capacity + 6)
                free += range(rows.capacity - 6, rows.capacity)
            slots, free = free[: len(places)], free[len(places) :]
            if len(places):
                rows.put(piece, places, np.array(slots, np.int64))
            expected = {slot: row for slot, row in expected.items() if slot not in gone}
            expected |= zip(slots, piece.take(places).table(list(VALUES)).to_pylist(), strict=True)
        taken = rows.take(np.array(sorted(expected), np.int64))
    whole = Rows(len(expected), taken)
    assert {name: array.type for name, array in taken.items()} == {
        name: arrow_type(name) for name in taken
    }
    found = whole.table(list(VALUES)).to_pylist()
    assert found == [expected[slot] for slot in sorted(expected)]


@pytest.mark.parametrize("is_native", [False, True])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("octet_delta_count", [0x1234, 0x1200, 0x9234, 0x7_1234, 0x1234, 1 << 40, 0, 2**64 - 1]),
        ("flow_start_milliseconds", [1 << 40, (1 << 40) + 7, (1 << 40) - 300, -1, 0]),
        ("sampling_rate", [1.0, 1.0, 512.0, -0.0, 1e300]),
        ("source_transport_port", [443, 442, 8080, 443]),
    ],
)
def test_rows_when_numbers_differ_more_and_more_then_all_as_they_were(
    name: str, values: list[float], is_native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_native and not library.IS_AVAILABLE:
        pytest.skip("no C compiler was at hand")
    monkeypatch.setattr(kept.library, "IS_AVAILABLE", is_native)
    rows, array = KeptRows(len(values)), pa.array(values, arrow_type(name))
    for slot in range(len(values)):
        rows.put(Rows(len(values), {name: array}), np.array([slot]), np.array([slot]))
    assert rows.take(np.arange(len(values)))[name] == array


def test_rows_when_a_file_has_another_type_then_the_same_numbers() -> None:
    rows = KeptRows(2)
    for slot, of_type in enumerate((pa.uint64(), pa.uint16())):
        piece = Rows(1, {"octet_delta_count": pa.array([513], of_type)})
        rows.put(piece, np.zeros(1, np.int64), np.array([slot]))
    assert rows.take(np.arange(2))["octet_delta_count"].to_pylist() == [513, 513]


def test_rows_when_a_column_is_of_a_plugin_that_is_gone_then_left_out() -> None:
    rows = KeptRows(2)
    numbers = pa.array([7], pa.uint32())
    piece = Rows(1, {"octet_delta_count": numbers, "gone": numbers}, {"gone_too": 3})
    rows.put(piece, np.zeros(1, np.int64), np.zeros(1, np.int64))
    taken = rows.take(np.zeros(1, np.int64))
    assert {name: array.to_pylist() for name, array in taken.items()} == {"octet_delta_count": [7]}


@pytest.mark.parametrize("is_native", [False, True])
def test_rows_when_they_are_of_one_hour_and_of_ipv4_then_few_octets_each(
    is_native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_native and not library.IS_AVAILABLE:
        pytest.skip("no C compiler was at hand")
    monkeypatch.setattr(kept.library, "IS_AVAILABLE", is_native)
    n, random = 50_000, np.random.default_rng(1)
    columns = {
        "flow_start_milliseconds": 1_700_000_000_000 + random.integers(0, 3_600_000, n),
        "source_address_lo": (0xFFFF << 32) + random.integers(0, 1 << 32, n),
        "source_address_hi": np.zeros(n),
        "octet_delta_count": random.integers(0, 1 << 32, n),
        "packet_delta_count": random.integers(0, 1 << 16, n),
        "sampling_rate": np.full(n, 512.0),
    }
    arrays = {name: pa.array(v.astype(COLUMN[name].dtype)) for name, v in columns.items()}
    arrays["vlan_id"] = pa.array([None] * (n - 1) + [3], pa.uint16())
    tracemalloc.start()
    try:
        rows = KeptRows(n)
        for start in range(0, n, 1000):
            places = np.arange(start, start + 1000)
            rows.put(Rows(n, arrays), places, places)
        octets = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # Three times four, two, and one for what is null.
    assert octets < 16 * n
    taken = rows.take(np.arange(n))
    assert taken == arrays
