"""One batch into the tables of a shard: once, whatever was tried before."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from appliance.plugins.clickhouse.blocks import Block
from appliance.plugins.clickhouse.cluster import QUERY_SECONDS, SYSTEM, Cluster, Node
from appliance.plugins.clickhouse.http import Refused, literal
from appliance.plugins.clickhouse.progress import Batch
from appliance.plugins.clickhouse.schema import (
    DAY_SECONDS,
    FLOWS,
    PERIOD_SECONDS,
    TIME_COLUMNS,
)

INSERT_SECONDS = 20.0
"""Whatever else follows the log waits as long: a retry is the same octets, and costs little."""

SETTLE_SECONDS = 1.0
"""A server that answers again may just begin with what was sent to it before it did not."""


class Insertion:
    """Inserts a batch where it is missing.

    Parameters
    ----------
    tables
        Those that get something of each batch, in this order.
    """

    def __init__(
        self, cluster: Cluster, collector: str, batch: Batch, tables: Sequence[str]
    ) -> None:
        self.cluster, self.collector, self.batch = cluster, collector, batch
        self.tables = tuple(tables)

    def missing(self) -> list[str]:
        """Return the tables that do not have the batch, as a server of its shard sees it.

        Raises
        ------
        StorageError
            No server of the shard answers, or one still works on it.
        """
        return self.cluster.on_shard(self.batch.shard, self._missing)

    def insert(self, blocks: Mapping[str, Callable[[], Block]], wanted: Sequence[str]) -> None:
        """Insert the blocks of the tables that are wanted.

        Raises
        ------
        StorageError
            It is not known whether all is there.
        """
        for table in wanted:
            self.cluster.on_shard(self.batch.shard, partial(self._insert, table, blocks[table]()))

    def _insert(self, table: str, block: Block, node: Node) -> None:
        settings = node.insert_settings | {"query_id": self._query_id(table)}
        if node.is_current:
            settings["insert_deduplication_token"] = f"{self.batch.log}-{self._query_id(table)}"
        local = self.cluster.layout.local(table)
        node.server.insert(local, block.names, block.octets, INSERT_SECONDS, settings)

    def _query_id(self, table: str) -> str:
        return f"flows-{self.collector}-{table}-{self.batch.number}"

    def _missing(self, node: Node) -> list[str]:
        self._wait_for_others(node)
        start = self.batch.day * DAY_SECONDS
        end = min(start + DAY_SECONDS, (1 << 32) - PERIOD_SECONDS)
        mine = f"collector = {literal(self.collector)} AND batch = {self.batch.number}"
        counted = {}
        for table in self.tables:
            time_column = TIME_COLUMNS[table]
            ((n,),) = node.server.rows(
                f"SELECT count() FROM {self.cluster.layout.local(table)} WHERE {mine}"
                f" AND {time_column} >= toDateTime({start}) AND {time_column} < toDateTime({end})"
            )
            counted[table] = n
        if counted[FLOWS] not in (0, self.batch.rows):
            raise Refused(
                f"{node.server} has {counted[FLOWS]} rows of batch {self.batch.number} of collector"
                f" {self.collector}, expected {self.batch.rows} or none: it has two writers"
            )
        return [table for table, n in counted.items() if not n]

    def _wait_for_others(self, node: Node) -> None:
        """Wait for an insert of the batch that the server still works on.

        In a cluster ZooKeeper tells a second insert; a single server of 18.16 would store both.
        """
        if self.cluster.layout.cluster:
            return
        time.sleep(SETTLE_SECONDS)
        names = literal([self._query_id(table) for table in self.tables])
        running = f"SELECT count() FROM processes WHERE query_id IN {names}"
        if node.server.rows(running, QUERY_SECONDS, database=SYSTEM) != [[0]]:
            raise Refused(f"{node.server} still works on batch {self.batch.number}")
