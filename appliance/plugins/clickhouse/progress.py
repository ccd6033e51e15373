"""How far a collector is, kept in ClickHouse: which batch of its flow log it began last.

A batch is written down before its rows are. Whoever goes on after a crash finds it, and makes sure
that its rows are there: all of them, once.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import StorageError
from appliance.flowlog import Cursor
from appliance.plugins.clickhouse.cluster import QUERY_SECONDS, Cluster, Node
from appliance.plugins.clickhouse.http import Refused, identifier, literal
from appliance.plugins.clickhouse.schema import BATCHES, batch_columns

SYNC_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Adjacent rows of a flow log, all of one day, that are inserted at once.

    Attributes
    ----------
    log
        Which flow log; another one begins at segment 1 again.
    shard
        Where they are.
    first, end
        The first row, and the place behind the last.
    day
        Since 1970, UTC, by the time of receipt.
    """

    number: int
    log: str
    shard: str
    first: Cursor
    end: Cursor
    rows: int
    day: int


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The newest batch of a collector.

    Attributes
    ----------
    age_seconds
        Since it was written down, by the server's clock.
    """

    batch: Batch
    age_seconds: int


def read_newest(cluster: Cluster, collector: str, *, surely: bool) -> StoredBatch | None:
    """Return the newest batch; None where there was none.

    Parameters
    ----------
    surely
        Wait until the server has what other servers have been told.

    Raises
    ------
    StorageError
        No server answers, or the only one with the newest rows is away.
    """

    def ask(node: Node) -> StoredBatch | None:
        if surely and cluster.layout.cluster:
            synchronise(cluster, node, BATCHES)
        columns = ", ".join(identifier(name) for name, _ in batch_columns())
        rows = node.server.rows(
            f"SELECT {columns}, toUInt32(now()) - toUInt32(written_at) FROM {BATCHES}"
            f" WHERE collector = {literal(collector)} ORDER BY batch DESC LIMIT 1",
            QUERY_SECONDS,
        )
        return _stored(dict(zip((*_NAMES, "age"), rows[0], strict=True))) if rows else None

    return cluster.any_node(ask)


def write_newest(cluster: Cluster, collector: str, batch: Batch, now: float) -> None:
    """Write down that a batch begins.

    Raises
    ------
    StorageError
        No server takes it.
    """
    values: dict[str, object] = {
        "collector": collector,
        "batch": batch.number,
        "log": batch.log,
        "shard": batch.shard,
        "first_segment": batch.first.segment,
        "first_row": batch.first.row,
        "end_segment": batch.end.segment,
        "end_row": batch.end.row,
        "rows": batch.rows,
        "day": batch.day,
        "written_at": int(now),
    }
    cluster.insert_row(BATCHES, batch_columns(), values)


_NAMES = [name for name, _ in batch_columns()]


def _stored(row: dict[str, object]) -> StoredBatch:
    def number(name: str) -> int:
        return int(str(row[name]))

    batch = Batch(
        number=number("batch"),
        log=str(row["log"]),
        shard=str(row["shard"]),
        first=Cursor(number("first_segment"), number("first_row")),
        end=Cursor(number("end_segment"), number("end_row")),
        rows=number("rows"),
        day=number("day"),
    )
    return StoredBatch(batch, number("age"))


def synchronise(cluster: Cluster, node: Node, table: str) -> None:
    """Wait until a server has what other replicas of a table were told.

    Raises
    ------
    Refused
        It does not get it.
    """
    named = f"{identifier(cluster.layout.database)}.{identifier(table)}"
    try:
        node.server.command(f"SYSTEM SYNC REPLICA {named}", SYNC_SECONDS)
    except StorageError as error:
        raise Refused(
            f"{node.server} does not have all that other servers were told, and these are away:"
            f" {error}"
        ) from error
