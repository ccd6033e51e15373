"""The servers that are written to: which shard each is of, and that its tables are as they should.

A server that is away when the writer begins is looked for again now and then; its tables are made
when it is there.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from appliance.errors import StorageError
from appliance.plugins.clickhouse.http import HostPort, Refused, Server, Unreachable, literal
from appliance.plugins.clickhouse.native import NativeColumn, encode_block
from appliance.plugins.clickhouse.schema import (
    GROWING,
    Layout,
    add_column_statements,
    create_statements,
    is_current,
)
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

LOOK_AGAIN_SECONDS = 30.0
QUERY_SECONDS = 10.0
"""For what is a matter of milliseconds."""

SYSTEM = "system"
ONLY_SHARD = ""
"""The shard of a single server."""

_LOST_TABLES = frozenset((16, 36, 60, 81))
"""Of ClickHouse's errors: no such column, wrong arguments, no such table, no such database."""

Result = TypeVar("Result")
ColumnTypes = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Node:
    """A server whose shard and version are known."""

    server: Server
    shard: str
    version: str

    @property
    def is_current(self) -> bool:
        """Whether it knows codecs, indexes and the settings of current servers."""
        return is_current(self.version)

    @property
    def insert_settings(self) -> dict[str, object]:
        """The settings of an insert that is acknowledged when it is stored."""
        return {"async_insert": 0} if self.is_current else {}


class Cluster:
    """All servers, those that were reached once by shard.

    Attributes
    ----------
    nodes
        By address; one that has gone away since stays.
    problems
        Why others are not there, by address.
    """

    def __init__(self, servers: Sequence[Server], layout: Layout) -> None:
        self.servers, self.layout = list(servers), layout
        self.nodes: dict[HostPort, Node] = {}
        self.problems: dict[HostPort, StorageError] = {}
        self._look_at = 0.0
        self._silent: dict[HostPort, float] = {}

    def connect(self) -> None:
        """Look for servers that were not reached yet, and make what tables they lack.

        Raises
        ------
        StorageError
            None was ever reached.
        """
        missing = [s for s in self.servers if s.address not in self.nodes]
        if not missing or (self.nodes and time.monotonic() < self._look_at):
            return
        self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        for server in missing:
            try:
                node = probe(server, self.layout.cluster)
                self._make_tables(node)
            except StorageError as error:
                self.problems[server.address] = error
                log.warning("%s", error)
                continue
            self.problems.pop(server.address, None)
            self.nodes[server.address] = node
        if not self.nodes:
            raise next(iter(self.problems.values()))

    def shards(self) -> dict[str, list[Node]]:
        """Return the servers of each shard that has one that was reached."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            found.setdefault(node.shard, []).append(node)
        return dict(sorted(found.items()))

    def any_node(self, ask: Callable[[Node], Result]) -> Result:
        """Ask one server after the other; see `on_shard`."""
        return self._first(list(self.nodes.values()), ask)

    def insert_row(
        self, table: str, columns: Sequence[tuple[str, str]], values: Mapping[str, object]
    ) -> None:
        """Insert one row into a table of which every server has the whole.

        Parameters
        ----------
        columns
            Name and type of each.

        Raises
        ------
        StorageError
            No server takes it.
        """
        encoded = [
            NativeColumn(name, kind, np.array([values[name]], object if kind == "String" else None))
            for name, kind in columns
        ]
        names, block = [name for name, _ in columns], encode_block(encoded, 1)
        self.any_node(
            lambda node: node.server.insert(
                table, names, block, QUERY_SECONDS, node.insert_settings
            )
        )

    def on_shard(self, shard: str, ask: Callable[[Node], Result]) -> Result:
        """Ask the servers of a shard, one after the other, until one does it.

        One that refuses may have lost its ZooKeeper, or its disk, and another one not.

        Raises
        ------
        StorageError
            None does.
        """
        nodes = self.shards().get(shard)
        if not nodes:
            raise Unreachable(f"no server of shard {shard} of ClickHouse is there")
        return self._first(nodes, ask)

    def _first(self, nodes: Sequence[Node], ask: Callable[[Node], Result]) -> Result:
        problem: StorageError = Unreachable("no server of ClickHouse is there")
        now = time.monotonic()
        # Those that did not answer lately come last: each costs as long as one waits for it.
        for node in sorted(nodes, key=lambda n: self._silent.get(n.server.address, 0.0) > now):
            try:
                return ask(node)
            except Refused as error:
                problem = error
                if error.code in _LOST_TABLES:
                    self.nodes.pop(node.server.address, None)
                    self._look_at = 0.0
            except Unreachable as error:
                problem = error
                self._silent[node.server.address] = time.monotonic() + LOOK_AGAIN_SECONDS
        raise problem

    def _make_tables(self, node: Node) -> None:
        layout = replace(self.layout, is_current=node.is_current)
        known = {}
        for table in GROWING:
            local = layout.local(table)
            own = table_columns(node.server, layout.database, local)
            known[table] = own or self._columns_elsewhere(local)
        for statement in create_statements(layout, known):
            node.server.command(statement, database=SYSTEM)
        for table, columns in GROWING.items():
            for named in dict.fromkeys((layout.local(table), table)):
                self._add_columns(node.server, layout, named, columns())

    def _columns_elsewhere(self, local: str) -> ColumnTypes:
        """Return the columns that another server has: a new replica must begin with these."""
        for other in self.servers:
            try:
                columns = table_columns(other, self.layout.database, local)
            except StorageError:
                continue
            if columns:
                return columns
        return []

    def _add_columns(
        self, server: Server, layout: Layout, table: str, columns: ColumnTypes
    ) -> None:
        def missing() -> ColumnTypes:
            there = dict(table_columns(server, layout.database, table))
            for name, kind in columns:
                if there.get(name, kind) != kind:
                    text = f"{server}: column {name} of {table} is {there[name]}, expected {kind}"
                    raise Refused(text)
            return [(name, kind) for name, kind in columns if name not in there]

        for statement in add_column_statements(layout, table, missing()):
            try:
                server.command(statement, database=SYSTEM)
            except Refused:
                # Another collector, or a replica, may have added it meanwhile.
                if statement in add_column_statements(layout, table, missing()):
                    raise


def probe(server: Server, cluster: str) -> Node:
    """Ask a server for its version and its shard.

    Raises
    ------
    StorageError
        It does not answer, or is no server of the cluster.
    """
    ((version,),) = server.rows("SELECT version()", QUERY_SECONDS, database=SYSTEM)
    if not cluster:
        return Node(server, ONLY_SHARD, version)
    names = server.rows(
        f"SELECT count() FROM clusters WHERE cluster = {literal(cluster)}",
        QUERY_SECONDS,
        database=SYSTEM,
    )
    if names == [[0]]:
        raise Refused(f"{server} knows no cluster {cluster}: see remote_servers in its settings")
    macros = dict(
        server.rows("SELECT macro, substitution FROM macros", QUERY_SECONDS, database=SYSTEM)
    )
    if not {"shard", "replica"} <= macros.keys():
        raise Refused(f"{server} has no macros shard and replica in its settings")
    return Node(server, str(macros["shard"]), version)


def table_columns(server: Server, database: str, table: str) -> ColumnTypes:
    """Return name and type of a table's columns, in order; none where there is no such table."""
    rows = server.rows(
        f"SELECT name, type FROM columns WHERE database = {literal(database)}"
        f" AND table = {literal(table)}",
        QUERY_SECONDS,
        database=SYSTEM,
    )
    return [(name, kind) for name, kind in rows]
