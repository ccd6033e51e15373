"""Kernels for samples against their twins in numpy: the same flows, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.flowlog.samples import period
from appliance.flowlog.samples.drawing import SampleSize
from appliance.flowlog.samples.period import PeriodSample
from appliance.flowlog.schema import Rows
from appliance.native import library

pytestmark = pytest.mark.skipif(not library.IS_AVAILABLE, reason="no C compiler was at hand")

U64 = st.integers(0, 2**64 - 1)
RATES = st.sampled_from([0.0, 0.5, 1.0, 512.0, 2.0**32, 2.0**33, float("nan"), float("inf"), -1.0])
COLUMNS = {
    "record_kind": ("u1", st.integers(0, 3)),
    "octet_delta_count": ("u8", U64),
    "delta_flow_count": ("u8", st.one_of(st.integers(0, 3), U64)),
    "sampling_rate": ("f8", RATES),
    "exporter_address_hi": ("u8", st.integers(0, 1)),
    "exporter_address_lo": ("u8", st.integers(0, 5)),
    "flow_direction": ("u1", st.sampled_from([0, 1, 255])),
}


@st.composite
def some_rows(draw: Any) -> Rows:
    """Draw rows of which each column is absent, one value, or one value a row, nulls among them."""
    n_rows = draw(st.integers(1, 200))
    rows = Rows(n_rows)
    for name, (dtype, values) in COLUMNS.items():
        kind = draw(st.sampled_from(["absent", "constant", "varies", "with nulls"]))
        if kind == "constant":
            rows.constants[name] = draw(values)
        elif kind != "absent":
            each = values if kind == "varies" else st.one_of(st.none(), values)
            listed = draw(st.lists(each, min_size=n_rows, max_size=n_rows))
            rows.arrays[name] = pa.array(listed, pa.from_numpy_dtype(np.dtype(dtype)))
    return rows


def sample_of(pieces: list[Rows], seed: int, is_native: bool) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(period.library, "IS_AVAILABLE", is_native)
        sample, start = PeriodSample(SampleSize(20)), 0
        for rows in pieces:
            places = np.arange(start, start + rows.n_rows, dtype=np.uint64)
            sample.add(rows, places, seed)
            start += rows.n_rows
        return sample.table(), sample.n_flows


@given(st.lists(some_rows(), min_size=1, max_size=4), st.integers(0, 2**63 - 1))
def test_sample_when_drawn_by_kernels_then_the_same_as_by_numpy(
    pieces: list[Rows], seed: int
) -> None:
    ours, n_ours = sample_of(pieces, seed, True)
    twin, n_twin = sample_of(pieces, seed, False)
    assert n_ours == n_twin
    assert ours.schema == twin.schema
    # As text, since NaN of a sampling rate is not equal to itself.
    assert str(ours.to_pylist()) == str(twin.to_pylist())


def test_sample_when_exporters_are_many_then_the_same_as_by_numpy() -> None:
    n_rows = 3000
    random = np.random.default_rng(3)
    pieces = [
        Rows(
            n_rows,
            {
                "exporter_address_lo": pa.array(random.integers(0, most, n_rows).astype("u8")),
                "flow_direction": pa.array(random.integers(0, 3, n_rows).astype("u1")),
                "octet_delta_count": pa.array(random.integers(40, 1500, n_rows).astype("u8")),
            },
            {"record_kind": 0},
        )
        for most in (3, 700, 5)
    ]
    ours, twin = (sample_of(pieces, 11, is_native)[0] for is_native in (True, False))
    assert ours.num_rows > 20
    assert ours.to_pylist() == twin.to_pylist()
