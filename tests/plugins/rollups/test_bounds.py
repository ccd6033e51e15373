"""Bins of the largest names: error bounds, row budget, and what a million sources do."""

from __future__ import annotations

import ipaddress
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from appliance.contracts import Selection
from appliance.flows import address_halves
from appliance.plugins.rollups.accumulator import Accumulator, ExporterAccumulator
from appliance.plugins.rollups.bins import Size, bin_ceiling, bin_end, bin_start, spans
from appliance.plugins.rollups.budget import most_rows
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.grouping import Groups, group_rows
from appliance.plugins.rollups.tops import (
    BY,
    cells,
    merge_tops,
    top_n_from_groups,
    top_n_from_rows,
)

START = 1_801_429_200
BASE = address_halves("10.0.0.0")[1]

rows = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 12), strategies.integers(0, 50), strategies.integers(0, 9)
    ),
    min_size=1,
    max_size=60,
)


def groups_of(found: list[tuple[int, int, int]]) -> Groups:
    names = np.array([BASE + row[0] for row in found], np.uint64)
    zero = np.zeros(len(found), np.int64)
    octets, packets = (np.array([row[m] for row in found], np.int64) for m in (1, 2))
    return group_rows([zero, zero.astype(np.uint64), names], octets, packets)


def sums_of(found: list[tuple[int, int, int]]) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for number, octets, packets in found:
        name = str(ipaddress.ip_address("10.0.0.0") + number)
        sums[name] = sums.get(name, 0) + np.array([octets, packets, 1])
    return sums


@settings(max_examples=150, deadline=None)
@given(strategies.lists(rows, min_size=1, max_size=6), strategies.integers(1, 6), rows)
def test_tops_when_added_cut_stored_and_merged_then_the_error_is_within_the_bound(
    hours: list[list[tuple[int, int, int]]], most: int, more: list[tuple[int, int, int]]
):
    parts = []
    for hour in [*hours, more]:
        accumulator = Accumulator(most)
        for row in hour:
            accumulator.add(groups_of([row]))
        whole = accumulator.groups()
        assert whole is not None
        ((_, names),) = cells(whole)
        total = sum(sums_of(hour).values())
        error_bound = accumulator.error_bound_of(0, total)
        made = top_n_from_groups(Dimension.SOURCE, names, most, error_bound, total)
        parts.append(top_n_from_rows(made.rows()))
    every = [row for hour in [*hours, more] for row in hour]
    truth = sums_of(every)
    total = sum(truth.values())
    found = top_n_from_rows(merge_tops(parts, most, total).rows())
    assert (found.total == total).all()
    kept = dict(zip(found.names, found.sums, strict=True))
    for order, flag in enumerate(BY):
        flagged = {n for n, f in zip(found.names, found.flags, strict=True) if f & flag}
        assert len(flagged) <= most
        for name, sums in truth.items():
            shown = kept[name] if name in flagged else 0
            assert (sums - shown >= 0).all()
            assert (sums - shown <= found.threshold[order]).all()
    if all(len(sums_of(hour)) <= most for hour in [*hours, more]) and len(truth) <= most:
        assert not found.threshold.any()


@settings(max_examples=150, deadline=None)
@given(strategies.lists(rows, min_size=1, max_size=8), strategies.integers(1, 4))
def test_names_when_of_several_exporters_and_cut_then_the_errors_of_each_and_of_all_are_in_bounds(
    pieces: list[list[tuple[int, int, int]]], most: int
):
    accumulator = ExporterAccumulator(most)
    flows = [(place % 6, *row) for place, row in enumerate(chain.from_iterable(pieces))]
    for at in range(0, len(flows), 9):
        part = flows[at : at + 9]
        cell = np.array([row[0] for row in part], np.int32)
        lo = np.array([BASE + row[1] for row in part], np.uint64)
        zero = np.zeros(len(part), np.uint64)
        octets, packets = (np.array([row[m] for row in part], np.int64) for m in (2, 3))
        accumulator.add(group_rows([cell, zero, lo], octets, packets))
    for known, key in (
        ((accumulator.groups(), accumulator), lambda row: row[0]),
        (accumulator.together(), lambda row: row[0] % 2),
    ):
        assert known[0] is not None
        kept = dict(cells(known[0]))
        for cell in {key(row) for row in flows}:
            truth = sums_of([row[1:] for row in flows if key(row) == cell])
            assert (known[1].seen[cell] == sum(truth.values())).all()
            names = kept.get(cell)
            numbers = [] if names is None else names.columns[1].tolist()
            assert len(set(numbers)) == len(numbers)
            for name, sums in truth.items():
                number = address_halves(name)[1]
                has = names.sums[numbers.index(number)] if number in numbers else 0
                assert (sums - has >= 0).all()
                assert (sums - has <= known[1].error_bound_of(cell)).all()


@pytest.mark.parametrize("rows_of_piece", [1, 2, 300, 30_000])
@pytest.mark.parametrize("kind", ["version 4", "version 6", "few", "one"])
def test_grouped_when_columns_of_any_kind_then_as_added_up_one_by_one(
    rows_of_piece: int, kind: str
):
    random, n = np.random.default_rng(rows_of_piece), rows_of_piece
    highest = {"version 4": 1 << 32, "version 6": 1 << 63, "few": 5, "one": 1}[kind]
    columns = [
        random.integers(-3, 4, n),
        np.broadcast_to(np.uint64(highest - 1), (n,)),
        random.integers(0, highest, n, dtype=np.uint64) * np.uint64(2),
        random.choice(random.integers(0, highest, 2000, dtype=np.uint64), n),
    ]
    octets, packets = random.integers(0, 1 << 48, n), random.integers(0, 9, n)
    found = group_rows(columns, octets, packets)
    truth: dict[tuple[int, ...], list[int]] = {}
    for *key, bytes_, count in zip(*(c.tolist() for c in (*columns, octets, packets)), strict=True):
        sums = truth.setdefault(tuple(key), [0, 0, 0])
        for place, value in enumerate((bytes_, count, 1)):
            sums[place] += value
    keys = zip(*(column.tolist() for column in found.columns), strict=True)
    assert dict(zip(keys, found.sums.tolist(), strict=True)) == truth
    assert [column.dtype for column in found.columns] == [column.dtype for column in columns]


def test_grouped_when_every_number_wants_the_same_place_then_all_are_told_apart():
    numbers = np.arange(1 << 22, dtype=np.uint64)
    places = (numbers * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - 14)
    same = numbers[places == 5].astype(np.int64)
    column = np.tile(same, (1 << 14) // len(same) + 1)[: 1 << 14]
    one = np.ones(len(column), np.int64)
    found = group_rows([column], one, one)
    assert len(found.sums) == len(same) > 100
    assert set(found.columns[0].tolist()) == set(same.tolist())


@settings(max_examples=200, deadline=None)
@given(
    strategies.integers(0, 3 * 10**9),
    strategies.integers(1, 400 * 86400),
    strategies.integers(0, 400 * 86400),
)
def test_spans_when_any_range_then_whole_bins_without_gap_or_overlap(
    since: int, length: int, age: int
):
    kept = {size: bin_ceiling(size, max(0, since + age - 86400 * 2**size)) for size in Size}
    found = spans(since, since + length, kept)
    assert found[0].since <= since < found[0].until
    assert found[-1].since < since + length <= found[-1].until
    for before, after in pairwise(found):
        assert before.until == after.since
    for span in found:
        assert bin_start(span.size, span.since) == span.since
        assert bin_start(span.size, span.until) == span.until
    assert bin_end(Size.MONTH, bin_start(Size.MONTH, since)) > since


def test_sums_when_huge_then_exact_or_saturated():
    columns = [np.array([1, 1, 2, 2], np.int64)]
    octets = np.array([(1 << 53) + 1, 1, 1 << 59, 1 << 60], np.int64)
    found = group_rows(columns, octets, octets)
    assert found.sums[:, 0].tolist() == [(1 << 53) + 2, 1 << 60]


@pytest.mark.slow
def test_store_when_a_million_sources_are_spoofed_then_it_does_not_grow(sqlite_world: Any):
    world = sqlite_world
    world.limit(top=100, top_per_exporter=20, group_names=20_000)
    world.write(world.flows(5_000, sources=5_000))
    world.load()
    before = world.stored("SELECT count(*) FROM appliance_rollup WHERE dimension >= 3")[0][0]
    for piece in range(10):
        spoofed = BASE - (1 << 24) * 5 + np.arange(100_000, dtype=np.uint64) + 100_000 * piece
        world.write(world.flows(100_000, source_address_lo=spoofed.astype(np.uint64)))
        world.load()
    world.load(START + 3900)
    rows_of_minute = world.stored(
        "SELECT count(*) FROM appliance_rollup WHERE dimension = 3 AND size = 0"
    )
    assert rows_of_minute[0][0] <= 2 * (3 * 100 + 4)
    after = world.stored("SELECT count(*) FROM appliance_rollup WHERE dimension >= 3 AND size = 0")[
        0
    ][0]
    assert after <= before + 2 * 3 * 200
    found = world.top("source")
    assert found.total.flows == 1_005_000
    assert found.error.flows < 200
    world.check_sums()


@pytest.mark.slow
def test_rows_when_sixty_days_pass_then_within_the_budget(sqlite_world: Any):
    world = sqlite_world
    kept = {
        Size.MINUTE: 48 * 3600,
        Size.QUARTER: 20 * 86400,
        Size.HOUR: 20 * 86400,
        Size.DAY: 30 * 86400,
        Size.MONTH: 400 * 86400,
    }
    world.limit(top=10, top_per_exporter=3, kept_seconds=kept)
    budget = most_rows(world.limits, exporters=2, protocols=2, applications=4)
    most = 0
    for day in range(60):
        at = START + day * 86400
        world.write(*(world.flows(40, at + hour * 3600, sources=500) for hour in range(0, 24, 4)))
        world.load(at + 86400)
        world.store.expire(world.now)
        most = max(most, world.stored("SELECT count(*) FROM appliance_rollup")[0][0])
    assert most <= budget
    assert world.store.totals(Selection()).flows == 60 * 6 * 40
    world.check_sums()


def test_budget_when_defaults_then_independent_of_traffic():
    limits = StoreLimits(kept_seconds=dict.fromkeys(Size, 86400))
    few = most_rows(limits, exporters=1, protocols=3, applications=10)
    assert few < most_rows(limits, exporters=2, protocols=3, applications=10)
