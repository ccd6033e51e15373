"""Forgetting exporters: which of them, and the deletion of what is stored of each.

The sender of a datagram can be invented, and each address that sends a flow gets an identifier. So
an exporter that nobody gave a name or info is forgotten again when it sent next to nothing and is
silent; when there is no room for another, those give way that are least known. What they sent
stays in the sums over all exporters, and in the flow log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from appliance.collector.newcomers import KNOWN_AFTER_MS
from appliance.plugins.rollups.bins import SECONDS, Size
from appliance.plugins.rollups.dimensions import Dimension
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import APPLICATION, KNOWN_EXPORTER, ROLLUP, SESSION_APPLICATION

FEW_FLOWS = 100
"""An exporter with fewer in all has sent next to nothing."""

SILENT_SECONDS = 86_400
SETTLED_QUARTERS = 4
"""An exporter that was heard in so many quarters of an hour gives way only when all were."""

LEAST_ROOM = 8192
"""So many that are not settled give way at once, as choosing them reads the sums of all."""

_CHUNK = 1000
_DAYS_LOOKED_INTO = 2
"""The quarters of exporters that were heard on more days are not counted one by one."""


class Activity(NamedTuple):
    """What an exporter sent.

    Attributes
    ----------
    flows
        Counted up to `FEW_FLOWS` a month and direction only.
    quarters
        In how many quarters of an hour; of many days, as many as they have.
    heard
        End of the last bin with flows, seconds since 1970; 0 without any.
    """

    flows: int = 0
    quarters: int = 0
    heard: int = 0


def exporter_activity(database: SqlDatabase, exporters: Sequence[int]) -> dict[int, Activity]:
    """Return what is known of exporters, inside a transaction of the caller's."""
    flows = {
        number: int(most)
        for number, most, *_ in _totals(
            database, f"SUM({database.dialect.least}(flows, {FEW_FLOWS}))", Size.MONTH, exporters
        )
    }
    bins = "COUNT(DISTINCT bin_start), MAX(bin_start)"
    days = {
        number: (int(n), int(last))
        for number, n, last in _totals(database, bins, Size.DAY, exporters)
    }
    few_days = [number for number, (n, _) in days.items() if n <= _DAYS_LOOKED_INTO]
    quarters = {
        number: (int(n), int(last))
        for number, n, last in _totals(database, bins, Size.QUARTER, few_days)
    }
    minutes = {
        number: int(last)
        for number, last in _totals(database, "MAX(bin_start)", Size.MINUTE, few_days)
    }
    activity = {}
    for number in exporters:
        n_days, day = days.get(number, (0, -SECONDS[Size.DAY]))
        n_quarters, quarter = quarters.get(
            number, (n_days * 96, day + SECONDS[Size.DAY] - SECONDS[Size.QUARTER])
        )
        heard = minutes.get(number, quarter + SECONDS[Size.QUARTER] - 60) + 60
        activity[number] = Activity(flows.get(number, 0), n_quarters, heard)
    return activity


def silent_exporters(
    activity: Mapping[int, Activity], changed: Mapping[int, float], now: float
) -> list[int]:
    """Return those that sent next to nothing and are silent.

    Parameters
    ----------
    changed
        When each was made or changed, seconds since 1970.
    """
    return [
        number
        for number, (flows, _, heard) in activity.items()
        if flows < FEW_FLOWS and max(heard, changed[number]) < now - SILENT_SECONDS
    ]


def is_lasting(activity: Activity, since: float) -> bool:
    """Tell whether an exporter was heard of for more than a newcomer is.

    Parameters
    ----------
    since
        When it came, seconds since 1970; after its first flows where these come out of an old log,
        but then more than two quarters of an hour say the same.
    """
    last_minute = activity.heard - 60
    return activity.quarters > 2 or last_minute - since >= KNOWN_AFTER_MS / 1000


def least_known(activity: Mapping[int, Activity], n: int) -> list[int]:
    """Return those that give way to n others: first whoever is not settled, silent longest.

    An invented exporter sends once, an honest one again and again: the one that was heard last
    stays. Neither flows nor repetition within a few minutes settle an exporter, as both are cheap
    to invent.
    """
    passing = [number for number, a in activity.items() if a.quarters < SETTLED_QUARTERS]
    passing.sort(key=lambda number: (activity[number].heard, activity[number].flows, -number))
    chosen = passing[: max(n, LEAST_ROOM)]
    if len(chosen) < n:
        settled = sorted(activity.keys() - set(passing), key=lambda a: (activity[a].quarters, -a))
        chosen += settled[: n - len(chosen)]
    return chosen


def delete_exporters(database: SqlDatabase, exporters: Mapping[int, str]) -> None:
    """Delete what the flow database has of exporters, inside a transaction of the caller's.

    Parameters
    ----------
    exporters
        Addresses by identifier.
    """
    for part in chunks(exporters):
        for dimension in Dimension:
            for size in Size:
                database.execute(
                    f"DELETE FROM {ROLLUP} WHERE dimension = ? AND size = ?"
                    f" AND exporter IN ({number_list(part)})",
                    (int(dimension), int(size)),
                )
        database.execute(f"DELETE FROM {KNOWN_EXPORTER} WHERE id IN ({number_list(part)})")
    delete_applications(database, list(exporters.values()))


def delete_applications(database: SqlDatabase, exporters: Sequence[str]) -> None:
    """Delete the names that exporters gave their applications."""
    for first in range(0, len(exporters), _CHUNK):
        addresses = exporters[first : first + _CHUNK]
        marks = ", ".join("?" * len(addresses))
        for table in (APPLICATION, SESSION_APPLICATION):
            database.execute(f"DELETE FROM {table} WHERE exporter IN ({marks})", addresses)


def chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Part numbers into lists that fit into a statement."""
    rows = list(numbers)
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]


def number_list(numbers: Iterable[int]) -> str:
    """Return numbers as SQL."""
    return ", ".join(str(int(number)) for number in numbers)


def _totals(
    database: SqlDatabase, what: str, size: Size, exporters: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    for part in chunks(exporters):
        for number, *values in database.rows(
            f"SELECT exporter, {what} FROM {ROLLUP} WHERE dimension = ? AND size = ?"
            f" AND exporter IN ({number_list(part)}) AND direction IN (0, 1) GROUP BY exporter",
            (int(Dimension.TOTAL), int(size)),
        ):
            yield (int(number), *values)
