"""Lines of `appliance check`: servers, shards, disks, and whether the writer gets on."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from appliance.contracts import FAIL, HINT, OK, Finding
from appliance.errors import StorageError
from appliance.plugins.clickhouse.cluster import SYSTEM, Cluster, Node, probe
from appliance.plugins.clickhouse.http import Refused, literal
from appliance.plugins.clickhouse.status import read_status

WHAT = "ClickHouse"
_FULL_SHARE = 0.9
_MOST_QUEUED = 100
_PATIENCE_SECONDS = 60


class ClickHouseCheck:
    """Asks every server how it is; changes nothing."""

    def __init__(self, cluster: Cluster, collector: str, folder: Path) -> None:
        self.cluster, self.collector, self._folder = cluster, collector, folder

    def findings(self) -> list[Finding]:
        """Return a line for each server, one for the shards, and one for the writer."""
        nodes: list[Node] = []
        lines: list[Finding] = []
        for server in self.cluster.servers:
            try:
                node = probe(server, self.cluster.layout.cluster)
                lines.append(self._server_line(node))
                nodes.append(node)
            except StorageError as error:
                lines.append(Finding(HINT, WHAT, str(error)))
        if not nodes:
            text = "no server is there: the flow log keeps what is to be written"
            return [*lines, Finding(FAIL, WHAT, text)]
        return [*lines, *self._shard_lines(nodes), *self._writer_lines()]

    def _server_line(self, node: Node) -> Finding:
        server = node.server
        form = "current" if node.is_current else "legacy: no codecs, no indexes of columns"
        shard = f", shard {node.shard}" if node.shard else ""
        text = f"{server.address} has version {node.version} ({form}){shard}"
        if node.is_current:
            rows = server.rows(
                "SELECT sum(free_space), sum(total_space) FROM disks", 10, database=SYSTEM
            )
            free, total = (int(number) for number in rows[0])
            if total and free < (1 - _FULL_SHARE) * total:
                return Finding(HINT, WHAT, f"{text}; its disk is {1 - free / total:.0%} full")
        replica = self._replica_problem(node)
        return Finding(HINT if replica else OK, WHAT, text + (f"; {replica}" if replica else ""))

    def _replica_problem(self, node: Node) -> str:
        if not self.cluster.layout.cluster:
            return ""
        try:
            node.server.rows("SELECT count() FROM zookeeper WHERE path = '/'", 10, database=SYSTEM)
        except Refused:
            return "its ZooKeeper is away"
        rows = node.server.rows(
            "SELECT max(is_readonly), max(queue_size), max(absolute_delay) FROM replicas"
            f" WHERE database = {literal(self.cluster.layout.database)}",
            10,
            database=SYSTEM,
        )
        read_only, queued, delay = (int(number or 0) for number in rows[0])
        if read_only:
            return "its tables are read-only, as ZooKeeper does not know it"
        if queued > _MOST_QUEUED:
            return f"it is {delay} s behind other replicas ({queued} parts)"
        return ""

    def _shard_lines(self, nodes: list[Node]) -> Iterator[Finding]:
        if not self.cluster.layout.cluster:
            return
        rows = nodes[0].server.rows(
            "SELECT shard_num, count() FROM clusters"
            f" WHERE cluster = {literal(self.cluster.layout.cluster)} GROUP BY shard_num",
            10,
            database=SYSTEM,
        )
        n_shards, n_servers = len(rows), sum(int(n) for _, n in rows)
        n_there = len({node.shard for node in nodes})
        text = f"{n_there} of {n_shards} shards and {len(nodes)} of {n_servers} servers are there"
        if n_servers > len(self.cluster.servers):
            text += ", as clickhouse.addresses does not name all"
        yield Finding(OK if len(nodes) == n_servers else HINT, WHAT, text)

    def _writer_lines(self) -> Iterator[Finding]:
        status = read_status(self._folder)
        if status is None:
            text = f"nothing was written yet; collector.name is {self.collector}"
            yield Finding(OK, WHAT, text)
            return
        numbers, problem = status
        since = numbers["failing_since"]
        if since and time.time() - since > _PATIENCE_SECONDS:
            minutes = int(time.time() - since) // 60
            text = f"nothing can be written for {minutes} min: {problem}"
            yield Finding(FAIL, WHAT, text)
            return
        text = f"{self.collector} wrote {int(numbers['rows'])} rows"
        if numbers["rows_lost"]:
            yield Finding(HINT, WHAT, f"{text}; {int(numbers['rows_lost'])} may be missing")
        else:
            yield Finding(OK, WHAT, text)
