"""The same flow, seen by several exporters, counts once where a question asks for it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidQueryError
from appliance.flowlog import FlowSearch
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.query.deduplication import PERIOD_MS
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from tests.query.reference import Flow, batch_of

START_MS = 1_700_000_000_000 // PERIOD_MS * PERIOD_MS
INGRESS, EGRESS, UNKNOWN = 0, 1, 255


@dataclass(frozen=True)
class Seen:
    """A flow as an exporter saw it; the key is the source."""

    flow: Flow
    exporter: int
    direction: int

    @property
    def octets(self) -> float:
        return self.flow.octets * self.flow.sampling_rate

    @property
    def key(self) -> tuple[int, int]:
        return self.flow.source, self.flow.received_ms // PERIOD_MS

    @property
    def point(self) -> tuple[int, int]:
        return self.exporter, self.direction


def seen(
    source: int,
    exporter: int,
    octets: int,
    *,
    direction: int = INGRESS,
    after_ms: int = 0,
    rate: float = 1.0,
) -> Seen:
    at = START_MS + after_ms
    return Seen(Flow(source, 9, 1000, 443, octets, at, at, at, rate), exporter, direction)


def batch_seen(flows: list[Seen]) -> FlowBatch:
    batch = batch_of([one.flow for one in flows])
    batch.columns["exporter_address_lo"] = np.array(
        [V4_MAPPED | 0xC0000200 | one.exporter for one in flows], np.uint64
    )
    batch.columns["flow_direction"] = np.array([one.direction for one in flows], np.uint8)
    return batch


def engine_over(log: Any, flows: list[Seen]) -> QueryEngine:
    log.write([batch_seen(flows)])
    return QueryEngine(FlowSearch(log.directory))


def nearest(flows: list[Seen]) -> list[Seen]:
    """Keep, of each key, the point that saw most, by hand; none saw as much as another."""
    weights: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(dict)
    for one in flows:
        points = weights[one.key]
        points[one.point] = points.get(one.point, 0.0) + one.octets
    best = {key: max(points, key=lambda point: points[point]) for key, points in weights.items()}
    return [one for one in flows if one.point == best[one.key]]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    flows=st.lists(
        st.builds(
            seen,
            st.integers(1, 3),
            st.integers(1, 3),
            st.just(1),
            direction=st.sampled_from([INGRESS, EGRESS, UNKNOWN]),
            after_ms=st.integers(0, 3 * PERIOD_MS),
            rate=st.sampled_from([1.0, 2.0]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_nearest_when_exporters_see_the_same_flows_then_only_who_saw_most_counts(
    new_log: Callable[[], Any], flows: list[Seen]
) -> None:
    # By powers no two sums are equal, whatever the rates.
    flows = [
        replace(one, flow=replace(one.flow, octets=4**place)) for place, one in enumerate(flows)
    ]
    engine = engine_over(new_log(), flows)
    answer = engine.top(Question(("source", "exporter"), dedupe="nearest", limit=100))
    expected: dict[tuple[str, str], float] = defaultdict(float)
    kept = nearest(flows)
    for one in kept:
        expected[f"10.0.0.{one.flow.source}", f"192.0.2.{one.exporter}"] += one.octets
    rows = answer.rows.to_pylist()
    assert {(r["source_address"], r["exporter_address"]): r["octets"] for r in rows} == expected
    assert answer.total["octets"] == math.fsum(one.octets for one in kept)
    assert answer.total["flows"] == len(kept)
    assert answer.provenance.dedupe == "nearest"


PATH = [
    # Two routers on one path, the second exports ingress and egress; it lost a record.
    seen(1, 1, 100),
    seen(1, 1, 50, after_ms=60_000),
    seen(1, 2, 100, after_ms=1000),
    seen(1, 2, 100, direction=EGRESS, after_ms=1000),
    seen(2, 2, 70),
    seen(3, 2, 7, direction=UNKNOWN),
]


@pytest.mark.parametrize(
    ("rule", "octets", "flows"), [(None, 427, 6), ("nearest", 227, 4), ("ingress", 327, 5)]
)
def test_totals_when_a_path_is_seen_twice_then_as_the_rule_says(
    log: Any, rule: str | None, octets: int, flows: int
) -> None:
    answer = engine_over(log, PATH).top(Question(dedupe=rule))
    assert (answer.total["octets"], answer.total["flows"]) == (octets, flows)
    assert answer.provenance.dedupe == rule


def test_both_sides_when_deduplicated_then_a_flow_is_in_two_rows_and_once_in_the_total(
    log: Any,
) -> None:
    answer = engine_over(log, PATH).top(Question(("host",), dedupe="nearest"))
    assert answer.total["octets"] == 227
    assert answer.rows.to_pylist()[0]["octets"] == 227  # the destination of all


@pytest.mark.parametrize(("rule", "octets"), [("nearest", 227), ("ingress", 327)])
def test_series_when_deduplicated_then_the_same_sum(log: Any, rule: str, octets: int) -> None:
    question = Question(
        ("source",),
        since_ms=START_MS,
        until_ms=START_MS + 300_000,
        step_ms=60_000,
        dedupe=rule,
    )
    answer = engine_over(log, PATH).series(question, START_MS + 600_000)
    assert sum(sum(row.values) for row in answer.rows) == octets
    assert answer.provenance.dedupe == rule


def test_nearest_when_there_is_a_filter_then_among_the_flows_that_fit(log: Any) -> None:
    conditions = parse_conditions(["exporter=192.0.2.2"])
    answer = engine_over(log, PATH).top(Question(conditions=conditions, dedupe="nearest"))
    assert answer.total["octets"] == 100 + 70 + 7


def test_nearest_when_there_are_more_flows_than_are_read_then_all_are_read_nevertheless(
    log: Any,
) -> None:
    log.write([batch_seen(PATH)])
    engine = QueryEngine(FlowSearch(log.directory), log.directory.parent / "samples", 1)
    answer = engine.top(Question(dedupe="nearest"))
    assert (answer.provenance.method, answer.total["octets"]) == ("exact", 227)


def test_rule_when_unknown_then_refused() -> None:
    with pytest.raises(InvalidQueryError, match="expected nearest or ingress"):
        Question(dedupe="farthest")


def test_nearest_when_two_saw_as_much_then_one_of_them_counts(log: Any) -> None:
    answer = engine_over(log, [seen(1, 1, 5), seen(1, 2, 5)]).top(Question(dedupe="nearest"))
    assert (answer.total["octets"], answer.total["flows"]) == (5, 1)
