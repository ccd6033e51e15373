"""Answers of the query engine over a week of flows: how long they take, exact and estimated, and
how far the estimates are from the exact figures."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flowlog import FlowLogLimits, FlowLogWriter, FlowSearch, Maintainer, QueryLimits
from appliance.flowlog.samples.keeper import SampleKeeper
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from tests.benchmarks.history import DAY, HOUR, History, Traffic

DAYS, TRIES = 7, 5
SPANS = {"1 hour": HOUR, "1 day": DAY, "7 days": DAYS * DAY}
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "top sources": (("source",), ()),
    "top pairs": (("pair",), ()),
    "sources, one port": (("source",), ("port=53",)),
    "services, one network": (("service",), ("host=10.0.0.0/16",)),
}


def explore(folder: Path, flows: int) -> dict[str, Any]:
    """Make the flows and their samples, and ask.

    Returns
    -------
    dict
        "samples": CPU nanoseconds a flow and octets of all; by question and span: median and
        largest seconds of both methods, and the estimates' relative errors.
    """
    end = int(time.time()) // HOUR * HOUR
    log = folder / "flowlog"
    _write(log, flows, end)
    keeper = SampleKeeper(log, folder / "samples")
    began = time.process_time()
    while keeper.load_once(end).busy:
        pass
    keeper.finish(end)
    keeper.load_once(end + HOUR)
    cost = (time.process_time() - began) / flows
    octets = sum(file.stat().st_size for file in (folder / "samples").iterdir())
    search = FlowSearch(log, QueryLimits(memory_octets=2 * 10**9, threads=2, seconds=120))
    engine = QueryEngine(search, folder / "samples", exact_rows=0)
    report: dict[str, Any] = {"flows": flows, "samples": {"ns": cost * 1e9, "octets": octets}}
    report["questions"] = {
        f"{name}, {span}": _ask(engine, dimensions, conditions, end, seconds)
        for name, (dimensions, conditions) in QUESTIONS.items()
        for span, seconds in SPANS.items()
    }
    return report


def _write(log: Path, flows: int, end: int) -> None:
    history = History(DAYS, flows)
    traffic = Traffic(history)
    limits = FlowLogLimits(segment_seconds=DAY, retention_seconds=0, retention_octets=10**12)
    writer, maintainer = FlowLogWriter(log, limits), Maintainer(log, limits)
    writer.start()
    hours = range(end - DAYS * DAY, end, HOUR)
    for hour in hours:
        writer.append(traffic.flows(hour, hour + HOUR, flows // len(hours)))
        writer.flush({}, (hour + HOUR) * 1000)
        writer.roll_if_due((hour + HOUR + DAY) * 1000)
        if hour % DAY == 0:
            maintainer.run_once((hour + HOUR) * 1000)
    writer.close(end * 1000)
    maintainer.run_once(end * 1000)


def _ask(
    engine: QueryEngine,
    dimensions: tuple[str, ...],
    conditions: tuple[str, ...],
    end: int,
    seconds: int,
) -> dict[str, Any]:
    where = parse_conditions(conditions)
    span = {"since_ms": (end - seconds) * 1000, "until_ms": end * 1000, "conditions": where}
    answers, result = {}, {}
    for method in ("exact", "sampled"):
        question = Question(dimensions, limit=15, exact=method == "exact", **span)
        took = []
        for _ in range(TRIES):
            began = time.monotonic()
            answers[method] = engine.top(question)
            took.append(time.monotonic() - began)
        result[method] = {"median": statistics.median(took), "largest": max(took)}
    every = engine.top(Question(dimensions, limit=100_000, exact=True, **span)).rows.to_pylist()
    estimated = answers["sampled"].rows
    keys = [name for name in estimated.schema.names if name.partition("_error")[0] not in _SUMS]
    true = {tuple(row[key] for key in keys): row["octets"] for row in every}
    rows = estimated.to_pylist()
    errors = np.array([row["octets"] - true.get(tuple(row[k] for k in keys), 0) for row in rows])
    told = np.array([row["octets_error"] for row in rows])
    sizes = np.array([row["octets"] for row in rows])
    within = np.abs(errors) <= 1.96 * told + 0.5
    return result | {
        "method": answers["sampled"].provenance.method,
        "rows_scanned": answers["sampled"].provenance.rows_scanned,
        "error_median": float(np.median(np.abs(errors) / sizes)) if len(rows) else 0.0,
        "error_largest": float(np.max(np.abs(errors) / sizes)) if len(rows) else 0.0,
        "within": float(within.mean()) if len(rows) else 1.0,
        "top_15_kept": len(
            {tuple(r[k] for k in keys) for r in rows}
            & {tuple(r[k] for k in keys) for r in every[:15]}
        ),
    }


_SUMS = ("octets", "packets", "flows")
