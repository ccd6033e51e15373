"""Groups of rows: the kernel in C next to sums in Python, and next to its twin in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from numpy.typing import NDArray

from appliance.flows import AnyArray
from appliance.native.grouping import Part, group_rows
from appliance.native.library import IS_AVAILABLE
from appliance.plugins.rollups.packed_groups import LARGEST_SUM, group_in_numpy

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="no kernels were built")

DTYPES = ("u1", "u2", "u4", "u8", "i4", "i8")
EXTREMES = (0, 1, LARGEST_SUM - 1, LARGEST_SUM, 2**62, 2**63 - 1)

Sums = dict[tuple[int, ...], list[int]]


@strategies.composite
def columns_of(draw: strategies.DrawFn, n_rows: int) -> list[AnyArray]:
    """Draw one to five columns: constant, of few values, or of any; some in steps, some not."""
    columns: list[AnyArray] = []
    for dtype in draw(strategies.lists(strategies.sampled_from(DTYPES), min_size=1, max_size=5)):
        few = strategies.integers(0, 2)
        some = strategies.sampled_from((0, int(np.iinfo(dtype).max)))
        value = draw(strategies.sampled_from((few, some, few | some)))
        if draw(strategies.booleans()):
            columns.append(np.broadcast_to(np.array(draw(value), dtype), (n_rows,)))
            continue
        values = draw(strategies.lists(value, min_size=n_rows, max_size=n_rows))
        column = np.array(values, dtype)
        columns.append(np.repeat(column, 2)[::2] if draw(strategies.booleans()) else column)
    return columns


@strategies.composite
def measures_of(draw: strategies.DrawFn, n_rows: int) -> tuple[AnyArray, AnyArray, Any]:
    """Draw octets and packets, and flows or None."""
    value = strategies.integers(0, 5) | strategies.sampled_from(EXTREMES)
    found = [
        np.array(draw(strategies.lists(value, min_size=n_rows, max_size=n_rows)), np.int64)
        for _ in range(3)
    ]
    if draw(strategies.booleans()):
        found[1] = np.broadcast_to(found[1][:1], (n_rows,))
    return found[0], found[1], None if draw(strategies.booleans()) else found[2]


def by_group(columns: Sequence[AnyArray], sums: NDArray[np.int64]) -> Sums:
    """Return the sums by their values; each combination is there once."""
    keys = list(zip(*(column.tolist() for column in columns), strict=True))
    assert len(set(keys)) == len(keys) == sums.shape[1]
    return dict(zip(keys, sums.T.tolist(), strict=True))


def added(columns: Sequence[AnyArray], measures: Sequence[Any]) -> Sums:
    """Sum up in whole numbers of any size."""
    sums: Sums = {}
    values = [np.ones(len(columns[0]), int) if m is None else m for m in measures]
    for *key, octets, packets, flows in zip(
        *(column.tolist() for column in (*columns, *values)), strict=True
    ):
        before = sums.get(tuple(key), [0, 0, 0])
        sums[tuple(key)] = [
            min(a + b, LARGEST_SUM) for a, b in zip(before, (octets, packets, flows), strict=True)
        ]
    return sums


@settings(deadline=None)
@given(strategies.data())
def test_rows_when_grouped_then_sums_are_those_of_the_twin(data: strategies.DataObject) -> None:
    """Any columns and measures: the same dtypes and sums, as whole numbers add up."""
    n_rows = data.draw(strategies.integers(1, 40))
    columns, measures = data.draw(columns_of(n_rows)), data.draw(measures_of(n_rows))
    values, sums = group_rows([Part(columns, measures, n_rows)])
    twin_values, twin_sums = group_in_numpy(columns, *measures)
    assert by_group(values, sums) == by_group(twin_values, twin_sums) == added(columns, measures)
    assert [column.dtype for column in values] == [column.dtype for column in columns]


@settings(deadline=None)
@given(strategies.data())
def test_parts_when_grouped_then_sums_are_those_of_all_rows(data: strategies.DataObject) -> None:
    """A column may be constant in one part and vary between them."""
    n_rows = data.draw(strategies.integers(1, 40))
    columns, measures = data.draw(columns_of(n_rows)), data.draw(measures_of(n_rows))
    cuts = sorted(data.draw(strategies.lists(strategies.integers(0, n_rows), max_size=4)))
    parts = [
        Part(
            [column[start:end] for column in columns],
            [None if measure is None else measure[start:end] for measure in measures],
            end - start,
        )
        for start, end in zip([0, *cuts], [*cuts, n_rows], strict=True)
    ]
    assert by_group(*group_rows(parts)) == added(columns, measures)


@pytest.mark.parametrize("n_values", [1, 20_000, 1 << 40])
@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_many_rows_when_grouped_then_each_combination_has_its_sums(
    n_values: int, n_columns: int
) -> None:
    """One group, some, and as many as rows: tables that grow, keys of one word to three."""
    random = np.random.default_rng(n_values)
    columns: list[AnyArray] = [
        random.integers(0, n_values, 50_000).astype(np.uint64) * np.uint64(0xFF_FFFF)
        for _ in range(n_columns)
    ]
    octets = random.integers(0, 1 << 45, 50_000)
    measures = (octets, octets & 0xFFFF, None)
    values, sums = group_rows([Part(columns, measures, 50_000)])
    twin_values, twin_sums = group_in_numpy(columns, *measures)
    assert by_group(values, sums) == by_group(twin_values, twin_sums)
    assert len(values[0]) == (50_000 if n_values > 20_000 else len(set(zip(*columns, strict=True))))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8"])
def test_numbers_below_zero_when_grouped_then_they_come_back(dtype: str) -> None:
    """The twin takes none; the kernel does not mind."""
    limits = np.iinfo(dtype)
    column = np.array([limits.min, limits.max, -1, 0, -1], dtype)
    octets = np.arange(5)
    values, sums = group_rows([Part([column, column >= 0], (octets, octets, None), 5)])
    assert values[0].tolist() == [limits.min, limits.max, -1, 0]
    assert values[1].tolist() == [False, True, False, True]
    assert sums.tolist() == [[0, 1, 6, 3], [0, 1, 6, 3], [1, 1, 2, 1]]


def test_groups_when_columns_do_not_vary_then_they_take_no_memory() -> None:
    """Groups wait side by side; what all of them have in common is one value."""
    columns: list[AnyArray] = [np.full(9, 7, np.uint32), np.arange(9)]
    octets = np.arange(9)
    values, sums = group_rows([Part(columns, (octets, octets, None), 9)])
    assert (values[0].strides, values[0][0], len(values[0])) == ((0,), 7, 9)
    assert values[1].tolist() == list(range(9))
    assert all(row.flags.c_contiguous for row in sums)
