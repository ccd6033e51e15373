"""Top lists and series against loops over single flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidQueryError
from appliance.flowlog import FlowSearch, sources
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question, SeriesAnswer
from tests.query.reference import Flow, batch_of, spread, sums, text

START_MS = 1_700_000_000_000 // 60_000 * 60_000
_NUMBERS = st.integers(0, 3)
_FLOWS = st.lists(
    st.builds(
        Flow,
        source=_NUMBERS,
        destination=_NUMBERS,
        source_port=st.sampled_from([0, 53, 443]),
        destination_port=st.sampled_from([0, 53, 443]),
        octets=st.integers(1, 10**6),
        start_ms=st.just(0) | st.integers(START_MS - 90_000, START_MS + 500_000),
        end_ms=st.integers(START_MS, START_MS + 600_000),
        received_ms=st.integers(START_MS, START_MS + 900_000),
        sampling_rate=st.sampled_from([1.0, 100.0]),
        flows=st.integers(1, 3),
    ),
    min_size=1,
    max_size=30,
)
_PROPERTY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def engine_over(new_log: Callable[[], Any], flows: list[Flow]) -> QueryEngine:
    log = new_log()
    half = len(flows) // 2
    log.write(*([batch_of(part)] for part in (flows[:half], flows[half:]) if part))
    return QueryEngine(FlowSearch(log.directory))


_KEYS: dict[tuple[str, ...], Callable[[Flow], set[object]]] = {
    (): lambda f: {()},
    ("source",): lambda f: {(text(f.source),)},
    ("source", "destination_port"): lambda f: {(text(f.source), f.destination_port)},
    ("source", "destination", "destination_port"): lambda f: {
        (text(f.source), text(f.destination), f.destination_port)
    },
    ("host",): lambda f: {(text(n),) for n in {f.source, f.destination} - {0}} or {(None,)},
    ("conversation",): lambda f: {tuple(text(n) for n in sorted((f.source, f.destination)))},
    ("source/31",): lambda f: {((f.source and f"10.0.0.{f.source & 254}/31") or None,)},
}


@pytest.mark.parametrize("dimensions", _KEYS, ids=" ".join)
@_PROPERTY
@given(flows=_FLOWS)
def test_top_when_by_any_dimensions_then_as_single_flows_add_up(
    new_log: Callable[[], Any], dimensions: tuple[str, ...], flows: list[Flow]
) -> None:
    answer = engine_over(new_log, flows).top(Question(dimensions, limit=1000))
    expected = sums(flows, _KEYS[dimensions])
    whole = sums(flows, lambda flow: {()})[()]
    assert (answer.total["octets"], answer.total["flows"]) == pytest.approx(whole)
    if dimensions:
        names = [n for n in answer.rows.schema.names if n not in ("octets", "packets", "flows")]
        rows = answer.rows.to_pylist()
        # What has no address is one group, however that is stored and shown.
        found = {
            tuple(None if row[n] in ("::", "::/31") else row[n] for n in names): (
                row["octets"],
                row["flows"],
            )
            for row in rows
        }
        assert found == {key: pytest.approx(value) for key, value in expected.items()}
        assert [row["octets"] for row in rows] == sorted((r["octets"] for r in rows), reverse=True)


@_PROPERTY
@given(flows=_FLOWS, step_ms=st.sampled_from([1000 * 7, 60_000, 300_000]))
def test_series_when_flows_last_over_bins_then_spread_evenly_and_nothing_is_lost(
    new_log: Callable[[], Any], flows: list[Flow], step_ms: int
) -> None:
    since, until = START_MS - 120_000, START_MS + 901_000
    question = Question(("source",), since_ms=since, until_ms=until, step_ms=step_ms, limit=2)
    answer = engine_over(new_log, flows).series(question, until)
    first, n_bins = since // step_ms, len(answer.starts_ms)
    assert answer.starts_ms[0] == first * step_ms
    assert answer.starts_ms[-1] + step_ms >= until
    by_source = {
        text(n): spread([f for f in flows if f.source == n], step_ms, first, n_bins)
        for n in {flow.source for flow in flows}
    }
    named = [row for row in answer.rows if not row.is_other]
    for row in named:
        source = row.keys["source_address"]
        assert row.values == pytest.approx(by_source[None if source == "::" else source])
    whole = sum(sum(row.values) for row in answer.rows)
    assert whole == pytest.approx(sum(flow.octets * flow.sampling_rate for flow in flows))
    assert len(named) == min(2, len(by_source))
    assert any(row.is_other for row in answer.rows) == (len(by_source) > 2)


def rising(n: int) -> list[Flow]:
    """Return a flow a minute, the first of 60 octets, each of 60 more."""
    starts = range(START_MS, START_MS + n * 60_000, 60_000)
    return [Flow(1, 2, 1, 1, 60 * k, at, at, at) for k, at in enumerate(starts, 1)]


def test_bin_when_it_ends_later_than_all_flows_are_there_then_not_complete() -> None:
    answer = SeriesAnswer((0, 60, 120), 60, (), 60, 150)
    assert [answer.is_complete(start) for start in answer.starts_ms] == [False, True, False]


def test_series_when_billed_then_statistics_are_those_of_its_bins(log: Any) -> None:
    log.write([batch_of(rising(20))])
    question = Question(since_ms=START_MS, until_ms=START_MS + 20 * 60_000, step_ms=60_000)
    answer = QueryEngine(FlowSearch(log.directory)).series(question, START_MS + 21 * 60_000)
    (row,) = answer.rows
    s = row.statistics
    assert (s.minimum, s.mean, s.maximum, s.last, s.percentile_95) == (1, 10.5, 20, 20, 19)
    assert (s.bins, s.sum) == (20, 60 * 210)
    assert answer.complete_from_ms == START_MS
    assert answer.complete_until_ms == START_MS + 20 * 60_000


def test_series_when_a_bin_still_fills_then_it_is_in_the_sum_only(log: Any) -> None:
    log.write([batch_of(rising(20))])
    question = Question(since_ms=START_MS, until_ms=START_MS + 25 * 60_000, step_ms=60_000)
    # Flows of the 20th minute may still be under way.
    answer = QueryEngine(FlowSearch(log.directory)).series(question, START_MS + 20 * 60_000 + 9000)
    (row,) = answer.rows
    s = row.statistics
    assert (s.minimum, s.mean, s.maximum, s.last, s.percentile_95) == (1, 10, 19, 19, 19)
    assert (s.bins, s.sum) == (19, 60 * 210)


@pytest.mark.parametrize("is_sealed", [False, True])
def test_series_when_the_log_begins_in_a_bin_then_it_and_those_before_are_not_counted(
    log: Any, is_sealed: bool
) -> None:
    log.write([batch_of(rising(20))])
    if is_sealed:
        log.maintain()
    early = START_MS - 7 * 60_000 - 1
    question = Question(since_ms=early, until_ms=START_MS + 20 * 60_000, step_ms=180_000)
    answer = QueryEngine(FlowSearch(log.directory)).series(question, START_MS + 10**9)
    (row,) = answer.rows
    first = answer.starts_ms.index(-(-START_MS // 180_000) * 180_000)
    assert first > 1
    assert row.statistics.bins == len(row.values) - first
    assert row.statistics.minimum == min(row.values[first:]) / 180 > 0
    assert row.statistics.sum == 60 * 210


def test_series_when_no_bin_is_whole_then_no_rates(log: Any) -> None:
    log.write([batch_of(rising(1))])
    question = Question(since_ms=START_MS, until_ms=START_MS + 60_000, step_ms=60_000)
    answer = QueryEngine(FlowSearch(log.directory)).series(question, START_MS + 30_000)
    (row,) = answer.rows
    assert (row.statistics.bins, row.statistics.mean, row.statistics.sum) == (0, None, 60)


def test_top_when_distinct_and_means_are_asked_then_beside_the_sums(log: Any) -> None:
    flows = [Flow(1 + n % 40, 100, 5, n % 3, 100, 1, 1 + n, START_MS) for n in range(200)]
    log.write([batch_of(flows)])
    measures = ("sources", "destinations", "ports", "conversations", "mean_duration")
    question = Question(("destination",), (*measures, "mean_packet_size"), order="sources")
    answer = QueryEngine(FlowSearch(log.directory)).top(question)
    (row,) = answer.rows.to_pylist()
    assert row["sources"] == pytest.approx(40, rel=0.1)
    assert row["conversations"] == pytest.approx(40, rel=0.1)
    assert (row["destinations"], row["ports"]) == (1, 3)
    assert row["mean_duration"] == pytest.approx(99.5)
    assert row["mean_packet_size"] == 100
    assert answer.total["sources"] == row["sources"]


def test_top_when_limited_then_the_rest_is_told(log: Any) -> None:
    flows = [Flow(n, 9, 5, 5, 100 * n, 1, 1, START_MS) for n in range(1, 5)]
    log.write([batch_of(flows)])
    engine = QueryEngine(FlowSearch(log.directory))
    answer = engine.top(Question(("source",), limit=1, other=True))
    assert answer.other is not None
    assert (answer.rows.num_rows, answer.other["octets"], answer.total["octets"]) == (1, 600, 1000)
    assert engine.top(Question(("source",), limit=4, other=True)).other is None
    assert answer.provenance.rows_scanned == 4


def test_top_when_nothing_matches_then_zero(log: Any) -> None:
    log.write([batch_of([Flow(1, 2, 3, 4, 5, 1, 1, START_MS)])])
    engine = QueryEngine(FlowSearch(log.directory))
    nobody = parse_conditions(["host=192.0.2.77"])
    answer = engine.top(Question(("host",), conditions=nobody))
    assert (answer.rows.num_rows, answer.total["octets"]) == (0, 0)
    question = Question((), (), "octets", nobody, START_MS, START_MS + 60_000, 60_000)
    assert engine.series(question, START_MS).rows == []


@pytest.mark.parametrize("frequent", [0.0, 2.0], ids=["one pass", "two branches"])
@pytest.mark.parametrize("condition", ["host=10.0.0.1", "port=53"])
def test_top_when_either_side_may_match_then_the_same_in_one_pass_and_in_two(
    log: Any, monkeypatch: pytest.MonkeyPatch, condition: str, frequent: float
) -> None:
    monkeypatch.setattr("appliance.flowlog.sources.FREQUENT", frequent)
    ports = [(53, 53), (53, 443), (443, 53), (443, 443)]
    flows = [
        Flow(source, destination, *both, 10 + n, 0, START_MS, START_MS, 1.0, 1)
        for n, (source, destination) in enumerate([(1, 2), (2, 1), (1, 1), (2, 3)])
        for both in ports
    ]
    log.write([batch_of(flows)])
    log.maintain()
    question = Question(("source",), conditions=parse_conditions((condition,)))
    answer = QueryEngine(FlowSearch(log.directory)).top(question)
    matching = [
        flow
        for flow in flows
        if (
            1 in (flow.source, flow.destination)
            if "host" in condition
            else 53 in (flow.source_port, flow.destination_port)
        )
    ]
    assert answer.total["flows"] == len(matching) == 12
    assert answer.total["octets"] == sum(flow.octets for flow in matching)
    series = QueryEngine(FlowSearch(log.directory)).series(
        Question(
            conditions=question.conditions,
            since_ms=START_MS,
            until_ms=START_MS + 60_000,
            step_ms=60_000,
        ),
        START_MS + 120_000,
    )
    assert sum(sum(row.values) for row in series.rows) == answer.total["octets"]


def test_top_when_a_host_is_in_many_records_then_the_log_is_read_once(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    common, rare = (Flow(host, 3, 1, 2, 10, 0, START_MS, START_MS) for host in (1, 2))
    log.write([batch_of([*[common] * 5000, rare])])
    log.maintain()
    decisions = []
    decide = sources._matches_many
    monkeypatch.setattr(
        sources, "_matches_many", lambda *given: decisions.append(decide(*given)) or decisions[-1]
    )
    engine = QueryEngine(FlowSearch(log.directory))
    for host, n_flows in ((1, 5000), (2, 1), (77, 0)):
        conditions = parse_conditions((f"host=10.0.0.{host}",))
        answer = engine.top(Question(("source",), conditions=conditions))
        assert answer.total["flows"] == n_flows
    assert decisions == [True, False, False]


@pytest.mark.parametrize("dimension", ["tcp_flags", "dscp", "packet_size", "duration", "hour"])
def test_top_when_by_something_computed_then_answers(log: Any, dimension: str) -> None:
    log.write([batch_of([Flow(1, 2, 3, 4, 500, START_MS - 5000, START_MS, START_MS)])])
    answer = QueryEngine(FlowSearch(log.directory)).top(Question((dimension,)))
    (row,) = answer.rows.to_pylist()
    expected = {"packet_size": "256 to 511", "duration": "1 to 10 s", "hour": 22}
    key = answer.rows.schema.names[0]
    assert row[key] == expected.get(dimension, row[key])
    assert row["flows"] == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (lambda: Question(("a", "b", "c", "d")), "at most 3 dimensions"),
        (lambda: Question(("source", "source")), "twice"),
        (lambda: Question(order="noise"), "cannot order by 'noise', expected octets"),
        (lambda: Question(measures=("x",)), "unknown measure 'x'"),
        (lambda: Question(step_ms=60_000), "choose another step"),
        (lambda: Question(step_ms=1, until_ms=10), "a second at least"),
        (lambda: Question(limit=0), "a limit is"),
    ],
)
def test_question_when_impossible_then_one_sentence(
    question: Callable[[], Question], said: str
) -> None:
    with pytest.raises(InvalidQueryError, match=said):
        question()


@pytest.mark.parametrize(
    ("dimensions", "said"),
    [(("nonsense",), "cannot group by"), (("port/8",), "no prefixes"), (("host/0",), "1 to 128")],
)
def test_top_when_dimension_is_unknown_then_one_sentence(
    log: Any, dimensions: tuple[str, ...], said: str
) -> None:
    log.write([batch_of([Flow(1, 2, 3, 4, 5, 1, 1, START_MS)])])
    with pytest.raises(InvalidQueryError, match=said):
        QueryEngine(FlowSearch(log.directory)).top(Question(dimensions))
