"""The routes of the query engine: top lists and series of any flows, `/api/v1/explore`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import SIGNED_IN, Principal, RequestError, Route, Settings, hookimpl
from appliance.plugins.explore import completing, listing
from appliance.plugins.explore.completing import completion
from appliance.plugins.explore.listing import page_of_flows
from appliance.query.dimensions import dimensions
from appliance.query.question import (
    DISTINCT,
    MAX_BINS,
    MAX_DIMENSIONS,
    MAX_SERIES,
    MEANS,
    SUMS,
    Provenance,
    Question,
    SeriesRow,
)
from appliance.query.steps import fitting_step_ms
from appliance.query.turns import QueryTurns, TooManyQuestionsError
from appliance.web.openapi import AnyKeys, AnyValue, OrNull, operation
from appliance.web.parameters import MAX_LIMIT, Query
from appliance.web.times import parse_interval, rfc3339

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.search import FlowSearch
    from appliance.query.engine import QueryEngine

PREFIX = "/api/v1/explore"
TAG = "Explore"
DEFAULT_SPAN_SECONDS = 3600
DEFAULT_LIMIT = 10
DEFAULT_PAGE = 50

TURNS = QueryTurns()
"""Of this process, which has one web server."""

_PARAMETERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "by": (
        {"type": "string", "examples": ["source,destination_port"]},
        f"Up to {MAX_DIMENSIONS} dimensions between commas: names of `fields`, of addresses also"
        " prefixes such as `source/24`. Without any, everything together.",
    ),
    "filter": ({"type": "string"}, "Only flows that satisfy this, in the language of filters."),
    "from": (
        {"type": "string"},
        "Start of the range: ISO 8601 or seconds since 1970. Default: an hour before its end.",
    ),
    "to": ({"type": "string"}, "End of the range, not included. Default: now."),
    "last": ({"type": "string", "examples": ["24h"]}, "Length of the range up to its end."),
    "order": (
        {"type": "string", "enum": [*SUMS, *MEANS, *DISTINCT]},
        "The largest by this come first; of a series one of the sums. Default: octets.",
    ),
    "limit": ({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "Most groups."),
    "other": ({"type": "boolean"}, "true: what the groups leave of the total, too."),
    "raw": ({"type": "boolean"}, "true: not scaled by the sampling rate."),
    "exact": ({"type": "boolean"}, "true: read every flow, even if that takes long."),
    "measures": (
        {"type": "string", "examples": ["sources,mean_packet_size"]},
        f"Beside the sums, between commas: {', '.join((*MEANS, *DISTINCT))}; numbers of different"
        " values are approximate.",
    ),
    "after": ({"type": "string"}, "`next` of the page before."),
    "text": ({"type": "string"}, "A filter as far as it is written."),
    "cursor": ({"type": "integer", "minimum": 0}, "Place in it. Default: its end."),
    "step": (
        {"type": "string", "examples": ["5m"]},
        f"Length of a bin, such as 5m; at most {MAX_BINS} bins. Default: what fits the range.",
    ),
}
_SHARED = ("by", "filter", "from", "to", "last", "order", "limit", "raw", "exact")
_PROVENANCE = {
    "method": "exact",
    "rows_scanned": 120_000,
    "rows_in_range": 120_000,
    "seconds": 0.12,
    "left_out": ["file is damaged"],
    "since": "2026-01-31T08:00:00Z",
    "until": "2026-01-31T09:00:00Z",
}
_TOP = {
    "rows": [AnyKeys({"source_address": AnyValue("192.0.2.1")})],
    "other": OrNull(AnyKeys({"octets": 1.5})),
    "total": AnyKeys({"octets": 1.5}),
    **_PROVENANCE,
}
_STATISTICS = dict.fromkeys(("minimum", "mean", "maximum", "last", "percentile_95", "sum"), 1.5)
_SERIES = {
    "starts": ["2026-01-31T08:00:00Z"],
    "step_seconds": 60.0,
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


def fields() -> dict[str, Any]:
    """Return what questions can group by and be about."""
    return {
        "dimensions": {name: dimension.text for name, dimension in dimensions().items()},
        "measures": {**MEANS, **DISTINCT},
        "orders": [*SUMS, *MEANS, *DISTINCT],
    }


def top(settings: Settings, query: Query, principal: Principal | None, zone: tzinfo) -> Any:
    """Return the largest groups of flows."""
    span = _range(query)
    engine = _engine(settings)
    question = _question(
        query,
        engine,
        span,
        measures=_names(query, "measures"),
        limit=query.limit(DEFAULT_LIMIT),
        other=query.flag("other"),
    )
    with _turn(principal):
        answer = engine.top(question)
    return {
        "rows": answer.rows.to_pylist(),
        "other": answer.other,
        "total": answer.total,
        **_provenance(answer.provenance, span, zone),
    }


def series(settings: Settings, query: Query, principal: Principal | None, zone: tzinfo) -> Any:
    """Return traffic over time of the largest groups, and of the rest together."""
    span = _range(query)
    limit = min(query.limit(DEFAULT_LIMIT) or DEFAULT_LIMIT, MAX_SERIES)
    engine = _engine(settings)
    question = _question(query, engine, span, step_ms=_step_ms(query, span), limit=limit)
    with _turn(principal):
        answer = engine.series(question, int(query.now * 1000))
    return {
        "starts": [rfc3339(start / 1000, zone) for start in answer.starts_ms],
        "step_seconds": answer.step_ms / 1000,
        "complete_until": rfc3339(answer.complete_until_ms / 1000, zone),
        "rows": [_series_row(row) for row in answer.rows],
        **_provenance(answer.provenance, span, zone),
    }


def flows(settings: Settings, query: Query, principal: Principal | None, zone: tzinfo) -> Any:
    """Return single flows, newest first."""
    span = _range(query)
    search = _engine(settings).search
    page = (query.text("after") or "", query.limit(DEFAULT_PAGE) or DEFAULT_PAGE)
    with _turn(principal):
        return page_of_flows(search, _conditions(query, search), span, page, zone)


def _conditions(query: Query, search: FlowSearch) -> tuple[Condition, ...]:
    from appliance.query.language.duckdb import parse_conditions
    from appliance.query.names import LogNames

    return parse_conditions([query.text("filter") or ""], LogNames(search))


def _question(query: Query, engine: QueryEngine, span: tuple[int, int], **more: Any) -> Question:
    return Question(
        _names(query, "by"),
        order=query.text("order") or "octets",
        conditions=_conditions(query, engine.search),
        since_ms=span[0] * 1000,
        until_ms=span[1] * 1000,
        raw=query.flag("raw"),
        exact=query.flag("exact"),
        **more,
    )


def _names(query: Query, parameter: str) -> tuple[str, ...]:
    text = query.text(parameter) or ""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _range(query: Query) -> tuple[int, int]:
    """Return the range in seconds UTC."""
    since, until = query.range()
    end = math.ceil(query.now) if until is None else until
    start = max(end - DEFAULT_SPAN_SECONDS, 0) if since is None else since
    if start >= end:
        raise RequestError(400, "The range is empty: its start is not before its end")
    return start, end


def _step_ms(query: Query, span: tuple[int, int]) -> int:
    """Return the length of a bin: as asked for, or so that there are some two hundred."""
    text = query.text("step")
    if text is None:
        return fitting_step_ms((span[1] - span[0]) * 1000)
    interval = parse_interval(text)
    if interval is None or not interval.seconds:
        raise RequestError(400, "step: expected a whole number and one of s m h d w, such as 5m")
    return interval.seconds * 1000


@contextmanager
def _turn(principal: Principal | None) -> Iterator[None]:
    """Hold a turn of the caller; 429 where there is none."""
    try:
        with TURNS.of("" if principal is None else principal.name):
            yield
    except TooManyQuestionsError as error:
        raise RequestError(429, str(error)) from None


def _engine(settings: Settings) -> QueryEngine:
    from appliance.query.engine import engine_from_settings

    return engine_from_settings(settings)


def _series_row(row: SeriesRow) -> dict[str, Any]:
    statistics = row.statistics
    return {
        "keys": row.keys,
        "is_other": row.is_other,
        "values": row.values,
        "errors": row.errors,
        "statistics": {name: getattr(statistics, name) for name in _STATISTICS},
    }


def _provenance(provenance: Provenance, span: tuple[int, int], zone: tzinfo) -> dict[str, Any]:
    return {
        "method": provenance.method,
        "rows_scanned": provenance.rows_scanned,
        "rows_in_range": provenance.rows_in_range,
        "seconds": round(provenance.seconds, 4),
        "left_out": list(provenance.left_out),
        "since": rfc3339(span[0], zone),
        "until": rfc3339(span[1], zone),
    }


def _described(summary: str, example: Any, names: tuple[str, ...]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "query", "schema": schema, "description": text}
        for name, (schema, text) in _PARAMETERS.items()
        if name in names
    ]
    return {**operation(summary, example, tag=TAG), "parameters": parameters}


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/explore`."""
    known = {
        "dimensions": AnyKeys({"source": "source address"}),
        "measures": AnyKeys({"sources": "source addresses"}),
        "orders": ["octets"],
    }
    table = (
        ("fields", fields, "What flows can be grouped by", known, ()),
        ("top", top, "The largest groups of flows", _TOP, (*_SHARED, "other", "measures")),
        (
            "flows",
            flows,
            "Single flows, newest first",
            listing.EXAMPLE,
            ("filter", "from", "to", "last", "limit", "after"),
        ),
        (
            "complete",
            completion,
            "What may come next in a filter",
            completing.EXAMPLE,
            ("text", "cursor"),
        ),
        ("series", series, "Traffic over time", _SERIES, (*_SHARED, "step")),
    )
    return [
        Route(
            "GET",
            f"{PREFIX}/{name}",
            handler,
            role=SIGNED_IN,
            schema=_described(summary, example, names),
        )
        for name, handler, summary, example, names in table
    ]
