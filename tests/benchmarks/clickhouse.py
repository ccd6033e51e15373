"""The flow log into ClickHouse: rows a second into one server and a cluster, octets a flow, and how
long answers take.

Servers are of Debian's 18.16, all on this machine beside the writer; octets are those of all
replicas' compressed parts, divided by replicas, after the server has merged what it wanted to.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from appliance.flowlog import FLOW_LOG_FOLDER, FlowLogLimits, FlowLogWriter, Maintainer
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.http import Access, HostPort, Server
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.writer import ClickHouseLoader
from tests.benchmarks.clickhouse_answers import clickhouse_answers, log_answers
from tests.benchmarks.history import History, Traffic
from tests.clickhouse_servers import running_cluster, running_current_engine, running_server

MOST_FLOWS = 10_000_000
DATABASE = "netflow"
_BATCH, _BATCH_SECONDS = 250_000, 60
_MERGE_SECONDS = 20.0


def clickhouse(folder: Path, flows: int) -> dict[str, Any]:
    """Write one log into each kind of ClickHouse that there is; at most `MOST_FLOWS` flows."""
    flows = min(flows, MOST_FLOWS)
    log = folder / FLOW_LOG_FOLDER
    octets = _write_log(log, flows) / flows
    report: dict[str, Any] = {
        "flow log": {"octets_per_flow": octets, "answer_seconds": log_answers(log)}
    }
    with ExitStack() as stack:
        server = stack.enter_context(running_server(folder / "single"))
        report["18.16, one server"] = _measure(log, [server.address], "", 1, flows)
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(folder / "cluster"))
        report["18.16, 2 x 2"] = _measure(log, cluster.addresses, cluster.name, 2, flows)
    if "CHDB_PYTHON" in os.environ:
        with running_current_engine(folder / "current") as engine:
            report["current, in process"] = _measure(log, [engine.address], "", 1, flows)
    return report


def _write_log(log: Path, flows: int) -> int:
    """Write flows of an hour or so, seal them, and return the octets of the files."""
    limits = FlowLogLimits(retention_seconds=0, minimum_free_octets=0)
    writer = FlowLogWriter(log, limits)
    writer.start()
    traffic = Traffic(History(1, flows))
    start = int(time.time()) // 86_400 * 86_400 - 86_400
    for number in range(-(-flows // _BATCH)):
        since = start + number * _BATCH_SECONDS
        n = min(_BATCH, flows - number * _BATCH)
        writer.append(traffic.flows(since, since + _BATCH_SECONDS, n))
        writer.flush({}, (since + _BATCH_SECONDS) * 1000)
    writer.close(start * 1000)
    Maintainer(log, limits, lambda: None).run_once(int(time.time() * 1000), patient=False)
    return sum(path.stat().st_size for path in (log / "flows").iterdir())


def _measure(
    log: Path, addresses: list[str], cluster: str, n_replicas: int, flows: int
) -> dict[str, Any]:
    servers = [
        Server(HostPort("127.0.0.1", int(address.rpartition(":")[2])), Access(DATABASE))
        for address in addresses
    ]
    loader = ClickHouseLoader(Cluster(servers, Layout(DATABASE, cluster)), "bench", log)
    loader.batch_seconds = 0.0
    loader.cluster.connect()
    began, cpu = time.monotonic(), time.process_time()
    rows = 0
    while (report := loader.load_once(time.time())).busy or report.rows:
        rows += report.rows
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    loader.close()
    if rows != flows:
        sys.exit(f"{rows} rows were written, expected {flows}")
    return {
        "rows_per_second": rows / seconds,
        "rows_per_cpu_second": rows / cpu_seconds,
        "octets_per_flow": _octets(servers, "flows") / n_replicas / rows,
        "sum_octets_per_flow": _octets(servers, "sums") / n_replicas / rows,
        "answer_seconds": clickhouse_answers(servers, Layout(DATABASE, cluster), log),
        "peak_memory_octets": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _octets(servers: list[Server], table: str) -> int:
    """Return the octets of a table on all servers, once they have not changed for a while."""
    sql = (
        "SELECT sum(bytes_on_disk) FROM parts WHERE active"
        f" AND database = '{DATABASE}' AND table IN ('{table}', '{table}_local')"
    )
    end, found = time.monotonic() + _MERGE_SECONDS, -1
    while time.monotonic() < end:
        now = sum(int(server.rows(sql, database="system")[0][0] or 0) for server in servers)
        if now == found:
            break
        found = now
        time.sleep(4)
    return found
