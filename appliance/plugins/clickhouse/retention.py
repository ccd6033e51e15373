"""Old flows and sums go by whole days: a partition is dropped, no row is looked at."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

from appliance.plugins.clickhouse.cluster import SYSTEM, Cluster, Node
from appliance.plugins.clickhouse.http import literal
from appliance.plugins.clickhouse.schema import drop_partition_statement


def drop_old_days(cluster: Cluster, table: str, first_kept: int) -> int:
    """Drop the days before one, in each shard; return how many rows they had.

    Parameters
    ----------
    first_kept
        The first day that stays, since 1970, UTC.

    Raises
    ------
    StorageError
        A shard is away.
    """
    cluster.connect()

    def drop(node: Node) -> int:
        days = node.server.rows(
            "SELECT partition, sum(rows) FROM parts WHERE active"
            f" AND database = {literal(cluster.layout.database)}"
            f" AND table = {literal(cluster.layout.local(table))}"
            f" AND toUInt32OrZero(partition) < {first_kept} GROUP BY partition",
            database=SYSTEM,
        )
        for day, _ in days:
            statement = drop_partition_statement(cluster.layout, table, int(day))
            node.server.command(statement, database=SYSTEM)
        return sum(int(rows) for _, rows in days)

    return sum(cluster.on_shard(shard, drop) for shard in cluster.shards())
