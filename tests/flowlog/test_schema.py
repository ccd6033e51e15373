"""Rows of several pieces as one: constants, absent columns, nulls, texts and octets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from appliance.flowlog.schema import Rows, arrow_type, gather_rows, join_rows
from appliance.flows import octets_column

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


@given(st.lists(some_rows(), max_size=4))
def test_gathered_when_of_any_pieces_then_as_taken_and_joined(
    drawn: list[tuple[Rows, np.ndarray[Any, Any]]],
) -> None:
    pieces, places = [rows for rows, _ in drawn], [chosen for _, chosen in drawn]
    gathered = gather_rows(pieces, places)
    expected = join_rows([rows.take(chosen) for rows, chosen in drawn])
    assert gathered.n_rows == expected.n_rows
    assert gathered.constants == expected.constants
    for name in VALUES:
        assert gathered.array(name).equals(expected.array(name)), name
