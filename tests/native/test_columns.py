"""Kernels for columns against their twins in numpy and pyarrow, and against readers of Parquet."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from appliance.flowlog.parquet import ParquetWriter, bloom, chunks, encoding
from appliance.flowlog.schema import Rows
from appliance.native import columns, library

pytestmark = pytest.mark.skipif(not library.IS_AVAILABLE, reason="no C compiler was at hand")

NUMBERS = st.sampled_from(["u1", "u2", "u4", "u8"]).flatmap(
    lambda name: hnp.arrays(name, st.integers(1, 3000), elements=hnp.from_dtype(np.dtype(name)))
)
FILTER_BLOCK_OCTETS = 32


@given(NUMBERS, st.integers(1, 400))
def test_few_values_when_at_most_so_many_then_rows_come_back(values: Any, most: int) -> None:
    distinct = list(dict.fromkeys(values.tolist()))
    found = columns.few_values(values, most)
    if len(distinct) > most:
        assert found is None
        return
    assert found is not None
    held, codes = found
    assert held.tolist() == distinct
    assert (held[codes] == values).all()


@pytest.mark.parametrize("n_distinct", [256, 257, 65_536, 65_537])
def test_few_values_when_at_the_limit_then_as_its_twin(n_distinct: int) -> None:
    values = np.random.default_rng(1).permutation(np.arange(2 * n_distinct) % n_distinct)
    values = values.astype("u8") * np.uint64(2**48 - 59)
    found = columns.few_values(values, 65_536)
    if n_distinct > 65_536:
        assert found is None
        assert len(pa.array(values).dictionary_encode().dictionary) > 65_536
        return
    twin = encoding._by_hash(values)
    assert found is not None
    assert twin is not None
    assert found[0].tolist() == twin[0].tolist()
    assert (found[0][found[1]] == values).all()


def test_few_values_when_their_low_bits_are_equal_then_still_found() -> None:
    """Addresses of one network differ in few bits; a poor hash would walk through all of them."""
    values = np.repeat(np.arange(60_000, dtype="u8") << np.uint64(40), 3)
    found = columns.few_values(values, 65_536)
    assert found is not None
    assert (found[0][found[1]] == values).all()


@given(hnp.arrays("u8", st.integers(1, 2000), elements=st.integers(0, 2**64 - 1)))
def test_bloom_filter_when_each_value_is_there_once_then_bits_are_those_of_the_twin(
    values: Any,
) -> None:
    distinct = np.unique(values)
    octets = columns.bloom_filter(values)
    if len(octets) == FILTER_BLOCK_OCTETS * max(-(-len(distinct) // FILTER_BLOCK_OCTETS), 1):
        assert octets == bloom.bloom_filter(distinct)


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
@given(n_rows=st.integers(1, 300), seed=st.integers(0, 99))
def test_pack_codes_when_any_number_of_them_then_octets_are_those_of_the_twin(
    width: int, n_rows: int, seed: int
) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << width, n_rows).astype("u2")
    bits = (codes[:, None] >> np.arange(width, dtype="u2")) & 1
    padded = np.zeros((-(-n_rows // 8) * 8, width), "u1")
    padded[:n_rows] = bits
    expected = np.packbits(padded.reshape(-1), bitorder="little").tobytes()
    assert columns.pack_codes(codes, width).tobytes() == expected
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chunks.library, "IS_AVAILABLE", False)
        assert chunks._pack(codes, width).tobytes() == expected


@pytest.mark.parametrize("n_distinct", [1, 32, 33, 1000, 70_000, 900_000, 3_000_000])
def test_bloom_filter_when_many_rows_then_its_size_fits_the_distinct_values(
    n_distinct: int,
) -> None:
    values = np.arange(n_distinct, dtype="u8") * np.uint64(0x10000) + np.uint64(0xFFFF << 32)
    octets = columns.bloom_filter(np.concatenate([values, values[: n_distinct // 2]]))
    assert len(octets) == pytest.approx(n_distinct, rel=0.02, abs=FILTER_BLOCK_OCTETS)


TIMES = st.one_of(
    hnp.arrays("i8", st.integers(1, 700), elements=hnp.from_dtype(np.dtype("i8"))),
    hnp.arrays("i8", st.integers(1, 700), elements=st.integers(-3, 3)),
)


@given(TIMES)
def test_pack_deltas_when_any_numbers_then_readers_find_them_again(values: Any) -> None:
    name = "flow_start_milliseconds"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.parquet")
        writer = ParquetWriter(path, pa.schema([pa.field(name, pa.int64())]))
        writer.encode([Rows(len(values), {name: pa.array(values)})])
        writer.finish([(1, writer.rows)])
        (group,) = pq.read_metadata(path).to_dict()["row_groups"]
        assert "DELTA_BINARY_PACKED" in group["columns"][0]["encodings"]
        assert pq.read_table(path)[name].to_pylist() == values.tolist()
        relation = duckdb.sql(f"SELECT * FROM read_parquet('{path}')")
        assert [row[0] for row in relation.fetchall()] == values.tolist()


@given(NUMBERS, st.binary(max_size=9))
def test_split_bytes_when_any_numbers_then_streams_of_equal_octets(
    values: Any, head: bytes
) -> None:
    width = max(values.dtype.itemsize, 4)
    whole = columns.split_bytes(values, width, head)
    assert whole[: len(head)].tobytes() == head
    wide = values.astype(f"u{width}").view("u1").reshape(-1, width)
    assert whole[len(head) :].tobytes() == wide.T.tobytes()
