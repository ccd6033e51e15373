"""Answers from samples: near the exact ones, and as near as they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from appliance.cli.top_tables import top_table
from appliance.flowlog import FlowSearch
from appliance.flowlog.limits import Cursor
from appliance.flowlog.samples.files import (
    DAY_MS,
    HOUR_MS,
    Described,
    SampleFile,
    SamplePiece,
    period_end,
    read_description,
)
from appliance.flowlog.samples.keeper import SampleKeeper, SampleLimits
from appliance.flows import V4_MAPPED
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.planner import MOST_ROWS, sample_pieces, thin_for_question, thin_pieces
from appliance.query.question import Question

START_MS = 4_102_444_800_000
HOURS, FLOWS_AN_HOUR = 5, 6000
LIMITS = SampleLimits(2000, 5000, 9000)
RANGE = {"since_ms": START_MS, "until_ms": START_MS + HOURS * HOUR_MS}


@pytest.fixture
def sampled(log: Any, make_batch: Any) -> QueryEngine:
    """An engine over five hours of which a third of the flows is in samples."""
    random = np.random.default_rng(1)
    for hour in range(HOURS):
        octets = (random.pareto(1.2, FLOWS_AN_HOUR) * 800 + 40).astype("u8")
        start = START_MS + hour * HOUR_MS + random.integers(0, HOUR_MS - 1000, FLOWS_AN_HOUR)
        log.write(
            [
                make_batch(
                    FLOWS_AN_HOUR,
                    hour,
                    np.sort(start),
                    octet_delta_count=octets,
                    source_address_lo=random.integers(1, 20, FLOWS_AN_HOUR).astype("u8")
                    | np.uint64(V4_MAPPED | 0x0A000000),
                )
            ]
        )
        log.maintain()
    samples = log.directory.parent / "samples"
    keeper = SampleKeeper(log.directory, samples, LIMITS)
    while keeper.load_once(START_MS / 1000).busy:
        pass
    keeper.finish(START_MS / 1000)
    return QueryEngine(FlowSearch(log.directory), samples, exact_rows=10_000)


@pytest.mark.parametrize("dimension", ["source", "host", "protocol", "source_port"])
def test_top_when_estimated_then_within_its_error_and_says_so(
    sampled: QueryEngine, dimension: str
) -> None:
    question = Question((dimension,), limit=50, **RANGE)
    estimated, exact = (
        sampled.top(question),
        sampled.top(Question((dimension,), limit=50_000, exact=True, **RANGE)),
    )
    assert (estimated.provenance.method, exact.provenance.method) == ("sampled", "exact")
    assert estimated.provenance.rows_in_range == HOURS * FLOWS_AN_HOUR
    assert estimated.provenance.rows_scanned < HOURS * FLOWS_AN_HOUR / 2
    key = exact.rows.schema.names[0]
    true = {row[key]: row for row in exact.rows.to_pylist()}
    deviations = [
        abs(row[measure] - true[row[key]][measure]) / max(row[f"{measure}_error"], 1e-9)
        for row in estimated.rows.to_pylist()
        for measure in ("octets", "flows")
        if row["octets_error"] > 0
    ]
    # Of few rows a share says nothing; errors of few sampled flows are too small now and then.
    assert np.median(deviations) < 3
    assert len(deviations) < 20 or np.mean(np.array(deviations) < 1.96) > 0.8
    for measure in ("octets", "packets", "flows"):
        distance = abs(estimated.total[measure] - exact.total[measure])
        assert distance <= 4 * estimated.total[f"{measure}_error"]


def test_top_when_estimated_then_each_row_says_on_how_many_sampled_flows_it_rests(
    sampled: QueryEngine,
) -> None:
    answer = sampled.top(Question(("source",), limit=50, other=True, **RANGE))
    rows = answer.rows.to_pylist()
    assert min(row["sampled_rows"] for row in rows) > 30
    assert sum(row["sampled_rows"] for row in rows) == answer.total["sampled_rows"]
    assert answer.total["sampled_rows"] == answer.provenance.rows_scanned
    exact = sampled.top(Question(("source",), exact=True, **RANGE))
    assert "sampled_rows" not in exact.rows.schema.names


def test_table_when_a_row_rests_on_few_sampled_flows_then_its_error_is_a_lower_bound(
    sampled: QueryEngine,
) -> None:
    few = parse_conditions(("bytes > 2000 and bytes < 2100",))
    question = Question(("source",), limit=3, conditions=few, **RANGE)
    answer = sampled.top(question)
    table = top_table(answer, question, None, raw_numbers=False, is_rate=False)
    assert 0 < answer.rows.to_pylist()[0]["sampled_rows"] < 30
    assert "  > " in table.splitlines()[1]
    assert "fewer than 30 flows" in table


def test_series_when_estimated_then_each_bin_has_its_error(sampled: QueryEngine) -> None:
    question = Question(("source",), step_ms=HOUR_MS, limit=3, **RANGE)
    estimated = sampled.series(question, RANGE["until_ms"])
    exact = sampled.series(Question(("source",), step_ms=HOUR_MS, limit=3, exact=True, **RANGE), 0)
    assert (estimated.provenance.method, exact.provenance.method) == ("sampled", "exact")
    sums = [np.sum([row.values for row in answer.rows], axis=0) for answer in (estimated, exact)]
    errors = np.sqrt(np.sum([np.square(row.errors) for row in estimated.rows], axis=0))
    assert np.all(np.abs(sums[0] - sums[1]) <= 4 * errors)
    assert all(error > 0 for row in estimated.rows for error in row.errors)
    assert not any(error for row in exact.rows for error in row.errors)


def test_top_when_the_range_is_short_or_distinct_is_asked_then_exact(sampled: QueryEngine) -> None:
    hour = Question(("source",), since_ms=START_MS, until_ms=START_MS + HOUR_MS)
    assert sampled.top(hour).provenance.method == "exact"
    distinct = Question(("protocol",), ("sources",), **RANGE)
    assert sampled.top(distinct).provenance.method == "exact"


def test_top_when_the_log_is_gone_then_samples_outlive_it(sampled: QueryEngine, log: Any) -> None:
    before = sampled.top(Question((), **RANGE)).total
    oldest = min((log.directory / "flows").iterdir())
    oldest.unlink()
    after = sampled.top(Question((), **RANGE))
    assert after.provenance.method == "sampled"
    assert after.total == pytest.approx(before)


def _file(level: Any, start_ms: int) -> SampleFile:
    return SampleFile(Path(f"{level}.{start_ms}"), level, start_ms, period_end(level, start_ms))


def test_pieces_when_levels_overlap_then_each_moment_is_read_once() -> None:
    days = [_file("day", START_MS + day * DAY_MS) for day in range(4)]
    hours = [_file("hour", START_MS + hour * HOUR_MS) for hour in range(5 * 24)]
    files = sorted([*days, *hours], key=lambda file: file.from_ms)
    since, until = START_MS + HOUR_MS // 2, START_MS + 5 * DAY_MS - 1000
    pieces = sample_pieces(files, since, until)
    assert pieces[0].from_ms == since
    assert pieces[-1].to_ms == until
    assert all(one.to_ms == other.from_ms for one, other in pairwise(pieces))
    levels = [piece.file.level for piece in pieces]
    assert levels == ["hour"] * 24 + ["day"] * 3 + ["hour"] * 24
    short = sample_pieces(files, START_MS, START_MS + 2 * DAY_MS)
    assert {piece.file.level for piece in short} == {"hour"}


def test_pieces_when_hours_are_denser_than_days_then_thinned_to_these() -> None:
    days = [SamplePiece(_file("day", START_MS + n * DAY_MS), 0, 1) for n in range(2)]
    hours = [SamplePiece(_file("hour", START_MS + n * HOUR_MS), 0, 1) for n in range(3)]
    pieces = thin_pieces([*days, *hours], [600.0, 500.0, 100.0, 0.0, 900.0])
    # What was kept whole, or is thinner already, stays as it is.
    # In steps, so that samples that are nearly as dense are read together.
    assert [piece.thinning for piece in pieces] == [1, 1, 2**2.5, 1, 1]
    assert [p.thinning for p in thin_pieces(hours, [100.0, 200.0, 400.0])] == [1, 1, 1]


def test_top_when_of_pairs_then_fewer_rows_are_read_and_estimates_stay_true(
    sampled: QueryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(("pair",), limit=50, **RANGE)
    whole, exact = sampled.top(question), sampled.top(replace(question, exact=True))
    most = int(whole.total["sampled_rows"]) // 4
    monkeypatch.setattr("appliance.query.planner.MOST_ROWS_OF_COMBINATIONS", most)
    estimated = sampled.top(question)
    assert most / 2 < estimated.total["sampled_rows"] < 2 * most
    for measure in ("octets", "packets", "flows"):
        distance = abs(estimated.total[measure] - exact.total[measure])
        assert distance <= 4 * estimated.total[f"{measure}_error"]
    one = sampled.top(Question(("source",), limit=50, **RANGE))
    assert one.total["sampled_rows"] == whole.total["sampled_rows"]
    monkeypatch.setattr("appliance.query.planner.MOST_ROWS", most)
    one = sampled.top(Question(("source",), limit=50, **RANGE))
    assert most / 2 < one.total["sampled_rows"] < 2 * most


def test_pieces_when_most_samples_are_whole_then_the_others_are_not_thinned_to_nothing() -> None:
    hours = [_file("hour", START_MS + n * HOUR_MS) for n in range(40)]
    pieces = [SamplePiece(file, file.from_ms, file.to_ms) for file in hours]
    whole, drawn = (Described(10**6, Cursor(1, 0), 200_000, most) for most in (0.0, 900.0))
    described = [whole] * 39 + [drawn]
    thinned = thin_for_question(pieces, described, Question(("source",), **RANGE))
    assert {piece.thinning for piece in thinned} == {1}
    every = thin_for_question(pieces, [drawn] * 40, Question(("source",), **RANGE))
    assert {piece.thinning for piece in every} == {40 * 200_000 / MOST_ROWS}


def test_top_when_an_hour_is_gone_then_the_day_counts_for_it_and_for_no_other(
    sampled: QueryEngine,
) -> None:
    assert sampled.samples is not None
    since, until = START_MS + HOUR_MS // 2, START_MS + HOURS * HOUR_MS - HOUR_MS // 2
    question = Question(("source",), limit=50, since_ms=since, until_ms=until)
    exact = sampled.top(replace(question, exact=True))
    keeper = SampleKeeper(sampled.search.directory, sampled.samples, LIMITS)
    for hours in (1, 2):
        keeper.load_once((START_MS + DAY_MS + hours * HOUR_MS) / 1000)
    assert len(list(sampled.samples.glob("day.*"))) == 1
    (sampled.samples / f"hour.{START_MS + 2 * HOUR_MS}.parquet").unlink()
    estimated = sampled.top(question)
    assert estimated.provenance.method == "sampled"
    for measure in ("octets", "packets", "flows"):
        distance = abs(estimated.total[measure] - exact.total[measure])
        assert distance <= 4 * estimated.total[f"{measure}_error"]
    assert estimated.total["flows_error"] < exact.total["flows"] / 20


@pytest.mark.parametrize("thinning", [1 + 1e-12, 2.0, 10.0])
def test_top_when_samples_are_thinned_then_estimates_stay_true(
    sampled: QueryEngine, thinning: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(("source",), limit=50, **RANGE)
    whole, exact = sampled.top(question), sampled.top(replace(question, exact=True))
    monkeypatch.setattr(
        "appliance.query.engine.thin_for_question",
        lambda pieces, *_: [replace(piece, thinning=thinning) for piece in pieces],
    )
    estimated = sampled.top(question)
    n_rows = estimated.total["sampled_rows"]
    if thinning < 2:
        assert estimated.total == pytest.approx(whole.total)
    else:
        assert n_rows < whole.total["sampled_rows"] / (thinning / 2)
    for measure in ("octets", "packets", "flows"):
        distance = abs(estimated.total[measure] - exact.total[measure])
        assert distance <= 4 * estimated.total[f"{measure}_error"]
        assert estimated.total[f"{measure}_error"] > 0


def test_pieces_when_hours_are_gone_then_a_day_serves_in_part() -> None:
    files = [_file("day", START_MS), _file("hour", START_MS + DAY_MS + HOUR_MS)]
    pieces = sample_pieces(files, START_MS + HOUR_MS, START_MS + 2 * DAY_MS)
    assert [(p.file.level, p.from_ms, p.to_ms) for p in pieces] == [
        ("day", START_MS + HOUR_MS, START_MS + DAY_MS),
        ("hour", START_MS + DAY_MS + HOUR_MS, START_MS + DAY_MS + 2 * HOUR_MS),
    ]


def test_description_when_rows_were_left_out_then_tells_the_largest_threshold(
    sampled: QueryEngine,
) -> None:
    assert sampled.samples is not None
    path = next(sampled.samples.glob("hour.*.parquet"))
    stored = pq.read_table(path).column("sample_threshold").to_numpy()
    assert read_description(path).threshold == stored.max() > 0
