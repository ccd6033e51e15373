"""Masks over batches choose what SQL chooses of the same rows."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.flowlog.conditions import where_branches
from appliance.flowlog.schema import rows_from_batch
from appliance.flows import COLUMN, V4_MAPPED, FlowBatch
from appliance.query.language.duckdb import filter_conditions
from appliance.query.language.masks import filter_mask
from appliance.query.language.parsing import parse_filter
from appliance.query.language.tree import (
    Always,
    And,
    Filter,
    HasBits,
    HasText,
    InNetworks,
    InRanges,
    Not,
    Or,
)

NUMBERS = ("source_transport_port", "octet_delta_count", "packet_delta_count", "flow_direction")
TIMES = ("flow_start_milliseconds", "flow_end_milliseconds")
ADDRESSES = ("source_address", "destination_address")
TEXTS = ("interface_name",)
COLUMNS = (*NUMBERS, *TIMES, "tcp_control_bits", "sampling_rate", *TEXTS)

small = st.integers(0, 9)
bounds = st.one_of(st.none(), st.integers(-2, 12), st.sampled_from([255, 256, 2**64 - 1, 2**70]))
networks = st.one_of(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted).map(tuple),
    st.tuples(small, small).map(lambda ab: (V4_MAPPED + min(ab), V4_MAPPED + max(ab))),
    st.just((0, V4_MAPPED - 1)),
    st.just((1 << 64, (5 << 64) - 1)),
)


def any_bound(one: tuple[int | None, int | None]) -> bool:
    return one != (None, None)


def some(values: Any, least: int = 1) -> Any:
    return st.lists(values, min_size=least, max_size=3).map(tuple)


ranges = st.tuples(bounds, bounds).filter(any_bound)
comparisons = st.one_of(
    # Sides of a flow are numbers of one kind.
    *(
        st.builds(InRanges, some(st.sampled_from(kind)), some(ranges))
        for kind in (NUMBERS, TIMES, ("sampling_rate", "duration", "bps", "pps", "bpp"))
    ),
    st.builds(InNetworks, some(st.sampled_from(ADDRESSES)), some(networks)),
    st.builds(InNetworks, st.just(ADDRESSES[:1]), st.lists(networks, min_size=17).map(tuple)),
    st.builds(HasBits, st.just(("tcp_control_bits",)), some(st.integers(1, 255))),
    st.builds(HasText, st.just(TEXTS), some(st.sampled_from(["Gi0/1", "gi", "a"])), st.booleans()),
)
trees = st.recursive(
    st.one_of(st.just(Always()), comparisons),
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(And, some(inner)), st.builds(Or, some(inner))
    ),
    max_leaves=6,
)


@st.composite
def batches(draw: Any) -> FlowBatch:
    """Flows with small numbers, some columns constant, some not there."""
    n = draw(st.integers(1, 6))

    def column(name: str, values: Any) -> None:
        dtype = COLUMN[name].dtype
        match draw(st.sampled_from(["absent", "constant", "varying"])):
            case "constant":
                columns[name] = np.broadcast_to(np.array(draw(values), dtype), (n,))
            case "varying":
                columns[name] = np.array([draw(values) for _ in range(n)], dtype)

    columns: dict[str, Any] = {}
    for name in COLUMNS:
        column(name, st.sampled_from(["Gi0/1", "gi0/2", ""]) if name in TEXTS else small)
    for name in ADDRESSES:
        column(f"{name}_lo", st.one_of(small, small.map(lambda one: V4_MAPPED + one)))
        column(f"{name}_hi", st.integers(0, 2))
    return FlowBatch(n, columns)


def rows_by_sql(tree: Filter, batch: FlowBatch) -> list[int]:
    """Return the places of the rows that DuckDB finds."""
    rows = rows_from_batch(batch)
    halves = [f"{name}_{half}" for name in ADDRESSES for half in ("hi", "lo")]
    names = [*COLUMNS, *halves]
    log = rows.table(names).append_column("place", [list(range(batch.n_records))])
    [(where, parameters)] = where_branches(filter_conditions(tree), most=1)
    connection = duckdb.connect()
    connection.register("log", log)
    found = connection.execute(f"SELECT place FROM log WHERE {where} ORDER BY 1", parameters)
    places = [place for (place,) in found.fetchall()]
    connection.close()
    return places


@given(tree=trees, batch=batches())
def test_mask_when_any_filter_and_batch_then_the_rows_of_sql(
    tree: Filter, batch: FlowBatch
) -> None:
    mask = filter_mask(tree, batch)
    assert mask.shape == (batch.n_records,)
    assert np.flatnonzero(mask).tolist() == rows_by_sql(tree, batch)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port 53 and proto udp", [0]),
        ("src net 10.0.0.0/24 or bytes > 1k", [0, 1, 2]),
        ("not flags S", [0, 2]),
        ("bps > 1M", [1]),
        ("", [0, 1, 2]),
    ],
)
def test_mask_when_a_text_was_parsed_then_what_it_says(text: str, expected: list[int]) -> None:
    batch = FlowBatch(
        3,
        {
            "source_address_hi": np.zeros(3, "u8"),
            "source_address_lo": np.full(3, V4_MAPPED | 0x0A000001, "u8"),
            "destination_transport_port": np.array([53, 443, 80], "u2"),
            "protocol_identifier": np.array([17, 6, 6], "u1"),
            "tcp_control_bits": np.array([0, 2, 16], "u2"),
            "octet_delta_count": np.array([80, 9000, 40], "u8"),
            "flow_start_milliseconds": np.zeros(3, "i8"),
            "flow_end_milliseconds": np.array([0, 10, 1000], "i8"),
        },
    )
    assert np.flatnonzero(filter_mask(parse_filter(text), batch)).tolist() == expected
