"""The hours that are being filled: their names by exporter, counted while flows come in.

What a piece of the log has is added to its hour at once, so that the hour is made from memory when
it is over, and the largest of each exporter are written now and then before that. An hour that is
not in memory, or not from its beginning, after a restart or when its flows come late, is read from
the log once more: its position says up to where it has everything.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from appliance.flowlog import Cursor
from appliance.plugins.rollups.accumulator import ExporterAccumulator
from appliance.plugins.rollups.bins import SECONDS, Size
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, LARGEST_ONLY, Dimension
from appliance.plugins.rollups.grouping import IntArray, regroup
from appliance.plugins.rollups.hour_tops import HourTops, with_names
from appliance.plugins.rollups.minutes import NamesByMinute
from appliance.plugins.rollups.stored_tops import BinKey, read_totals, write_rows
from appliance.sql.database import SqlDatabase

TOGETHER = frozenset({ALL_EXPORTERS * 2, ALL_EXPORTERS * 2 + 1})
"""The cells of all exporters together."""

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
        cells_of = {minute: regroup(ports, [0]) for minute, ports in pieces[Dimension.PORT]}
        for dimension, parts in pieces.items():
            for minute, groups in parts:
                if self.start <= minute < self.end:
                    self.names[dimension].add(groups, cells_of[minute])
                    self.changed.update(cells_of[minute].columns[0].tolist())

    def write(self, database: SqlDatabase, now: float) -> None:
        """Store the largest of each exporter that had flows since, as far as they are known."""
        totals = read_totals(database, Size.HOUR, self.start, self.end)
        self._store_own(database, totals, self.changed - TOGETHER)
        self.written, self.changed = now, set()

    def store(self, database: SqlDatabase) -> None:
        """Store all of the hour, which is over."""
        totals = read_totals(database, Size.HOUR, self.start, self.end)
        every = set().union(*(names.seen for names in self.names.values()))
        self._store_own(database, totals, every - TOGETHER)
        for dimension, names in self.names.items():
            together = HourTops(dimension, self.start, *names.together(), self.limits.top)
            together.store(database, totals, TOGETHER)

    def _store_own(
        self, database: SqlDatabase, totals: Mapping[BinKey, IntArray], cells: Set[int]
    ) -> None:
        """Store the names of each exporter that has some; of others nothing stays."""
        exporters = with_names(totals, self.limits.exporters_with_names)
        named = {cell for cell in cells if cell // 2 in exporters}
        unnamed = [(cell // 2, cell % 2, self.start) for cell in cells - named]
        most = self.limits.top_per_exporter
        for dimension, names in self.names.items():
            own = HourTops(dimension, self.start, names.groups(), names, most)
            own.store(database, totals, named)
            write_rows(database, dimension, Size.HOUR, unnamed, [])


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
