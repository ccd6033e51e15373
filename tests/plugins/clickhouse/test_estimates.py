"""Estimates of ClickHouse: what the samples of the flow log tell, within both errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from appliance.flowlog import FLOW_LOG_FOLDER, SAMPLES_FOLDER, FlowSearch
from appliance.flowlog.samples.keeper import SampleKeeper, SampleLimits
from appliance.plugins.clickhouse.retention import Kept
from appliance.query import source_search
from appliance.query.engine import QueryEngine
from appliance.query.question import LEAST_SAMPLED_ROWS, SUMS, Question
from appliance.query.source_search import SourceSearch
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.questions_world import LIMITS, SINCE_MS, question
from tests.plugins.clickhouse.world import START, LogOfFlows, Place, load_all, place_of_kind

N_FLOWS = 8000
HOUR = 3600
DAY = 24 * HOUR
MOST_ERRORS = 5
"""So many standard errors an estimate may be off: one in two million is more."""

KEPT = Kept(hour_rows=60 * 1000, day_rows=60 * 24 * 500)
"""A thousand flows of a minute, and five hundred."""


class Engines(NamedTuple):
    """The same flows: all of them, samples of the flow log, and samples in ClickHouse."""

    exact: QueryEngine
    local: QueryEngine
    remote: QueryEngine


@pytest.fixture(scope="module", params=["single", "cluster", "current"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Each kind of ClickHouse in turn, filled from a log."""
    place = place_of_kind(request)
    folder = tmp_path_factory.mktemp("data")
    log = LogOfFlows(folder)
    # The number of flows is not told well by the sizes of flows that are of many magnitudes.
    octets = log.random.integers(1000, 20_000, N_FLOWS // 4).astype(np.uint64)
    rates = np.full(N_FLOWS // 4, 3.0)
    # Few flows with many packets would make errors larger than a small sample can tell.
    columns = {"octet_delta_count": octets, "packet_delta_count": octets // np.uint64(500)}
    world.write_flows(log, N_FLOWS, sampling_rate=rates, **columns)
    log.seal()
    fill(place, folder)
    keeper = SampleKeeper(log.folder, folder / SAMPLES_FOLDER, SampleLimits(hour_rows=1000))
    while keeper.load_once(START).busy:
        pass
    keeper.finish(START)
    search = FlowSearch(folder / FLOW_LOG_FOLDER, LIMITS)
    local = QueryEngine(search, folder / SAMPLES_FOLDER)
    return Engines(QueryEngine(search), local, estimating_engine(place, folder))


def fill(place: Place, folder: Path, kept: Kept = KEPT, batch_rows: int = 1500) -> None:
    """Write what is new in the log, with samples."""
    loader = place.loader(folder, kept=kept)
    loader.batch_rows = batch_rows
    assert load_all(loader) > 0
    loader.close()
    place.wait_for_replicas()


def estimating_engine(place: Place, folder: Path, exact_rows: int = 100) -> QueryEngine:
    """Return what asks ClickHouse for estimates of more flows than a few."""
    search = SourceSearch(world.source_of(place), folder / FLOW_LOG_FOLDER, LIMITS)
    return QueryEngine(search, folder / SAMPLES_FOLDER, exact_rows)


def by_key(engine: QueryEngine, asked: Question) -> dict[Any, dict[str, float]]:
    """Return the rows of a top list, and the total, by what they are of."""
    answer = engine.top(asked)
    names = [name for name in answer.rows.schema.names if name not in answer.total]
    rows = {tuple(row[name] for name in names): row for row in answer.rows.to_pylist()}
    return {**rows, "total": answer.total}


def assert_near(engines: Engines, asked: Question) -> int:
    """Assert that estimates are near the true figures; return how many were compared."""
    true, local, remote = (by_key(engine, asked) for engine in engines)
    assert set(remote) <= set(true)
    n = 0
    for key, row in remote.items():
        if row["sampled_rows"] < LEAST_SAMPLED_ROWS:
            continue
        for name in SUMS:
            error = row[f"{name}_error"]
            assert abs(row[name] - true[key][name]) <= MOST_ERRORS * error + 1, (key, name)
            other = local[key]
            both = (error**2 + other[f"{name}_error"] ** 2) ** 0.5
            assert abs(row[name] - other[name]) <= MOST_ERRORS * both + 1, (key, name)
            n += 1
    return n


def test_top_when_of_many_flows_then_estimated_as_from_the_log(engines: Engines):
    answer = engines.remote.top(question("source"))
    assert answer.provenance.method == "sampled"
    assert answer.provenance.rows_in_range == N_FLOWS
    assert N_FLOWS / 4 < (answer.provenance.rows_scanned or 0) < N_FLOWS * 0.75
    assert answer.total["octets_error"] < answer.total["octets"] * 0.1
    assert assert_near(engines, question("source")) > 30
    assert assert_near(engines, question("protocol", "exporter", order="flows")) >= 3
    # A flow counts for both of its sides.
    assert assert_near(engines, question("host", order="packets")) > 30
    assert assert_near(engines, question("interface", where="src net 10.0.0.0/8", raw=True)) > 5
    assert assert_near(engines, question("direction", measures=("mean_packet_size",))) > 3


def test_top_when_cut_then_the_rest_has_its_error_too(engines: Engines):
    answer = engines.remote.top(question("source", limit=5, other=True))
    assert answer.other is not None
    parts = [*answer.rows.to_pylist(), answer.other]
    for name in SUMS:
        # Each is a whole number.
        whole = pytest.approx(answer.total[name], rel=1e-6, abs=len(parts))
        assert sum(row[name] for row in parts) == whole
        variances = sum(row[f"{name}_error"] ** 2 for row in parts)
        assert variances**0.5 == pytest.approx(answer.total[f"{name}_error"], rel=1e-6)


def test_exact_when_asked_for_then_every_flow_counts(engines: Engines):
    for asked in (question("source", exact=True), question("source", measures=("ports",))):
        answer = engines.remote.top(asked)
        assert answer.provenance.method == "exact"
        assert answer.total["octets"] == engines.exact.top(asked).total["octets"]


def test_top_when_read_thinly_then_fewer_rows_and_larger_errors(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
):
    dense = engines.remote.top(question("source"))
    monkeypatch.setattr(source_search, "most_sampled_rows", lambda asked: 900)
    thin = engines.remote.top(question("source"))
    assert 200 < (thin.provenance.rows_scanned or 0) <= 900
    assert thin.total["sampled_rows"] == thin.provenance.rows_scanned
    assert thin.total["octets_error"] > 1.5 * dense.total["octets_error"]
    assert assert_near(engines, question("protocol")) >= 3


def test_series_when_of_many_flows_then_estimated_with_the_error_of_each_bin(engines: Engines):
    asked = question("exporter", step_ms=600_000, limit=100)
    true, _, remote = (engine.series(asked, asked.until_ms) for engine in engines)
    assert remote.provenance.method == "sampled"
    expected = {str(row.keys): row.values for row in true.rows}
    assert len(remote.rows) == 3
    for row in remote.rows:
        figures = zip(row.values, row.errors, expected[str(row.keys)], strict=True)
        for value, error, whole in figures:
            assert abs(value - whole) <= MOST_ERRORS * error + 1
    assert max(remote.rows[0].errors) > 0


def test_database_when_of_before_there_were_samples_then_exact_until_there_are(
    place: Place, folder: Path
):
    log = LogOfFlows(folder)
    log.write(400)
    fill(place, folder, Kept(hour_rows=0), batch_rows=100)
    for number, _ in enumerate(place.addresses):
        for table in ("samples", "day_samples"):
            for name in (table, f"{table}_local"):
                place.server(number).command(f"DROP TABLE IF EXISTS {name}")
    engine, asked = estimating_engine(place, folder), question("source")
    assert engine.top(asked).provenance.method == "exact"
    log.write(600, START + HOUR)
    fill(place, folder)
    newer = replace(asked, since_ms=SINCE_MS + HOUR * 1000)
    assert engine.top(newer).provenance.method == "sampled"
    whole = engine.top(asked)
    assert whole.provenance.method == "exact"
    assert whole.provenance.rows_in_range == 1000


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_flows_when_gone_then_the_samples_of_days_still_answer(place: Place, folder: Path):
    log = LogOfFlows(folder)
    log.write(1000)
    log.write(500, START + DAY)
    kept = replace(KEPT, flow_days=1)
    fill(place, folder, kept)
    asked = question("exporter", until_ms=SINCE_MS + 2 * DAY * 1000)
    true = by_key(world.local_engine(folder), replace(asked, exact=True))
    loader = place.loader(folder, kept=kept)
    loader.cluster.connect()
    loader.expire((START // DAY + 2) * DAY)
    engine = estimating_engine(place, folder, 10_000)
    assert engine.stored_from_ms() == START // DAY * DAY * 1000
    answer = engine.top(asked)
    assert answer.provenance.method == "sampled"
    assert answer.provenance.rows_in_range == 1500
    for key, row in by_key(engine, asked).items():
        error = MOST_ERRORS * row["octets_error"]
        assert abs(row["octets"] - true[key]["octets"]) <= error + 1
    # Of the day that is there all flows are few enough.
    newest = replace(asked, since_ms=asked.until_ms - DAY * 1000)
    assert engine.top(newest).provenance.method == "exact"
