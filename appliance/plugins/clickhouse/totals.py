"""Flows and octets of each day, in the flow log and in ClickHouse: whether both have the same.

Octets are those that exporters told, not scaled, modulo 2^64 on both sides.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.flows import COLLECTION_TIME, AnyArray
from appliance.plugins.clickhouse.blocks import LAST_SECOND
from appliance.plugins.clickhouse.cluster import Cluster, Node
from appliance.plugins.clickhouse.http import literal
from appliance.plugins.clickhouse.progress import synchronise
from appliance.plugins.clickhouse.schema import DAY_SECONDS, FLOWS, PERIOD_SECONDS, SUMS

_PIECE_ROWS = 2_000_000
_TRIES = 5
_MODULUS = 1 << 64


class Totals(NamedTuple):
    """Rows, and the octets that exporters told for them."""

    rows: int = 0
    octets: int = 0

    def plus(self, other: Totals) -> Totals:
        """Return the totals of both."""
        return Totals(self.rows + other.rows, (self.octets + other.octets) % _MODULUS)


DayTotals = dict[int, Totals]
"""By day since 1970, UTC."""


@dataclass(slots=True)
class LogTotals:
    """What the flow log has before a place.

    Attributes
    ----------
    first, first_second
        Its oldest row, and when that was received.
    """

    end: Cursor
    first: Cursor = field(default_factory=Cursor)
    first_second: int = 0
    by_day: DayTotals = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayComparison:
    """A day in the flow log and in ClickHouse.

    Attributes
    ----------
    stored
        Flows of the same part of the log.
    unsummed
        How many flows more are in `flows` than in `sums`.
    """

    day: int
    log: Totals
    stored: Totals
    unsummed: int

    @property
    def is_equal(self) -> bool:
        """Whether all of it is in ClickHouse, once."""
        return self.log == self.stored and not self.unsummed


def log_totals(
    reader: FlowLogReader, end: Cursor, on_rows: Callable[[int], None] = lambda n: None
) -> LogTotals:
    """Read the log up to a place.

    Parameters
    ----------
    on_rows
        Called with the number of rows read so far.

    Raises
    ------
    StorageError
        It cannot be read, or its oldest part is deleted again and again meanwhile.
    """
    for _ in range(_TRIES):
        spans = [span for span in reader.spans() if span.n_rows and span.segment <= end.segment]
        if not spans:
            return LogTotals(end)
        totals = LogTotals(end, Cursor(spans[0].segment, 0))
        before_last = sum(span.n_rows for span in spans if span.segment < end.segment)
        _add_rows(reader, totals, before_last + end.row, on_rows)
        if reader.spans()[:1] == spans[:1]:
            return totals
    raise StorageError("the flow log loses its oldest files faster than it can be read")


def _add_rows(
    reader: FlowLogReader, totals: LogTotals, n_rows: int, on_rows: Callable[[int], None]
) -> None:
    cursor, left = totals.first, n_rows
    while left:
        columns = (COLLECTION_TIME, "octet_delta_count")
        tables, cursor = reader.follow(cursor, min(left, _PIECE_ROWS), columns=columns)
        if not tables:
            return
        for table in tables:
            times, octets = (table[name].fill_null(0).to_numpy() for name in columns)
            seconds = np.clip(times // 1000, 0, LAST_SECOND)
            totals.first_second = totals.first_second or int(seconds[0])
            _add_days(totals.by_day, seconds // DAY_SECONDS, octets)
            left -= table.num_rows
        on_rows(n_rows - left)


def _add_days(by_day: DayTotals, days: AnyArray, octets: AnyArray) -> None:
    for day in np.unique(days):
        of_day = days == day
        sums = Totals(int(of_day.sum()), int(octets[of_day].sum(dtype=np.uint64)))
        by_day[int(day)] = by_day.get(int(day), Totals()).plus(sums)


def compare_days(
    cluster: Cluster,
    collector: str,
    log: LogTotals,
    first_kept: Mapping[str, int],
    pause: Callable[[], None],
) -> list[DayComparison]:
    """Compare each day of the log with what ClickHouse has of it.

    A difference is looked at again: a writer that is at work may be between flows and sums.

    Parameters
    ----------
    first_kept
        By table: days before are no longer kept in ClickHouse, and left out.

    Raises
    ------
    StorageError
        A shard is away, or does not have all that it was told.
    """
    cluster.connect()
    days: list[DayComparison] = []
    for _ in range(_TRIES):
        days = _compare_once(cluster, collector, log, first_kept)
        if all(day.is_equal for day in days):
            break
        pause()
    return days


def _compare_once(
    cluster: Cluster, collector: str, log: LogTotals, first_kept: Mapping[str, int]
) -> list[DayComparison]:
    days = [day for day in sorted(log.by_day) if day >= first_kept[FLOWS]]
    if not days:
        return []
    mine = f"collector = {literal(collector)}"
    first_batch = _first_batch(cluster, mine, log)
    stored: DayTotals = {}
    unsummed: dict[int, int] = {}
    for shard in cluster.shards():
        ask = partial(_stored, cluster, mine, f"batch >= {first_batch} AND {_part(log)}", days[0])
        for day, totals, missing in cluster.on_shard(shard, ask):
            stored[day] = stored.get(day, Totals()).plus(totals)
            unsummed[day] = unsummed.get(day, 0) + missing
    return [
        DayComparison(
            day,
            log.by_day[day],
            stored.get(day, Totals()),
            unsummed.get(day, 0) if day >= first_kept[SUMS] else 0,
        )
        for day in days
    ]


def _first_batch(cluster: Cluster, mine: str, log: LogTotals) -> int:
    """Return the batch of the log's oldest row.

    A log that was begun anew has the segments of the one before; its batches are later ones.
    """
    period = log.first_second // PERIOD_SECONDS * PERIOD_SECONDS
    local = cluster.layout.local(FLOWS)
    query = (
        f"SELECT max(batch) FROM {local} WHERE {mine} AND segment = {log.first.segment}"
        f" AND `row` = {log.first.row} AND period = toDateTime({period})"
    )

    def ask(node: Node) -> int:
        rows = node.server.rows(query)
        return int(rows[0][0] or 0) if rows else 0

    return max(cluster.on_shard(shard, ask) for shard in cluster.shards())


def _part(log: LogTotals) -> str:
    """Return the condition for rows of the part of the log that was read."""
    (s0, r0), (s1, r1) = log.first, log.end
    return (
        f"(segment > {s0} OR (segment = {s0} AND `row` >= {r0}))"
        f" AND (segment < {s1} OR (segment = {s1} AND `row` < {r1}))"
    )


def _stored(
    cluster: Cluster, mine: str, of_log: str, first_day: int, node: Node
) -> list[tuple[int, Totals, int]]:
    """Return of each day: what ClickHouse has of the log, and rows that `sums` lacks."""
    flows, sums = (cluster.layout.local(table) for table in (FLOWS, SUMS))
    for table in (flows, sums) if cluster.layout.cluster else ():
        synchronise(cluster, node, table)
    summed = dict(
        node.server.rows(
            f"SELECT {_day('minute')}, sum(rows) {_by_day(sums, mine, 'minute', first_day)}"
        )
    )
    rows = node.server.rows(
        f"SELECT {_day('period')}, countIf({of_log}), sumIf(octet_delta_count, {of_log}), count()"
        f" {_by_day(flows, mine, 'period', first_day)}"
    )
    return [
        (int(day), Totals(int(n), int(octets or 0)), int(total) - int(summed.get(day, 0)))
        for day, n, octets, total in rows
    ]


def _by_day(table: str, mine: str, time_column: str, first_day: int) -> str:
    start = f"{time_column} >= toDateTime({first_day * DAY_SECONDS})"
    return f"FROM {table} WHERE {mine} AND {start} GROUP BY day"


def _day(time_column: str) -> str:
    return f"intDiv(toUInt32({time_column}), {DAY_SECONDS}) AS day"
