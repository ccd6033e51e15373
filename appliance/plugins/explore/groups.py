"""`/api/v1/explore/top` and `series`: groups of flows, at once or over time."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import Principal, Settings
from appliance.plugins.explore.exact_answers import answer_or_job
from appliance.plugins.explore.parameters import (
    MOST_ROWS,
    OpenStore,
    engine_and_conditions,
    listed_names,
    question_range,
    question_step_ms,
)
from appliance.query.deduplication import NEAREST, RULES
from appliance.query.question import MAX_SERIES, Provenance, Question, SeriesRow
from appliance.web.openapi import AnyKeys, AnyValue, OrNull
from appliance.web.parameters import Query
from appliance.web.times import rfc3339

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.query.engine import QueryEngine

DEFAULT_LIMIT = 10
SHARED = ("by", "filter", "from", "to", "last", "order", "limit", "raw", "exact", "dedupe")
TOP_PARAMETERS = (*SHARED, "other", "measures")
SERIES_PARAMETERS = (*SHARED, "step")

_PROVENANCE = {
    "method": "exact",
    "rows_scanned": OrNull(120_000),
    "rows_in_range": OrNull(120_000),
    "seconds": 0.12,
    "left_out": ["file is damaged"],
    "partial": False,
    "missing": ["shard 2 (192.0.2.7:9000)"],
    "dedupe": OrNull({"rule": NEAREST, "text": RULES[NEAREST]}),
    "since": "2026-01-31T08:00:00Z",
    "until": "2026-01-31T09:00:00Z",
}
TOP_EXAMPLE = {
    "rows": [AnyKeys({"source_address": AnyValue("192.0.2.1")})],
    "other": OrNull(AnyKeys({"octets": 1.5})),
    "total": AnyKeys({"octets": 1.5}),
    **_PROVENANCE,
}
_RATES = dict.fromkeys(("minimum", "mean", "maximum", "last", "percentile_95"), OrNull(1.5))
_STATISTICS = {"bins": 60, **_RATES, "sum": 1.5}
SERIES_EXAMPLE = {
    "starts": ["2026-01-31T08:00:00Z"],
    "step_seconds": 60.0,
    "complete_from": "2026-01-31T08:00:00Z",
    "complete_until": "2026-01-31T09:00:00Z",
    "rows": [
        {
            "keys": AnyKeys({"source_address": AnyValue("192.0.2.1")}),
            "is_other": False,
            "values": [1.5],
            "errors": [0.5],
            "statistics": _STATISTICS,
        }
    ],
    **_PROVENANCE,
}


def top(
    settings: Settings,
    query: Query,
    principal: Principal | None,
    zone: tzinfo,
    open_store: OpenStore,
) -> Any:
    """Return the largest groups of flows."""
    span = question_range(query)
    engine, conditions = engine_and_conditions(
        query, settings, principal, open_store, reads_sums=True
    )
    question = _question(
        query,
        conditions,
        span,
        measures=listed_names(query, "measures"),
        limit=query.limit(DEFAULT_LIMIT, MOST_ROWS),
        other=query.flag("other"),
    )

    def ask(engine: QueryEngine) -> dict[str, Any]:
        answer = engine.top(question)
        return {
            "rows": answer.rows.to_pylist(),
            "other": answer.other,
            "total": answer.total,
            **_provenance(answer.provenance, span, zone),
        }

    return answer_or_job(engine, question, ask, principal, settings)


def series(
    settings: Settings,
    query: Query,
    principal: Principal | None,
    zone: tzinfo,
    open_store: OpenStore,
) -> Any:
    """Return traffic over time of the largest groups, and of the rest together."""
    span = question_range(query)
    limit = min(query.limit(DEFAULT_LIMIT, MOST_ROWS) or DEFAULT_LIMIT, MAX_SERIES)
    engine, conditions = engine_and_conditions(query, settings, principal, open_store)
    step_ms = question_step_ms(query, span)
    question = _question(query, conditions, span, step_ms=step_ms, limit=limit)

    def ask(engine: QueryEngine) -> dict[str, Any]:
        answer = engine.series(question, int(query.now * 1000))
        return {
            "starts": [rfc3339(start / 1000, zone) for start in answer.starts_ms],
            "step_seconds": answer.step_ms / 1000,
            "complete_from": rfc3339(answer.complete_from_ms / 1000, zone),
            "complete_until": rfc3339(answer.complete_until_ms / 1000, zone),
            "rows": [_series_row(row) for row in answer.rows],
            **_provenance(answer.provenance, span, zone),
        }

    return answer_or_job(engine, question, ask, principal, settings)


def _question(
    query: Query, conditions: tuple[Condition, ...], span: tuple[int, int], **more: Any
) -> Question:
    return Question(
        listed_names(query, "by"),
        order=query.text("order") or "octets",
        conditions=conditions,
        since_ms=span[0] * 1000,
        until_ms=span[1] * 1000,
        raw=query.flag("raw"),
        exact=query.flag("exact"),
        dedupe=query.text("dedupe"),
        **more,
    )


def _series_row(row: SeriesRow) -> dict[str, Any]:
    statistics = row.statistics
    return {
        "keys": row.keys,
        "is_other": row.is_other,
        "values": row.values,
        "errors": row.errors,
        "statistics": {name: getattr(statistics, name) for name in _STATISTICS},
    }


def _rule(rule: str | None) -> dict[str, str] | None:
    return None if rule is None else {"rule": rule, "text": RULES[rule]}


def _provenance(provenance: Provenance, span: tuple[int, int], zone: tzinfo) -> dict[str, Any]:
    return {
        "method": provenance.method,
        "rows_scanned": provenance.rows_scanned,
        "rows_in_range": provenance.rows_in_range,
        "seconds": round(provenance.seconds, 4),
        "left_out": list(provenance.left_out),
        "partial": bool(provenance.missing),
        "missing": list(provenance.missing),
        "dedupe": _rule(provenance.dedupe),
        "since": rfc3339(span[0], zone),
        "until": rfc3339(span[1], zone),
    }
