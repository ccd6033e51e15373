"""How long questions take that ClickHouse answers, and the flow log with the same flows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance.flowlog import FlowSearch
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.questions import FlowQuestion
from appliance.plugins.clickhouse.http import Server
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.source import ClickHouseSource
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.query.source_search import SourceSearch

LIMITS = QueryLimits(memory_octets=1 << 30, threads=2, seconds=300)
_TIMES = 3


def log_answers(log: Path) -> dict[str, float]:
    """Return seconds by question, asked of the flow log."""
    return _answer_seconds(QueryEngine(FlowSearch(log, LIMITS)))


def clickhouse_answers(servers: list[Server], layout: Layout, log: Path) -> dict[str, float]:
    """Return seconds by question, asked of ClickHouse."""
    source = ClickHouseSource(servers, layout)
    return _answer_seconds(QueryEngine(SourceSearch(source, log, LIMITS)))


def _answer_seconds(engine: QueryEngine) -> dict[str, float]:
    return {name: _median(ask, engine) for name, ask in _questions(engine).items()}


def _questions(engine: QueryEngine) -> Mapping[str, Callable[[QueryEngine], object]]:
    """Return questions about all flows; the address is the one that sent most."""
    since_ms = engine.search.oldest_ms()
    span = {"since_ms": since_ms, "until_ms": since_ms + 86_400_000}
    (row,) = engine.top(Question(("source",), limit=1, **span)).rows.to_pylist()
    host = parse_conditions([f"host={row['source_address']}"])
    minutes = {"since_ms": since_ms, "until_ms": since_ms + 40 * 60_000}
    return {
        "top sources": lambda e: e.top(Question(("source",), **span)),
        "top services": lambda e: e.top(Question(("service",), **span)),
        "top of both sides": lambda e: e.top(Question(("host",), **span)),
        "what one host does": lambda e: e.top(Question(("service",), conditions=host, **span)),
        "a series by protocol": lambda e: e.series(
            Question(("protocol",), step_ms=60_000, limit=5, **minutes), minutes["until_ms"]
        ),
        "newest flows of a host": lambda e: e.search.flows(FlowQuestion(**span, conditions=host)),
    }


def _median(ask: Callable[[QueryEngine], object], engine: QueryEngine) -> float:
    seconds = []
    for _ in range(_TIMES):
        began = time.monotonic()
        ask(engine)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)
