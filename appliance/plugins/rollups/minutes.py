"""The minutes that are still being filled: their sources, destinations and ports.

A cut bin cannot be added to without losing exactness, so all names of the newest minutes stay in
memory and the largest are written every few seconds, each time in place of those before. With a
piece of the log, in its transaction, goes the list of open minutes, each with the cursor before its
first flow: after a crash the log is read again from there, for these minutes only, and what is
found is what was lost. The last `OPEN` minutes in the order of the log are open. A flow of an older
one, after the clock went back, is merged into the stored bin, whose error bound then grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from appliance.flowlog import Cursor
from appliance.flows import AnyArray
from appliance.plugins.rollups.accumulator import Accumulator, by_direction, without_exporter
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.classify import Flows
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import (
    ALL_EXPORTERS,
    DIRECTIONS,
    LARGEST_ONLY,
    Dimension,
)
from appliance.plugins.rollups.exact import port_groups
from appliance.plugins.rollups.grouping import Groups, IntArray, add_sums, group_rows, regroup
from appliance.plugins.rollups.stored_tops import read_tops, write_tops
from appliance.plugins.rollups.tops import cells, merge_tops, top_n_from_groups
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP

OPEN = 3

NamesByMinute = dict[Dimension, list[tuple[int, Groups]]]
"""By dimension, (minute, sums by exporter * 2 + direction and name)."""


@dataclass(slots=True)
class OpenMinute:
    """One minute; the cells of its accumulators are the directions."""

    first: Cursor
    names: dict[Dimension, Accumulator]
    written: float = 0.0
    unwritten: IntArray = field(default_factory=lambda: np.zeros(3, np.int64))
    changed: bool = False


@dataclass
class OpenMinutes:
    """The open minutes, the one that had a flow last at the end."""

    limits: StoreLimits
    minutes: dict[int, OpenMinute] = field(default_factory=dict)

    def first_cursors(self) -> dict[int, Cursor]:
        """Return the open minutes with the cursor before their first flow."""
        return {start: minute.first for start, minute in self.minutes.items()}

    def unwritten(self) -> dict[int, list[int]]:
        """Return, by minute, the sums of flows whose names are not written."""
        return {s: m.unwritten.tolist() for s, m in self.minutes.items() if m.changed}

    def open(self, start: int, first: Cursor) -> OpenMinute:
        """Begin a minute."""
        names = {dimension: Accumulator(self.limits.group_names) for dimension in LARGEST_ONLY}
        self.minutes[start] = OpenMinute(first, names)
        return self.minutes[start]

    def add(self, pieces: NamesByMinute) -> None:
        """Add sums of minutes that are open; others are left out."""
        directions = {
            start: regroup(without_exporter(ports), [0]) for start, ports in pieces[Dimension.PORT]
        }
        for dimension, parts in pieces.items():
            for start, groups in parts:
                if minute := self.minutes.get(start):
                    minute.names[dimension].add(without_exporter(groups), directions[start])
        for start, sums in directions.items():
            if minute := self.minutes.get(start):
                minute.unwritten = add_sums([minute.unwritten, *sums.sums])
                minute.changed = True

    def touch(self, order: Iterable[int]) -> list[int]:
        """Move minutes to the end in this order; return those that are thereby closed."""
        for start in order:
            if minute := self.minutes.pop(start, None):
                self.minutes[start] = minute
        return list(self.minutes)[:-OPEN]

    def due(self, now: float) -> bool:
        """Tell whether something is to be written."""
        pause = self.limits.provisional_seconds
        return any(m.changed and abs(now - m.written) >= pause for m in self.minutes.values())

    def write(self, database: SqlDatabase, now: float, closing: Iterable[int]) -> bool:
        """Store what changed and is due, everything of those that close; return whether that was
        anything.

        It can be repeated as long as the transaction around it was not committed.
        """
        last, written = set(closing), False
        pause = self.limits.provisional_seconds
        for start, minute in self.minutes.items():
            due = start in last or abs(now - minute.written) >= pause
            if minute.changed and due:
                self._write_minute(database, start, minute)
                minute.written, minute.changed, written = now, False, True
                minute.unwritten = np.zeros(3, np.int64)
        for start in last:
            del self.minutes[start]
        return written

    def _write_minute(self, database: SqlDatabase, start: int, minute: OpenMinute) -> None:
        totals = _totals(database, start)
        for dimension, accumulator in minute.names.items():
            groups, bins = accumulator.groups(), {}
            for cell, part in cells(groups) if groups else ():
                total = totals[cell]
                error_bound = accumulator.error_bound_of(cell, total)
                bins[ALL_EXPORTERS, cell, start] = top_n_from_groups(
                    dimension, part, self.limits.top, error_bound, total
                )
            write_tops(database, dimension, Size.MINUTE, bins)


def piece_names(flows: Flows, groups: Groups, ids: Sequence[int]) -> NamesByMinute:
    """Sum a piece of the log by name.

    Parameters
    ----------
    groups
        The sums of the piece that exact roll-ups are made of.
    ids
        The identifiers of its exporters.
    """
    numbers = np.array(ids or [ALL_EXPORTERS], np.int32) * 2
    cell = numbers[flows.exporter] + flows.direction
    whole = {Dimension.PORT: port_groups(groups)}
    for dimension, address in (
        (Dimension.SOURCE, flows.source),
        (Dimension.DESTINATION, flows.destination),
    ):
        columns: list[AnyArray] = [flows.minutes, cell, *address]
        whole[dimension] = group_rows(columns, flows.octets, flows.packets, flows.flows)
    return {dimension: list(cells(found)) for dimension, found in whole.items()}


def merge_late(
    database: SqlDatabase,
    limits: StoreLimits,
    start: int,
    pieces: NamesByMinute,
) -> None:
    """Merge sums into the stored bins of a minute that is closed."""
    totals = _totals(database, start)
    for dimension, parts in pieces.items():
        for _, groups in (part for part in parts if part[0] == start):
            for direction, names in cells(by_direction(groups)):
                total = add_sums(names.sums)
                nothing = np.zeros(3, np.int64)
                late = top_n_from_groups(dimension, names, len(names.sums), nothing, total)
                place = (ALL_EXPORTERS, direction)
                stored = read_tops(database, dimension, Size.MINUTE, place, start, start + 1)
                both = merge_tops([*stored.values(), late], limits.top, totals[direction])
                write_tops(database, dimension, Size.MINUTE, {(*place, start): both})


def minutes_in_order(minutes: IntArray) -> list[int]:
    """Return the distinct minutes in the order of their last flow."""
    if not len(minutes):
        return []
    ends = np.flatnonzero(np.append(minutes[1:] != minutes[:-1], True))
    last: dict[int, None] = {}
    for start in minutes[ends].tolist():
        last.pop(start, None)
        last[start] = None
    return list(last)


def minutes_in_database(database: SqlDatabase, starts: list[int]) -> set[int]:
    """Return those of some minutes that have flows already."""
    found: set[int] = set()
    for at in range(0, len(starts), 500):
        some = starts[at : at + 500]
        marks = ", ".join("?" * len(some))
        rows = database.rows(
            f"SELECT DISTINCT bin_start FROM {ROLLUP} WHERE dimension = 0 AND size = 0"
            f" AND exporter = 0 AND direction IN (0, 1) AND bin_start IN ({marks})",
            some,
        )
        found.update(int(row[0]) for row in rows)
    return found


def _totals(database: SqlDatabase, start: int) -> dict[int, IntArray]:
    rows = database.rows(
        f"SELECT direction, octets, packets, flows FROM {ROLLUP} WHERE dimension = 0 AND size = 0"
        " AND exporter = 0 AND direction IN (0, 1) AND bin_start = ?",
        (start,),
    )
    found = {direction: np.zeros(3, np.int64) for direction in DIRECTIONS}
    return found | {int(row[0]): np.array([int(v) for v in row[1:]], np.int64) for row in rows}
