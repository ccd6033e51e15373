"""The hours that are being filled: their names by exporter, counted while flows come in.

What a piece of the log has is added to its hour at once, so that the hour is made from memory when
it is over, and the largest of each exporter are written now and then before that. An hour that is
not in memory, or not from its beginning, after a restart or when its flows come late, is read from
the log once more: its position says up to where it has everything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from appliance.flowlog import Cursor
from appliance.plugins.sql_store.accumulator import Accumulator, ExporterAccumulator
from appliance.plugins.sql_store.bins import SECONDS, Size
from appliance.plugins.sql_store.configuration import StoreLimits
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import ALL_EXPORTERS, LARGEST_ONLY, Dimension
from appliance.plugins.sql_store.grouping import Groups, IntArray, regrouped
from appliance.plugins.sql_store.minutes import NamesByMinute
from appliance.plugins.sql_store.stored_tops import BinKey, read_tops, read_totals, write_tops
from appliance.plugins.sql_store.tops import Tops, cells, merged, tops_from_groups, tops_from_rows

MOST_HOURS = 2
"""So many hours are in memory: the running one, and the one before until it is made."""

PAUSE = 1.5
"""So many times the pause of minutes is that of the running hour."""

WRITE_SECONDS = 0.5
"""When writing it takes longer, it is done more seldom in proportion."""


@dataclass
class OpenHour:
    """One hour; cells are exporter * 2 + direction.

    Attributes
    ----------
    position
        All of the log before it is counted.
    """

    start: int
    position: Cursor
    limits: StoreLimits
    names: dict[Dimension, ExporterAccumulator] = field(default_factory=dict)
    written: float = 0.0
    changed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for dimension in LARGEST_ONLY:
            self.names[dimension] = ExporterAccumulator(self.limits.group_names)

    @property
    def end(self) -> int:
        """The end of the hour."""
        return self.start + SECONDS[Size.HOUR]

    def take(self, pieces: NamesByMinute, after: Cursor) -> None:
        """Add the names of a piece of the log that begins where the last one ended."""
        self.position = after
        cells_of = {minute: regrouped(ports, [0]) for minute, ports in pieces[Dimension.PORT]}
        for dimension, parts in pieces.items():
            for minute, groups in parts:
                if self.start <= minute < self.end:
                    self.names[dimension].add(groups, cells_of[minute])
                    self.changed.update(cells_of[minute].columns[0].tolist())

    def write(self, database: SqlDatabase, now: float) -> None:
        """Store the largest of each exporter that had flows since, as far as they are known."""
        totals = read_totals(database, Size.HOUR, self.start, self.end)
        own = self.changed - {ALL_EXPORTERS * 2, ALL_EXPORTERS * 2 + 1}
        for dimension, names in self.names.items():
            tops = self._tops(database, dimension, (names.groups(), names), totals, own)
            write_tops(database, dimension, Size.HOUR, dict(tops))
        self.written, self.changed = now, set()

    def store(self, database: SqlDatabase) -> None:
        """Store all of the hour, which is over."""
        totals = read_totals(database, Size.HOUR, self.start, self.end)
        for dimension, names in self.names.items():
            own = set(names.seen) - {ALL_EXPORTERS * 2, ALL_EXPORTERS * 2 + 1}
            tops = dict(self._tops(database, dimension, (names.groups(), names), totals, own))
            tops |= self._tops(database, dimension, names.together(), totals, {0, 1})
            write_tops(database, dimension, Size.HOUR, tops)

    def _tops(
        self,
        database: SqlDatabase,
        dimension: Dimension,
        known: tuple[Groups | None, Accumulator],
        totals: Mapping[BinKey, IntArray],
        wanted: set[int],
    ) -> Iterator[tuple[BinKey, Tops]]:
        groups, accumulator = known
        for cell, names in cells(groups) if groups else ():
            if cell not in wanted:
                continue
            key = (cell // 2, cell % 2, self.start)
            together = key[0] == ALL_EXPORTERS
            if key not in totals and not together:
                continue  # The exporter was forgotten.
            total = totals.get(key, np.zeros(3, np.int64))
            unseen = accumulator.unseen_of(cell, total)
            most = self.limits.top if together else self.limits.top_per_exporter
            if (accumulator.seen[cell] > total).any():
                # Forgotten and heard again: which of these names came after that is not known.
                yield key, merged([tops_from_rows(())], most, total)
                continue
            tops = tops_from_groups(dimension, names, most, unseen, total)
            if (accumulator.seen[cell] < total).any():
                tops = _better(database, dimension, key, tops)
            yield key, tops


@dataclass
class OpenHours:
    """The hours in memory, the one that was begun last at the end."""

    limits: StoreLimits
    hours: dict[int, OpenHour] = field(default_factory=dict)
    _pause: float = 0.0

    def begin(self, start: int, first: Cursor) -> OpenHour:
        """Begin an hour whose flows are behind a cursor; one that is there stays."""
        if start not in self.hours:
            self.hours[start] = OpenHour(start, first, self.limits)
            while len(self.hours) > MOST_HOURS:
                del self.hours[next(iter(self.hours))]
        return self.hours[start]

    def take(self, names: NamesByMinute, first: Cursor, after: Cursor) -> None:
        """Add a piece of the log to the hours that have everything before it."""
        for hour in self.hours.values():
            if hour.position == first:
                hour.take(names, after)

    def behind(self, reached: Cursor) -> OpenHour | None:
        """Return an hour that lacks some of the log before a cursor."""
        return next((hour for hour in self.hours.values() if hour.position < reached), None)

    def due(self, now: float, reached: Cursor) -> list[OpenHour]:
        """Return the hours that have all of the log and are to be written."""
        return [
            hour
            for hour in self.hours.values()
            if hour.changed and hour.position == reached and abs(now - hour.written) >= self._pause
        ]

    def write(self, database: SqlDatabase, now: float, reached: Cursor) -> bool:
        """Store what is due, more seldom when that takes long; return whether there was any."""
        began = time.monotonic()
        due = self.due(now, reached)
        for hour in due:
            hour.write(database, now)
        if due:
            longer = (time.monotonic() - began) / WRITE_SECONDS
            self._pause = PAUSE * self.limits.provisional_seconds * max(1.0, longer)
        return bool(due)


def _better(database: SqlDatabase, dimension: Dimension, key: BinKey, tops: Tops) -> Tops:
    """Return the stored hour where it knows more than the log has left, with what came since."""
    exporter, direction, start = key
    found = read_tops(database, dimension, Size.HOUR, (exporter, direction), start, start + 1)
    stored = found.get(start)
    if stored is None or (stored.unseen >= tops.unseen).any():
        return tops
    return merged([stored], len(stored.names) or 1, tops.total)
