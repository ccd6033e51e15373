"""SampleKeeper: follows the flow log and keeps samples of its hours, days and months.

Beside a maintainer it draws from the rows that are read for sealing, and reads only what it missed.
What is kept in memory is written every few minutes, each hour with the position in the log up to
which it holds it, and the oldest such position last: after a crash rows are drawn again, and those
that an hour holds already are left out of it. A hash says what is drawn, so the sample is the same.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from appliance.atomic_files import atomic_write
from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import Cursor
from appliance.flowlog.names import list_files
from appliance.flowlog.reader import PLACE_BITS, FlowLogReader, Span
from appliance.flowlog.samples.combining import combine
from appliance.flowlog.samples.drawing import SampleSize
from appliance.flowlog.samples.files import (
    HOUR_MS,
    LEVELS,
    MODE,
    STATE_FILE,
    Described,
    Level,
    list_samples,
    period_end,
    period_start,
    read_description,
    read_sample,
    sample_path,
    write_sample,
)
from appliance.flowlog.samples.period import PeriodSample, Places, as_array, values_of
from appliance.flowlog.schema import Rows
from appliance.flows import COLLECTION_TIME
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings

log = RateLimited(logging.getLogger(__name__))

STEP_ROWS = 1_000_000
FLUSH_SECONDS = 200.0
"""With the time until a journal is sealed less than five minutes, if a segment lasts for one."""

SETTLED_MS = 900_000
"""So long after its end a day or month is made from its parts."""

_MOST_HOURS = 2
"""So many are held in memory; more come together when old captures are imported."""


@dataclass(frozen=True)
class SampleLimits:
    """How many flows are kept, and how long.

    Attributes
    ----------
    hour_rows, day_rows, month_rows
        Of each; 0 keeps no samples of any.
    hour_seconds, day_seconds
        How long samples of hours and days are kept; 0 for ever, as those of months.
    """

    hour_rows: int = 200_000
    day_rows: int = 500_000
    month_rows: int = 1_000_000
    hour_seconds: float = 30 * 86400
    day_seconds: float = 5 * 365 * 86400

    def size(self, level: Level) -> SampleSize:
        """Return the size of a sample."""
        rows = {"hour": self.hour_rows, "day": self.day_rows, "month": self.month_rows}
        return SampleSize(rows[level])


def sample_limits(settings: Settings) -> SampleLimits:
    """Take the limits from the settings."""
    return SampleLimits(
        settings["samples.hour_rows"],
        settings["samples.day_rows"],
        settings["samples.month_rows"],
        settings["flow_log.retention_age"],
        settings["samples.day_age"],
    )


class _Hour:
    """The growing sample of an hour, and up to where rows are in it.

    Attributes
    ----------
    is_changed
        Since it was written.
    """

    def __init__(self, path: Path, size: SampleSize) -> None:
        self.path, self.sample, self.held = path, PeriodSample(size), Cursor()
        self.is_changed = False
        with suppress(FileNotFoundError):
            table, described = read_sample(path)
            self.sample.restore(table, described.n_flows)
            self.held = described.cursor


class SampleKeeper:
    """A loader that fills the folder of samples.

    Parameters
    ----------
    log
        The folder of the flow log.
    folder
        That of the samples.
    draws_while_sealing
        Whether somebody calls `draw_sealed`: journals are left to that.
    """

    name = "samples"

    def __init__(
        self,
        log: Path,
        folder: Path,
        limits: SampleLimits | None = None,
        *,
        draws_while_sealing: bool = False,
    ) -> None:
        self.folder, self.limits = folder, limits or SampleLimits()
        self._only_sealed, self._lock = draws_while_sealing, threading.Lock()
        self._reader = FlowLogReader(log)
        self._hours: dict[int, _Hour] = {}
        self._saved: Cursor | None = None
        self._cursor, self._seed = Cursor(), 0
        self._newest_ms = 0
        self._small_ms = -1
        self._flush_at = 0.0

    def load_once(self, now: float) -> LoadReport:
        """Draw from what is new in the log.

        Raises
        ------
        StorageError
            The log cannot be read, or a sample not written.
        """
        with self._lock:
            try:
                if self._saved is None:
                    self._start(now)
                return self._load(now)
            except DamagedFile as error:
                # What it had is drawn again; the other hours know what they have.
                self._go_back_to(Cursor())
                return LoadReport(0, busy=True, warnings=[f"{error}: set aside, and drawn again"])
            except OSError as error:
                raise StorageError(f"samples in {self.folder}: {error}") from error

    def draw_sealed(self, segment: int, pieces: Iterator[Rows]) -> None:
        """Draw from the rows of a journal that is being sealed.

        Any thread may call it. Nothing is drawn while another one is at work here, nor where it is
        not this journal's turn: `load_once` reads it when it is sealed.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._saved is not None and self._has_room() and self._is_next(segment):
                whole = Span(segment, 0, 1 << PLACE_BITS)  # as many rows as there are
                self._draw_all(_with_places(pieces, [whole]), Cursor(segment + 1))
        except Exception as error:
            log.warning("samples in %s: %s; drawn again", self.folder, error)
            if isinstance(error, DamagedFile):
                self._go_back_to(Cursor())
        finally:
            self._lock.release()

    def _has_room(self) -> bool:
        """Tell whether hours in memory are few; others have to wait until these are written."""
        return len(self._hours) <= _MOST_HOURS

    def _is_next(self, segment: int) -> bool:
        """Tell whether all before a segment is drawn, and nothing of it."""
        if self._cursor == Cursor(segment):
            return True
        if self._cursor.row or self._cursor.segment > segment:
            return False
        files = list_files(self._reader.directory, options=False)[0]
        left = (file.first for file in files if file.last >= self._cursor.segment)
        return next(left, None) == segment

    def _load(self, now: float) -> LoadReport:
        followed = self._reader.follow_spans(self._cursor, STEP_ROWS, sealed=self._only_sealed)
        n_rows = sum(rows.n_rows for rows in followed.rows)
        self._draw_all(_with_places(followed.rows, followed.spans), followed.cursor)
        is_busy = n_rows >= STEP_ROWS
        if now >= self._flush_at or not self._has_room():
            self._flush(now)
            if not is_busy:
                self.combine_finished(now)
        return LoadReport(n_rows, is_busy)

    def _draw_all(self, pieces: Iterable[tuple[Rows, Places]], end: Cursor) -> None:
        """Draw from rows up to a position; when that fails, what is not written is drawn again."""
        try:
            for rows, places in pieces:
                self._draw(rows, places)
        except BaseException:
            self._go_back_to(self._saved or Cursor())
            raise
        self._cursor = end

    def _go_back_to(self, cursor: Cursor) -> None:
        """Forget what is drawn and not written. Hours on disk know what they have.

        A position before the saved one is saved, so that nothing before it is forgotten again.
        """
        self._hours, self._cursor = {}, cursor
        if self._saved is not None and cursor < self._saved:
            with suppress(OSError):
                self._save(cursor)
            self._saved = cursor

    def finish(self, now: float) -> list[str]:
        """Write what is in memory."""
        with self._lock:
            if self._saved is not None:
                self._flush(now)
        return []

    def cursor(self) -> tuple[int, int] | None:
        """Return the position up to which the samples on disk hold the log."""
        return self._saved

    def position(self) -> Cursor:
        """Return the position in the log up to which flows are drawn."""
        return self._cursor

    @staticmethod
    def copy_seed(state: Path, to: Path) -> None:
        """Write the state of a keeper that draws what another one draws, from the start of the log.

        Parameters
        ----------
        state, to
            The state of the other one, and the file to write.
        """
        with suppress(KeyError, TypeError, ValueError):
            fields = {"cursor": list(Cursor()), "seed": int(json.loads(state.read_bytes())["seed"])}
            to.write_text(json.dumps(fields))

    def expire(self, now: float) -> int:
        """Delete the samples of hours and days that are past their time; return how many."""
        ages = {"hour": self.limits.hour_seconds, "day": self.limits.day_seconds}
        gone = 0
        for file in list_samples(self.folder):
            age = ages.get(file.level, 0)
            if age and file.to_ms < (now - age) * 1000:
                try:
                    file.path.unlink(missing_ok=True)
                except OSError as error:
                    raise StorageError(f"{file.path} cannot be deleted: {error}") from error
                gone += 1
        return gone

    def _start(self, now: float) -> None:
        path = self.folder / STATE_FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            state = json.loads(path.read_bytes())
            self._cursor, self._seed = Cursor(*map(int, state["cursor"])), int(state["seed"])
        except FileNotFoundError:
            self._seed = secrets.randbits(63)
            self._save(Cursor())
        except (KeyError, TypeError, ValueError):
            # Each hour knows what it has: reading the log from its start adds nothing twice.
            log.warning("%s is damaged: the log is read from its start again", path)
            self._cursor, self._seed = Cursor(), secrets.randbits(63)
        self._saved = self._cursor
        self._flush_at = now + FLUSH_SECONDS

    def _draw(self, rows: Rows, places: Places) -> None:
        times = values_of(rows, COLLECTION_TIME)
        newest_ms = int(times.max())
        self._newest_ms = max(self._newest_ms, newest_ms)
        low, high = int(times.min()) // HOUR_MS, newest_ms // HOUR_MS
        if low == high:
            self._add(low * HOUR_MS, rows, places)
            return
        hours = times // HOUR_MS
        for hour in np.unique(hours).tolist():
            indices = np.flatnonzero(hours == hour)
            self._add(hour * HOUR_MS, rows.take(indices), as_array(places)[indices])

    def _add(self, start_ms: int, rows: Rows, places: Places) -> None:
        hour = self._hours.get(start_ms)
        if hour is None:
            path = sample_path(self.folder, "hour", start_ms)
            hour = self._hours[start_ms] = _Hour(path, self.limits.size("hour"))
        held = np.uint64(hour.held.segment << PLACE_BITS | hour.held.row)
        if places[0] < held:  # they rise
            each = as_array(places)
            indices = np.flatnonzero(each >= held)
            rows, places = rows.take(indices), each[indices]
        if rows.n_rows:
            hour.sample.add(rows, places, self._seed)
            hour.is_changed = True

    def _flush(self, now: float) -> None:
        """Write the hours that changed, then how far the log was read."""
        self._flush_at = now + FLUSH_SECONDS
        newest = self._newest_ms // HOUR_MS * HOUR_MS
        try:
            for start_ms, hour in self._hours.items():
                if hour.is_changed:
                    described = Described(
                        hour.sample.n_flows, self._cursor, is_growing=start_ms >= newest
                    )
                    write_sample(hour.path, hour.sample.table(), described)
                    hour.held, hour.is_changed = self._cursor, False
                    self.outdate(start_ms, now)
            if self._cursor != self._saved:
                self._save(self._cursor)
        except OSError as error:
            raise StorageError(f"samples in {self.folder} cannot be written: {error}") from error
        self._hours = {start: hour for start, hour in self._hours.items() if start >= newest}

    def _save(self, cursor: Cursor) -> None:
        state = {"cursor": list(cursor), "seed": self._seed}
        with atomic_write(self.folder / STATE_FILE, MODE, durable=True) as file:
            file.write(json.dumps(state).encode())
        self._saved = cursor

    def outdate(self, start_ms: int, now: float) -> None:
        """Delete the samples that an hour was a part of: they are made again while it is kept."""
        age = self.limits.hour_seconds
        if not age or period_start("day", start_ms) > (now - age) * 1000:
            for level in LEVELS[1:]:
                path = sample_path(self.folder, level, period_start(level, start_ms))
                path.unlink(missing_ok=True)

    def combine_finished(self, now: float) -> None:
        """Make the samples of days and months that are over, and that of the last hour small."""
        self._make_small(now)
        for part, whole in pairwise(LEVELS):
            files = list_samples(self.folder)
            made = {file.from_ms for file in files if file.level == whole}
            parts = [file for file in files if file.level == part]
            starts = sorted({period_start(whole, file.from_ms) for file in parts} - made)
            for start_ms in starts:
                end_ms = period_end(whole, start_ms)
                if end_ms + SETTLED_MS < now * 1000:
                    target = sample_path(self.folder, whole, start_ms)
                    inside = [file for file in parts if start_ms <= file.from_ms < end_ms]
                    combine(inside, target, self.limits.size(whole))

    def _make_small(self, now: float) -> None:
        """Write the sample of the last hour that is over anew where it was written as growing."""
        settled_ms = now * 1000 - SETTLED_MS
        over = [f for f in list_samples(self.folder) if f.level == "hour" and f.to_ms < settled_ms]
        if over and over[-1].from_ms != self._small_ms:
            path = over[-1].path
            if read_description(path).is_growing:
                table, described = read_sample(path)
                write_sample(path, table, replace(described, is_growing=False))
            self._small_ms = over[-1].from_ms


def _with_places(pieces: Iterable[Rows], spans: Iterable[Span]) -> Iterator[tuple[Rows, Places]]:
    """Yield pieces of rows, which lie in spans of the log, each with the place of every row."""
    following, left = iter(spans), Span(0, 0, 0)
    for rows in pieces:
        places: list[range] = []
        wanted = rows.n_rows
        while wanted:
            if not left.n_rows:
                left = next(following)
            here = min(wanted, left.n_rows)
            first = left.first_place
            places.append(range(first, first + here))
            left = Span(left.segment, left.first + here, left.n_rows - here)
            wanted -= here
        if places:
            whole = places[0] if len(places) == 1 else np.concatenate([*map(as_array, places)])
            yield rows, whole
