"""Whether a file may have a value of a long list: never no where it has one."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.flowlog.parquet import ParquetWriter
from appliance.flowlog.parquet.seeking import FEW_RANGES, ValueRanges, may_hold
from appliance.flowlog.schema import Rows, family_schema
from appliance.native import library

LOW, HIGH = "source_address_lo", "source_address_hi"
MANY = 3000
MAPPED = 0xFFFF << 32
numbers = st.integers(0, 2**64 - 1) | st.integers(MAPPED, MAPPED + 2**32 - 1) | st.integers(0, 99)


def ranges_of(firsts: list[int], length: int) -> list[tuple[int, int]]:
    return [(first, min(first + length, 2**64 - 1)) for first in firsts]


def has_any(values: Any, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= value <= last for value in values.tolist() for first, last in ranges)


@given(
    values=st.lists(numbers, min_size=1, max_size=40),
    firsts=st.lists(numbers, min_size=1, max_size=40),
    lengths=st.lists(st.sampled_from([0, 1, 255, 2**24, 2**40, 2**63]), min_size=1, max_size=9),
    octet=st.sampled_from([3, 5]),
    many=st.booleans(),
)
@example([MAPPED + 1], [MAPPED - 1], [1], 3, False)
@example([5 << 48], [(1 << 48) - 1], [2**24], 5, True)
@example([1 << 32], [(1 << 32) - 1], [1], 3, False)
@example([50], [0, 5], [255, 1], 3, False)
def test_ranges_when_values_are_looked_for_then_the_same_as_one_by_one(
    values: list[int], firsts: list[int], lengths: list[int], octet: int, many: bool
) -> None:
    each = zip(firsts, cycle(lengths), strict=False)
    ranges = [one for first, length in each for one in ranges_of([first], length)]
    if many:
        ranges += ranges_of(list(range(2**50, 2**50 + 2 * FEW_RANGES + 2, 2)), 0)
    sought, array = ValueRanges(ranges, octet), np.array(values, np.uint64)
    expected = has_any(array, ranges)
    streams = array.view(np.uint8).reshape(-1, 8).T
    assert sought.has_any(array) is expected
    assert sought.has_any_split(np.ascontiguousarray(streams)) is expected


def columns() -> dict[str, Any]:
    """Values of each way in which a column is stored."""
    random = np.random.default_rng(7)
    varying = random.integers(MAPPED, MAPPED + 2**32, MANY).astype(np.uint64)
    nulls = pa.array(varying.tolist(), pa.uint64(), mask=np.arange(MANY) % 3 == 0)
    return {
        "few": varying[random.integers(0, 50, MANY)],
        "many": varying,
        "one": np.full(MANY, varying[0]),
        "nulls": nulls,
        "strange": pa.array(random.integers(0, 2**64, MANY, dtype="u8")),
    }


def write(path: Path, column: str, values: Any, *, is_constant: bool = False) -> None:
    rows = Rows(MANY)
    if is_constant:
        rows.constants[column] = int(values[0])
    else:
        rows.arrays[column] = pa.array(values, pa.uint64())
    writer = ParquetWriter(path, family_schema(False))
    writer.encode([rows])
    writer.finish([(1, MANY)])


@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("kind", [*columns(), "constant"])
@pytest.mark.parametrize(("column", "octet"), [(LOW, 3), (HIGH, 5)])
def test_file_when_a_value_is_in_it_then_found_and_else_mostly_not(
    kind: str, column: str, octet: int, is_native: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if is_native and not library.IS_AVAILABLE:
        pytest.skip("no kernels here")
    monkeypatch.setattr(library, "IS_AVAILABLE", is_native)
    values = columns()["one" if kind == "constant" else kind]
    path = tmp_path / "flows.parquet"
    write(path, column, values, is_constant=kind == "constant")
    present = [value for value in pa.array(values).to_pylist() if value is not None]
    absent = [value + 1 for value in present[:1000] if value + 1 not in present]
    for value in present[:20]:
        assert may_hold(path, {column: ValueRanges(ranges_of([*absent[:50], value], 0), octet)})
    nowhere = {column: ValueRanges(ranges_of(absent, 0), octet)}
    assert not may_hold(path, nowhere)
    both = nowhere | {"destination_address_lo": ValueRanges([(0, 2**64 - 1)], 3)}
    assert not may_hold(path, both), "a column that is empty everywhere has no value"


def test_file_when_it_has_pages_of_others_then_as_if_it_may_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "flows.parquet"
    values = pa.table({LOW: pa.array(range(MANY), pa.uint64()), "other": [b"x"] * MANY})
    nowhere = {LOW: ValueRanges([(2**40, 2**41)], 3)}
    for codec, version, known in (("snappy", "1.0", False), ("zstd", "2.0", False),
                                  ("zstd", "1.0", True)):  # fmt: skip
        pq.write_table(values, path, compression=codec, data_page_version=version)
        assert may_hold(path, nowhere) is not known
    assert may_hold(path, {"other": nowhere[LOW]})
    assert not may_hold(path, {"none": nowhere[LOW]})
    path.write_bytes(b"PAR1")
    assert may_hold(path, nowhere)
    assert may_hold(tmp_path / "gone", nowhere)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_file_when_octets_change_then_no_error(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "flows.parquet"
    kind = data.draw(st.sampled_from(["few", "many", "nulls"]))
    write(path, LOW, columns()[kind])
    octets = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(octets[: data.draw(st.integers(len(octets) // 2, len(octets)))])
    assert may_hold(path, {LOW: ValueRanges([(1, 2), (7, 9)], 3)}) in (True, False)
