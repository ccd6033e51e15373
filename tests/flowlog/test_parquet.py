"""Column chunks put together by hand are read alike by pyarrow and DuckDB; damage never crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.parquet import ParquetFile, ParquetWriter
from appliance.flowlog.parquet.encoding import SAMPLE_ROWS
from appliance.flowlog.parquet.thrift import read_struct, write_struct
from appliance.flowlog.schema import Rows, arrow_type, family_schema
from appliance.flows import COLUMN

N = 5003


def written(path: Path, *groups: list[Rows], octets: tuple[str, ...] = ()) -> Any:
    """Write row groups and return the file as pyarrow reads it, after comparing it with DuckDB."""
    writer = ParquetWriter(path, family_schema(False, octets))
    for group in groups:
        writer.encode(group)
    writer.finish([(1, writer.rows)])
    table = pq.read_table(path)
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()
    for name in table.column_names:
        assert relation[name].combine_chunks().equals(table[name].combine_chunks()), name
    return table


def columns_that_vary() -> list[tuple[str, Any]]:
    random = np.random.default_rng(3)
    many = random.integers(0, 2**63, N).astype("u8")
    return [
        ("protocol_identifier", random.integers(0, 2, N).astype("u1")),
        ("protocol_identifier", random.integers(0, 3, N).astype("u1") * 100),
        ("protocol_identifier", random.integers(0, 16, N).astype("u1")),
        ("protocol_identifier", random.integers(0, 256, N).astype("u1")),
        ("source_transport_port", random.integers(0, 65536, N).astype("u2")),
        ("source_transport_port", random.choice(np.array([53, 65535], "u2"), N)),
        ("ingress_interface", random.choice(np.array([1, 2**32 - 1, 7], "u4"), N)),
        ("ingress_interface", random.integers(0, 70, N).astype("u4")),
        ("source_address_lo", many),
        ("source_address_lo", many[random.integers(0, 300, N)]),
        ("source_address_lo", many[random.integers(0, 9, N)] | np.uint64(1 << 63)),
        ("octet_delta_count", random.integers(0, 2**64, N, dtype="u8")),
        ("flow_start_milliseconds", random.integers(-(2**63), 2**63 - 1, N)),
        ("sampling_rate", random.choice(np.array([1.0, 512.5, 1e300]), N)),
    ]


@pytest.mark.parametrize(("name", "values"), columns_that_vary())
@pytest.mark.parametrize("n_rows", [1, 2, 7, 8, 9, N])
def test_column_when_it_varies_then_is_read_as_written(
    tmp_path: Path, name: str, values: Any, n_rows: int
) -> None:
    array = pa.array(values[:n_rows])
    table = written(tmp_path / "a.parquet", [Rows(n_rows, {name: array})])
    assert table[name].combine_chunks() == array
    assert table["vlan_id"].null_count == n_rows


@pytest.mark.parametrize(("name", "values"), columns_that_vary())
def test_column_when_some_pieces_lack_it_then_null_there(
    tmp_path: Path, name: str, values: Any
) -> None:
    array = pa.array(values)
    constant = values[0].item()
    pieces = [Rows(N, {name: array}), Rows(17), Rows(5, constants={name: constant})]
    table = written(tmp_path / "a.parquet", pieces)
    expected = [*array.to_pylist(), *[None] * 17, *[constant] * 5]
    assert table[name].to_pylist() == expected


@pytest.mark.parametrize("name", [name for name, column in COLUMN.items() if column.dtype != "O"])
def test_column_when_constant_then_takes_no_room_and_has_statistics(
    tmp_path: Path, name: str
) -> None:
    if COLUMN[name].options_only:
        pytest.skip("only in files of options records")
    dtype = COLUMN[name].dtype
    top = 1.5 if dtype.kind == "f" else int(np.iinfo(dtype).max)
    path = tmp_path / "a.parquet"
    table = written(
        path, [Rows(100_000, constants={name: top}), Rows(3), Rows(5, constants={name: 0})]
    )
    assert table[name].to_pylist() == [top] * 100_000 + [None] * 3 + [0] * 5
    written(path, [Rows(100_000, constants={name: top})])
    assert path.stat().st_size < 9000
    assert ParquetFile(path).read(0).constants == ({name: top} if dtype.kind != "f" else {})


def test_copied_row_group_when_target_has_more_columns_then_they_are_null(tmp_path: Path) -> None:
    rows = Rows(10, {"source_transport_port": pa.array(range(10), pa.uint16())})
    written(tmp_path / "a.parquet", [rows])
    source = ParquetFile(tmp_path / "a.parquet")
    writer = ParquetWriter(tmp_path / "b.parquet", family_schema(False, ("octets_0_95",)))
    writer.copy(source, source.groups[0])
    writer.copy(source, source.groups[0])
    writer.finish([(1, 20)])
    table = pq.read_table(tmp_path / "b.parquet")
    assert table["source_transport_port"].to_pylist() == [*range(10), *range(10)]
    assert table["octets_0_95"].null_count == 20
    again = ParquetFile(tmp_path / "b.parquet")
    assert again.read(1).arrays["source_transport_port"].to_pylist() == [*range(10)]
    again.octets(again.groups[1])


@pytest.mark.parametrize("distinct", [3, 300, 60_000, 150_000])
def test_addresses_when_looked_for_then_only_absent_ones_are_left_out(
    tmp_path: Path, distinct: int
) -> None:
    random = np.random.default_rng(distinct)
    there = random.integers(0, 2**64, distinct, dtype="u8")
    rows = Rows(200_000, {"source_address_lo": pa.array(random.choice(there, 200_000))})
    written(tmp_path / "a.parquet", [rows], [rows])
    source = ParquetFile(tmp_path / "a.parquet")
    copy = ParquetWriter(tmp_path / "b.parquet", family_schema(False, ("octets_0_95",)))
    copy.copy(source, source.groups[1])
    copy.finish([(1, 200_000)])
    for name, n_groups in (("a", 2), ("b", 1)):
        seen = rows.arrays["source_address_lo"][:100].to_pylist()
        assert not any(_excluding_groups(tmp_path / f"{name}.parquet", value) for value in seen)
        absent = random.integers(0, 2**64, 100, dtype="u8").tolist()
        skipped = [_excluding_groups(tmp_path / f"{name}.parquet", value) for value in absent]
        assert np.mean(skipped) > 0.9 * n_groups


def _excluding_groups(path: Path, value: int) -> int:
    """Return how many row groups DuckDB would not read for a source address."""
    probe = f"parquet_bloom_probe('{path}', 'source_address_lo', {value}::UBIGINT)"
    sql = f"SELECT sum(bloom_filter_excludes::INT) FROM {probe}"
    return int(duckdb.sql(sql).fetchall()[0][0])


def test_column_when_a_sample_sees_few_values_but_there_are_many_then_no_dictionary(
    tmp_path: Path,
) -> None:
    values = np.arange(200_000, dtype="u8")
    values[:: 200_000 // SAMPLE_ROWS] = 7
    array = pa.array(values)
    table = written(tmp_path / "a.parquet", [Rows(len(values), {"source_address_lo": array})])
    assert table["source_address_lo"].combine_chunks() == array


def test_schema_when_read_back_then_is_the_family_schema(tmp_path: Path) -> None:
    assert written(tmp_path / "a.parquet", [Rows(3)]).schema == family_schema(False)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_file_when_octets_change_then_damage_is_found(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    if not (tmp_path / "whole").exists():
        name = "source_transport_port"
        written(path, [Rows(50, {name: pa.array(range(50), arrow_type(name))})])
        (tmp_path / "whole").write_bytes(path.read_bytes())
    octets = bytearray((tmp_path / "whole").read_bytes())
    place = data.draw(st.integers(4, len(octets) - 1))
    octets[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(octets)
    with pytest.raises(DamagedFile):
        ParquetFile(path).read(0)


@settings(max_examples=300, deadline=None)
@given(octets=st.binary(max_size=200))
def test_thrift_when_random_octets_then_value_error_or_stable(octets: bytes) -> None:
    try:
        value, _ = read_struct(octets)
    except ValueError:
        return
    try:
        encoded = write_struct(value)
    except (OverflowError, ValueError):
        return
    assert read_struct(encoded)[0] == value


@pytest.mark.parametrize("depth", [5, 5000])
def test_thrift_when_nested_deeply_then_refused(depth: int) -> None:
    octets = b"\x1c" * depth + b"\0" * (depth + 1)
    if depth < 16:
        assert read_struct(octets)[1] == len(octets)
    else:
        with pytest.raises(ValueError, match="deeper"):
            read_struct(octets)
