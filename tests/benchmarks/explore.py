"""Answers of the query engine over a week of flows: how long they take, exact and estimated, how
far the estimates are from the exact figures, and how long nfdump takes over the same flows."""

from __future__ import annotations

import ipaddress
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flowlog import FlowLogLimits, FlowLogWriter, FlowSearch, Maintainer, QueryLimits
from appliance.flowlog.questions import FlowQuestion
from appliance.flowlog.samples.keeper import SampleKeeper
from appliance.query.address_lists import AddressLists
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.names import LogNames
from appliance.query.question import LEAST_SAMPLED_ROWS, SUMS, Question
from tests.benchmarks.collectors import Nfcapd
from tests.benchmarks.history import DAY, HOUR, History, Traffic
from tests.benchmarks.nfdump import NfdumpFiles

DAYS, TRIES = 7, 5
ENOUGH_SECONDS = 20
"""An answer is not asked for again after so many."""

SPANS = {"1 hour": HOUR, "1 day": DAY, "7 days": DAYS * DAY}
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "top sources": (("source",), ()),
    "top pairs": (("pair",), ()),
    "sources, one port": (("source",), ("port=53",)),
    "services, one network": (("service",), ("host=10.0.0.0/16",)),
    "one host": (("pair",), ("host=100.0.0.5",)),
    "one port": (("source",), ("destination_port=3306",)),
}
NFDUMP = {
    "top sources": ("-s", "srcip/bytes", "-n", "15"),
    "top pairs": ("-A", "srcip,dstip", "-O", "bytes", "-n", "15"),
    "one host": ("-A", "srcip,dstip", "-O", "bytes", "-n", "15", "host 100.0.0.5"),
    "one port": ("-s", "srcip/bytes", "-n", "15", "dst port 3306"),
}
"""The same over everything, for nfdump."""

ABSENT = "203.0.113.77"
LIST_LENGTH = 1000
SUBSETS = {
    "port": (("destination_port",), ()),
    "exporter and protocol": (("exporter", "protocol"), ()),
    "network": (("source/16",), ()),
    "host": (("source",), ()),
}
"""What is estimated and compared: dimensions, and a filter."""


def explore(folder: Path, flows: int) -> dict[str, Any]:
    """Make the flows and their samples, and ask.

    Returns
    -------
    dict
        "samples": CPU nanoseconds a flow and octets of all; by question and span: median and
        largest seconds of both methods, and the estimates' relative errors.
    """
    log = folder / "flowlog"
    nfdump = NfdumpFiles(folder / "nfcapd") if Nfcapd.available() else None
    report = _made(folder, flows, nfdump)
    end = report["end"]
    limits = QueryLimits(memory_octets=2 * 10**9, threads=2, seconds=120)
    search = FlowSearch(log, limits)
    engine = QueryEngine(search, folder / "samples", exact_rows=0)
    # Exact questions over so many flows are jobs, which may use the disk.
    job = QueryEngine(FlowSearch(log, replace(limits, spill=folder)), exact_rows=0)
    engines = {"exact": job, "sampled": engine}
    report["questions"] = {
        f"{name}, {span}": _ask(engines, dimensions, conditions, end, seconds)
        for name, (dimensions, conditions) in QUESTIONS.items()
        for span, seconds in SPANS.items()
    }
    report["absent"] = _rare(search, end)
    report["errors"] = {
        name: _errors(engines, dimensions, end) for name, (dimensions, _) in SUBSETS.items()
    }
    if nfdump is not None:
        whole = f", {list(SPANS)[-1]}"
        for name, arguments in NFDUMP.items():
            report["questions"][name + whole]["nfdump"] = nfdump.seconds(
                arguments, TRIES, ENOUGH_SECONDS
            )
    return report


def _rare(search: FlowSearch, end: int) -> dict[str, float]:
    """Return how long it takes to say that an address, or each of a list, is nowhere."""
    span = {"since_ms": (end - DAYS * DAY) * 1000, "until_ms": end * 1000}
    listed = search.directory.parent / "addresses.txt"
    random = np.random.default_rng(2)
    free = [octet for octet in range(1, 224) if octet not in (10, 100)]
    first, rest = random.choice(free, LIST_LENGTH), random.integers(0, 1 << 24, LIST_LENGTH)
    addresses = map(ipaddress.IPv4Address, (first << 24 | rest).tolist())
    listed.write_text("".join(f"{address}\n" for address in addresses))
    names = LogNames(search, lists=AddressLists({"absent": listed}))
    texts = {
        "an absent address": f"host {ABSENT}",
        f"{LIST_LENGTH} absent addresses": "ip in @absent",
        f"{LIST_LENGTH} absent sources": "src ip in @absent",
    }
    took = {}
    for name, text in texts.items():
        conditions = parse_conditions([text], names)
        seconds = []
        for _ in range(TRIES):
            began = time.monotonic()
            search.flows(FlowQuestion(conditions=conditions, limit=10, **span))
            seconds.append(time.monotonic() - began)
        took[name] = statistics.median(seconds)
    return took


def _errors(
    engines: Mapping[str, QueryEngine], dimensions: tuple[str, ...], end: int
) -> dict[str, float]:
    """Compare all groups that are estimated from enough rows with the exact figures."""
    span = {"since_ms": (end - DAYS * DAY) * 1000, "until_ms": end * 1000}
    answers = [
        engines[method]
        .top(Question(dimensions, limit=100_000, exact=method == "exact", **span))
        .rows
        for method in ("sampled", "exact")
    ]
    names = [name for name in answers[1].schema.names if name not in SUMS]
    estimated, true = ({tuple(r[k] for k in names): r for r in a.to_pylist()} for a in answers)
    pairs = [
        (row["octets"], row["octets_error"], true[key]["octets"])
        for key, row in estimated.items()
        if key in true and row["sampled_rows"] >= LEAST_SAMPLED_ROWS
    ]
    found, stated, exact = np.array(pairs or [(1.0, 1.0, 1.0)]).T
    relative = np.abs(found - exact) / exact
    return {
        "groups": len(pairs),
        "median": float(np.median(relative)),
        "p95": float(np.percentile(relative, 95)),
        "within": float((np.abs(found - exact) <= 1.96 * stated + 0.5).mean()),
    }


def _made(folder: Path, flows: int, nfdump: NfdumpFiles | None) -> dict[str, Any]:
    """Make the flows and their samples, unless an earlier run kept them; return their figures."""
    made = folder / "made.json"
    if made.exists():
        return dict(json.loads(made.read_text()))
    end = int(time.time()) // HOUR * HOUR
    log = folder / "flowlog"
    write_history(log, flows, end, nfdump)
    keeper = SampleKeeper(log, folder / "samples")
    began = time.process_time()
    while keeper.load_once(end).busy:
        pass
    keeper.finish(end)
    keeper.load_once(end + HOUR)
    cost = (time.process_time() - began) / flows
    octets = sum(file.stat().st_size for file in (folder / "samples").iterdir())
    report = {"flows": flows, "end": end, "samples": {"ns": cost * 1e9, "octets": octets}}
    made.write_text(json.dumps(report))
    return report


def write_history(log: Path, flows: int, end: int, nfdump: NfdumpFiles | None) -> None:
    """Write a week of flows into a log, and into files of nfdump."""
    history = History(DAYS, flows)
    traffic = Traffic(history)
    limits = FlowLogLimits(segment_seconds=DAY, retention_seconds=0, retention_octets=10**12)
    writer, maintainer = FlowLogWriter(log, limits), Maintainer(log, limits)
    writer.start()
    if nfdump is not None:
        nfdump.start()
    hours = range(end - DAYS * DAY, end, HOUR)
    for hour in hours:
        batch = traffic.flows(hour, hour + HOUR, flows // len(hours))
        writer.append(batch)
        if nfdump is not None:
            nfdump.append(batch)
        writer.flush({}, (hour + HOUR) * 1000)
        writer.roll_if_due((hour + HOUR + DAY) * 1000)
        if hour % DAY == 0:
            maintainer.run_once((hour + HOUR) * 1000)
    writer.close(end * 1000)
    maintainer.run_once(end * 1000)
    if nfdump is not None:
        nfdump.stop()


def _ask(
    engines: Mapping[str, QueryEngine],
    dimensions: tuple[str, ...],
    conditions: tuple[str, ...],
    end: int,
    seconds: int,
) -> dict[str, Any]:
    where = parse_conditions(conditions)
    span = {"since_ms": (end - seconds) * 1000, "until_ms": end * 1000, "conditions": where}
    answers, result = {}, {}
    for method, engine in engines.items():
        question = Question(dimensions, limit=15, exact=method == "exact", **span)
        took: list[float] = []
        while len(took) < TRIES and sum(took) < ENOUGH_SECONDS:
            began = time.monotonic()
            answers[method] = engine.top(question)
            took.append(time.monotonic() - began)
        result[method] = {"median": statistics.median(took), "largest": max(took)}
    every = engines["exact"].top(Question(dimensions, limit=100_000, exact=True, **span))
    true_rows = every.rows.to_pylist()
    estimated = answers["sampled"].rows
    keys = [name for name in estimated.schema.names if name not in answers["sampled"].total]
    true = {tuple(row[key] for key in keys): row["octets"] for row in true_rows}
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
            & {tuple(r[k] for k in keys) for r in true_rows[:15]}
        ),
    }
