"""FlowLogReader: consistent views of the log, and following it from a cursor.

Nothing is locked. A view is one listing of the files that count, with journals read up to their
last commit. When a file is gone by the time it is opened, because it was sealed, merged or expired,
the listing is made anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.errors import StorageError
from appliance.flowlog import journal
from appliance.flowlog.journal import Committed, DamagedFile, Frame
from appliance.flowlog.journal_rows import JournalRows
from appliance.flowlog.limits import Cursor
from appliance.flowlog.names import LogFile, journal_path, list_files
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.schema import Rows
from appliance.flows import AnyArray
from appliance.ratelimit import RateLimited

# Of the process, not of a reader: one is made for each question.
logger = RateLimited(logging.getLogger(__name__))

TRIES = 20
KNOWN_FILES = 4096
PLACE_BITS = 32
"""Of a place that is one number, these are of the row in its segment."""

_journal_rows = JournalRows()
Result = TypeVar("Result")


@dataclass
class LogSnapshot:
    """The log at one moment.

    Attributes
    ----------
    files
        Sealed files that count, in the order of their rows.
    rows
        Committed rows of journals, in order; they view mapped files and outlive their deletion.
    damaged
        What could not be read, one text each.
    """

    files: list[LogFile] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Span(NamedTuple):
    """Adjacent rows of one segment."""

    segment: int
    first: int
    n_rows: int

    @property
    def first_place(self) -> int:
        """Where the first row is in the log, as one number; the others follow."""
        return self.segment << PLACE_BITS | self.first

    def places(self) -> AnyArray:
        """Return where each row is in the log, uint64."""
        return np.arange(self.first_place, self.first_place + self.n_rows, dtype=np.uint64)


class Followed(NamedTuple):
    """What lies behind a cursor: rows, where each is in the log, and the cursor behind them."""

    rows: list[Rows]
    spans: list[Span]
    cursor: Cursor


class FlowLogReader:
    """Reads a log that others write and maintain at the same time.

    Attributes
    ----------
    damaged
        Damaged files met while following, and skipped.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.damaged = 0
        self._scans: dict[Path, Committed] = {}
        self._held: tuple[Any, Rows] | None = None

    def snapshot(self, options: bool = False) -> LogSnapshot:
        """Return the files and committed journal rows of a family at this moment."""
        return self._retry(lambda: self._snapshot(options))

    def follow(
        self,
        cursor: Cursor,
        max_rows: int,
        options: bool = False,
        columns: Sequence[str] | None = None,
    ) -> tuple[list[Any], Cursor]:
        """Read on from a cursor.

        Parameters
        ----------
        columns
            Those wanted; all that are present when None.

        Returns
        -------
        tuple
            pyarrow tables, at most `max_rows` rows together and in order, of the columns that are
            present in each (of exactly `columns` when given); the cursor behind them.
        """
        found, after = self.follow_rows(cursor, max_rows, options, columns)
        return [rows.table(columns) for rows in found], after

    def follow_rows(
        self,
        cursor: Cursor,
        max_rows: int,
        options: bool = False,
        columns: Sequence[str] | None = None,
    ) -> tuple[list[Rows], Cursor]:
        """Read on from a cursor as `Rows`, where constant and absent columns cost nothing."""
        followed = self._retry(lambda: self._follow(cursor, max_rows, options, columns))
        return followed.rows, followed.cursor

    def follow_spans(self, cursor: Cursor, max_rows: int, *, sealed: bool = False) -> Followed:
        """Read on from a cursor in the flows; tell also where each row is.

        Parameters
        ----------
        sealed
            Stop at the first journal.
        """
        return self._retry(lambda: self._follow(cursor, max_rows, False, None, sealed=sealed))

    def _retry(self, read: Callable[[], Result]) -> Result:
        for _ in range(TRIES):
            try:
                return read()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(f"flow log {self.directory} cannot be read: {error}") from error
        raise StorageError(f"flow log {self.directory} changes faster than it can be read")

    def _snapshot(self, options: bool) -> LogSnapshot:
        result = LogSnapshot()
        for file in list_files(self.directory, options)[0]:
            if file.kind == "parquet":
                result.files.append(file)
                continue
            rows, damaged = _journal_rows.read(file.path, self._frames(file, options))
            result.rows += rows
            result.damaged += damaged
        return result

    def count_flows(self, since_ms: int, until_ms: int) -> int:
        """Return how many flow records the files have that hold some of a range of collection
        times; nothing is read but their ends."""

        def count() -> int:
            files = list_files(self.directory, options=False)[0]
            journals = [file for file in files if file.kind != "parquet"]
            sealed = [f for f in files if f.kind == "parquet" and f.overlaps(since_ms, until_ms)]
            frames = (frame for file in journals for frame in self._frames(file, False))
            rows = sum(frame.rows for frame in frames)
            return rows + sum(_sealed_rows(file.path) for file in sealed)

        return self._retry(count)

    def spans(self) -> list[Span]:
        """Return how many flow records each segment has now, in order, from the files' ends."""

        def read() -> list[Span]:
            files = list_files(self.directory, options=False)[0]
            return [
                Span(segment, 0, n_rows) for file in files for segment, n_rows in self._ends(file)
            ]

        return self._retry(read) if self.directory.is_dir() else []

    def _ends(self, file: LogFile) -> list[tuple[int, int]]:
        try:
            return self._source(file, False)[0]
        except DamagedFile:
            return []

    def _frames(self, file: LogFile, options: bool) -> list[Frame]:
        """Return the frames of a journal that count now."""
        if not options:
            return self._scan(file.path).frames
        flows = journal_path(self.directory, False, file.first, "open")
        try:
            end = self._scan(flows).options_end
        except FileNotFoundError:
            end = None
        return journal.scan_options(file.path, end)

    def _scan(self, path: Path) -> Committed:
        """Scan a journal, going on from what an earlier scan of it found."""
        known = self._scans.pop(path, None)
        committed = journal.scan(path, known)
        if path.suffix == ".open":
            self._scans = {path: committed}
        return committed

    def _follow(
        self,
        cursor: Cursor,
        max_rows: int,
        options: bool,
        columns: Sequence[str] | None,
        *,
        sealed: bool = False,
    ) -> Followed:
        found: list[Rows] = []
        spans: list[Span] = []
        left = max_rows
        for file in list_files(self.directory, options)[0]:
            if file.last < cursor.segment:
                continue
            if sealed and file.kind != "parquet":
                break
            try:
                segments, read = self._source(file, options)
                start = _place(segments, cursor)
                stop = min(sum(rows for _, rows in segments), start + left)
                if stop > start:
                    found += read(start, stop, columns)
                    spans += _spans(segments, start, stop)
            except DamagedFile as error:
                self.damaged += 1
                logger.warning("damaged file is skipped: %s", error)
                if file.kind == "open":
                    break
                cursor = Cursor(file.last + 1, 0)
                continue
            left -= max(0, stop - start)
            cursor = _cursor(segments, stop, file)
            if file.kind == "open" or left <= 0:
                break
        return Followed(found, spans, cursor)

    def _source(
        self, file: LogFile, options: bool
    ) -> tuple[list[tuple[int, int]], Callable[..., list[Rows]]]:
        """Return the (segment, rows) of a file and what reads a range of its rows."""
        if file.kind == "parquet":
            sealed = ParquetFile(file.path)
            return sealed.segments, lambda *wanted: list(self._read_sealed(sealed, *wanted))
        frames = self._frames(file, options)
        total = sum(frame.rows for frame in frames)
        return [(file.first, total)], lambda *wanted: _read_journal(file, frames, *wanted)

    def _read_sealed(
        self, file: ParquetFile, start: int, stop: int, columns: Sequence[str] | None
    ) -> Iterator[Rows]:
        first = 0
        for index, group in enumerate(file.groups):
            low, high = max(start, first), min(stop, first + group.n_rows)
            if low < high:
                key = (file.path, index, None if columns is None else tuple(columns))
                if self._held is None or self._held[0] != key:
                    self._held = (key, file.read(index, columns))
                yield self._held[1].slice(low - first, high - first)
            first += group.n_rows


def _sealed_rows(path: Path) -> int:
    """Return how many rows a sealed file has; none of one that is damaged."""
    try:
        return _footer_rows(path)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException):
        return 0


@lru_cache(maxsize=KNOWN_FILES)
def _footer_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _read_journal(
    file: LogFile, frames: list[Frame], start: int, stop: int, columns: Sequence[str] | None
) -> list[Rows]:
    found: list[Rows] = []
    first = 0
    for frame in frames:
        low, high = max(start, first), min(stop, first + frame.rows)
        if low < high:
            (rows,) = journal.read_frames(file.path, [frame])
            found.append(_only(rows, columns).slice(low - first, high - first))
        first += frame.rows
    return found


def _only(rows: Rows, columns: Sequence[str] | None) -> Rows:
    if columns is None:
        return rows
    arrays = {name: array for name, array in rows.arrays.items() if name in columns}
    constants = {name: value for name, value in rows.constants.items() if name in columns}
    return Rows(rows.n_rows, arrays, constants)


def _place(segments: list[tuple[int, int]], cursor: Cursor) -> int:
    """Return how many rows of a file lie before a cursor."""
    before = sum(rows for number, rows in segments if number < cursor.segment)
    here = sum(rows for number, rows in segments if number == cursor.segment)
    return before + min(cursor.row, here)


def _spans(segments: list[tuple[int, int]], start: int, stop: int) -> Iterator[Span]:
    """Yield where rows [start, stop) of a file are."""
    first = 0
    for number, rows in segments:
        low, high = max(start, first), min(stop, first + rows)
        if low < high:
            yield Span(number, low - first, high - low)
        first += rows


def _cursor(segments: list[tuple[int, int]], place: int, file: LogFile) -> Cursor:
    """Return the cursor behind the first `place` rows of a file."""
    for number, rows in segments:
        if place < rows or (file.kind == "open" and place == rows):
            return Cursor(number, place)
        place -= rows
    return Cursor(file.last + 1, 0)
