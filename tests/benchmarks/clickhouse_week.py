"""A week of flows in ClickHouse: how fast it is loaded, how large it is there, and how long the
questions of `explore` take, exact and estimated, and how far the estimates are off.

The servers are Debian's 18.16, on this machine beside the writer. With `--keep` the flow log stays,
and is written into new servers by the next run.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flowlog import QueryLimits
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.http import Access, HostPort, Server
from appliance.plugins.clickhouse.schema import TIME_COLUMNS, Layout
from appliance.plugins.clickhouse.source import ClickHouseSource
from appliance.plugins.clickhouse.writer import ClickHouseLoader
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.query.source_search import SourceSearch
from tests.benchmarks.explore import QUESTIONS, SPANS, write_history
from tests.benchmarks.history import HOUR
from tests.clickhouse_servers import running_cluster, running_server

DATABASE = "netflow"
LIMITS = QueryLimits(memory_octets=4 << 30, threads=2, seconds=600)
ESTIMATES = 3
SHOWN, COMPARED = 15, 1000
_MERGE_SECONDS = 120.0


def clickhouse_week(folder: Path, flows: int, *, is_cluster: bool) -> dict[str, Any]:
    """Load the flows into one server, or into two shards of two, and ask."""
    log, end = _history(folder, flows)
    database = folder / "servers"
    shutil.rmtree(database, ignore_errors=True)
    with ExitStack() as stack:
        if is_cluster:
            cluster = stack.enter_context(running_cluster(database))
            addresses, layout, n_replicas = cluster.addresses, Layout(DATABASE, cluster.name), 2
        else:
            server = stack.enter_context(running_server(database))
            addresses, layout, n_replicas = [server.address], Layout(DATABASE), 1
        servers = [
            Server(HostPort("127.0.0.1", int(address.rpartition(":")[2])), Access(DATABASE))
            for address in addresses
        ]
        report = _load(servers, layout, log, folder)
        report["octets_per_flow"] = {
            table: octets / n_replicas / report["rows"]
            for table, octets in _octets(servers).items()
        }
        source = ClickHouseSource(servers, layout)
        search = SourceSearch(source, log, LIMITS)
        engine = QueryEngine(search, folder / "no-samples", exact_rows=0)
        report["questions"] = {
            f"{name}, {span}": _ask(engine, dimensions, conditions, end, seconds)
            for name, (dimensions, conditions) in QUESTIONS.items()
            for span, seconds in SPANS.items()
        }
    shutil.rmtree(database, ignore_errors=True)
    return report


def _history(folder: Path, flows: int) -> tuple[Path, int]:
    """Return the flow log, written unless an earlier run kept it, and the end of its week."""
    made, log = folder / "made.json", folder / "flowlog"
    if made.exists():
        return log, int(json.loads(made.read_text())["end"])
    end = int(time.time()) // HOUR * HOUR
    write_history(log, flows, end, None)
    made.write_text(json.dumps({"end": end}))
    return log, end


def _load(servers: list[Server], layout: Layout, log: Path, folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder / "clickhouse", ignore_errors=True)
    loader = ClickHouseLoader(Cluster(servers, layout), "bench", log)
    loader.batch_seconds = 0.0
    loader.cluster.connect()
    began, cpu, rows = time.monotonic(), time.process_time(), 0
    while (report := loader.load_once(time.time())).busy or report.rows:
        rows += report.rows
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    loader.close()
    return {
        "rows": rows,
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "rows_per_cpu_second": rows / cpu_seconds,
    }


def _octets(servers: list[Server]) -> dict[str, int]:
    """Return the octets of each table on all servers, once they have not changed for a while."""
    listed = ", ".join(f"'{name}', '{name}_local'" for name in TIME_COLUMNS)
    sql = (
        "SELECT `table`, sum(bytes_on_disk) FROM parts WHERE active"
        f" AND database = '{DATABASE}' AND table IN ({listed}) GROUP BY `table`"
    )
    end, octets, before = time.monotonic() + _MERGE_SECONDS, {}, {"": -1}
    while octets != before and time.monotonic() < end:
        time.sleep(5)
        before, octets = octets, dict.fromkeys(TIME_COLUMNS, 0)
        for server in servers:
            for table, size in server.rows(sql, database="system"):
                octets[str(table).removesuffix("_local")] += int(size)
    return octets


def _ask(
    engine: QueryEngine,
    dimensions: tuple[str, ...],
    conditions: tuple[str, ...],
    end: int,
    seconds: int,
) -> dict[str, Any]:
    where = parse_conditions(conditions)
    span = {"since_ms": (end - seconds) * 1000, "until_ms": end * 1000, "conditions": where}
    began = time.monotonic()
    exact = engine.top(Question(dimensions, limit=COMPARED, exact=True, **span))
    exact_seconds = time.monotonic() - began
    took = []
    for _ in range(ESTIMATES):
        began = time.monotonic()
        estimated = engine.top(Question(dimensions, limit=SHOWN, **span))
        took.append(time.monotonic() - began)
    names = [name for name in exact.rows.schema.names if name not in exact.total]
    true = {_key(row, names): row["octets"] for row in exact.rows.to_pylist()}
    rows = [row for row in estimated.rows.to_pylist() if _key(row, names) in true]
    off = np.array([abs(row["octets"] - true[_key(row, names)]) for row in rows] or [0.0])
    told = np.array([row["octets_error"] for row in rows] or [1.0])
    sizes = np.array([row["octets"] for row in rows] or [1.0])
    largest = list(true)[:SHOWN]
    return {
        "exact": exact_seconds,
        "sampled": statistics.median(took),
        "method": estimated.provenance.method,
        "rows_scanned": estimated.provenance.rows_scanned,
        "error_median": float(np.median(off / sizes)),
        "within": float((off <= 1.96 * told + 0.5).mean()),
        "top_15_kept": len({_key(row, names) for row in rows} & set(largest)),
    }


def _key(row: Mapping[str, Any], names: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
