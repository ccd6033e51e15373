"""Maintainer: what happens to the flow log behind the collector's back: seal, merge, expire.

It runs in the loader process. Each step leaves the files that count unchanged for whoever reads in
between; what a crash leaves half done (`.tmp` files, parts that a merged file covers) is cleared by
the next run.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from appliance.errors import StorageError
from appliance.flowlog import journal
from appliance.flowlog.expiry_clock import ExpiryClock
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import Cursor, FlowLogLimits
from appliance.flowlog.names import (
    DAMAGED,
    FAMILIES,
    LogFile,
    family,
    journal_path,
    list_files,
    set_aside,
)
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.seal import TMP, SealedPart, Watch, merge, seal
from appliance.ratelimit import RateLimited

LOCK_FILE = "maintainer.lock"
HOUR_MS = 3_600_000
FAN = 16
"""So many adjacent files of about one size are merged before their hour is over."""

TIER_OCTETS = 64 * 1024
SEAL_ROWS = 4_000_000
UNREAD_SECONDS = 3
"""So long a closed journal is left as it is, where sealing may wait: whoever follows the log reads
it meanwhile, which costs a fraction of decoding the same rows from a sealed file."""

BIG_OCTETS = 48 * 1024 * 1024
"""Files of this size are never merged again."""

SETTLED_SECONDS = 600


@dataclass
class MaintenanceReport:
    """What one run did.

    Attributes
    ----------
    rows_lost
        Rows expired by the disk budget before every loader had read them.
    damaged
        One text for each file set aside.
    """

    sealed: int = 0
    merged: int = 0
    expired: int = 0
    rows_expired: int = 0
    rows_lost: int = 0
    damaged: list[str] = field(default_factory=list)


class Maintainer:
    """Seals closed journals, merges sealed files and expires old ones.

    Parameters
    ----------
    cursor_floor
        The position of the slowest loader, None when there is none: age never expires what it has
        still to read; the disk budget does, and that is counted.
    clock
        Whether the time is believed when files expire by age; None: always.
    watch
        Sees the flows of each journal that is sealed; the same ones again when that fails.
    """

    def __init__(
        self,
        directory: Path,
        limits: FlowLogLimits,
        cursor_floor: Callable[[], Cursor | None] = lambda: None,
        clock: ExpiryClock | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.directory, self.limits, self.cursor_floor = directory, limits, cursor_floor
        self._clock, self._watch = clock, watch
        self._log = RateLimited(logging.getLogger(__name__))

    def run_once(self, now_ms: int, patient: bool = False) -> MaintenanceReport:
        """Do all that is to be done now.

        Parameters
        ----------
        patient
            Let closed journals wait up to `seal_seconds` for others, to seal many at once: at high
            rates that makes files so big that they need no merging. Otherwise every closed journal
            is sealed.

        Raises
        ------
        StorageError
            The disk is full or failing, or another process maintains this log.
        """
        report = MaintenanceReport()
        try:
            with self._lock():
                for options in (False, True):
                    self._clear(options)
                    self._seal(options, patient, now_ms, report)
                    self._merge(options, now_ms, report)
                self._expire(now_ms, report)
        except OSError as error:
            raise StorageError(
                f"flow log {self.directory} cannot be maintained: {error}"
            ) from error
        return report

    @contextmanager
    def _lock(self) -> Iterator[None]:
        for name in FAMILIES:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(self.directory / LOCK_FILE, flags, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise StorageError(f"another process maintains {self.directory}") from error
        finally:
            os.close(descriptor)

    def _clear(self, options: bool) -> None:
        """Delete what an interrupted run left: half-written files, and files that a merged one
        covers."""
        folder = self.directory / family(options)
        for path in folder.glob(f"*.parquet{TMP}"):
            path.unlink()
        for file in list_files(self.directory, options)[1]:
            if file.kind != "open":
                file.path.unlink(missing_ok=True)

    def _seal(self, options: bool, patient: bool, now_ms: int, report: MaintenanceReport) -> None:
        parts: list[SealedPart] = []
        ends: dict[Path, int] = {}
        for file in list_files(self.directory, options)[0]:
            # The options journal closes first; until that of the flows does, it is not ours.
            flows_open = journal_path(self.directory, False, file.first, "open")
            if file.kind == "journal" and not (options and flows_open.exists()):
                frames, ends[file.path] = _whole_frames(file, options)
                parts.append(SealedPart(file, frames))
        while parts:
            count = _until([part.rows for part in parts], SEAL_ROWS)
            chosen, parts = parts[:count], parts[count:]
            waited, rested = (_age_ms(chosen[place].file, now_ms) for place in (0, -1))
            full = sum(part.rows for part in chosen) >= SEAL_ROWS
            is_read = abs(rested) >= UNREAD_SECONDS * 1000  # or the clock was set back
            if not patient or (full and is_read) or waited >= self.limits.seal_seconds * 1000:
                self._seal_together(chosen, ends, options, report)

    def _seal_together(
        self,
        parts: list[SealedPart],
        ends: dict[Path, int],
        options: bool,
        report: MaintenanceReport,
    ) -> None:
        sealed, problems = seal(parts, options, None if options else self._watch)
        report.sealed += sealed is not None
        for part in parts:
            path = part.file.path
            texts = problems.get(path, [])
            if rest := path.stat().st_size - ends[path]:
                texts.append(f"{rest} octets behind the last whole group")
            if texts:
                self._set_aside(DamagedFile(path, "; ".join(texts[:3])), report)
            else:
                path.unlink()

    def _set_aside(self, error: DamagedFile, report: MaintenanceReport) -> None:
        aside = set_aside(error.path)
        report.damaged.append(str(error))
        self._log.error("damaged file set aside as %s: %s", aside, error.problem)

    def _merge(self, options: bool, now_ms: int, report: MaintenanceReport) -> None:
        while parts := self._next_merge(options, now_ms):
            try:
                merge(parts, options)
            except DamagedFile as error:
                self._set_aside(error, report)
                continue
            for part in parts:
                part.path.unlink()
            report.merged += len(parts)

    def _next_merge(self, options: bool, now_ms: int) -> list[LogFile]:
        """Choose adjacent files to merge: a whole settled hour, or enough of one size."""
        files = list_files(self.directory, options)[0]
        runs = [
            list(run)
            for _, run in groupby(files, key=lambda f: (f.kind == "parquet", f.to_ms // HOUR_MS))
        ]
        big = min(BIG_OCTETS, self.limits.retention_octets // 64)
        for place, run in enumerate(runs):
            if run[0].kind != "parquet":
                continue
            sizes = [file.path.stat().st_size for file in run]
            followed = any(later[0].kind == "parquet" for later in runs[place + 1 :])
            if followed or self._is_settled(run[-1], now_ms):
                parts = _adjacent(run, [0 if size < big else -1 for size in sizes], 2)
            else:
                parts = _adjacent(run, [_tier(size) if size < big else -1 for size in sizes], FAN)
            if parts:
                octets = [file.path.stat().st_size for file in parts]
                return parts[: max(2, _until(octets, big))]
        return []

    @staticmethod
    def _is_settled(file: LogFile, now_ms: int) -> bool:
        """Tell whether the hour of a file is over and nothing more is expected in it."""
        over = file.to_ms // HOUR_MS < now_ms // HOUR_MS
        return over and file.path.stat().st_mtime * 1000 < now_ms - SETTLED_SECONDS * 1000

    def _expire(self, now_ms: int, report: MaintenanceReport) -> None:
        floor = self.cursor_floor()
        oldest_ms = now_ms - int(self.limits.retention_seconds * 1000)
        ages = self.limits.retention_seconds > 0 and self._believes(now_ms)
        for options in (False, True) if ages else ():
            for file in list_files(self.directory, options)[0]:
                if file.kind == "parquet" and (floor is None or file.last < floor.segment):
                    written_ms = file.path.stat().st_mtime * 1000
                    if max(file.to_ms, written_ms) < oldest_ms:
                        self._delete(file, report, None)
        self._expire_by_octets(floor, report)

    def _believes(self, now_ms: int) -> bool:
        if self._clock is None:
            return True
        newest_ms = max((file.to_ms for file in list_files(self.directory, False)[0]), default=0)
        return self._clock.is_believed(now_ms, newest_ms)

    def _expire_by_octets(self, floor: Cursor | None, report: MaintenanceReport) -> None:
        """Delete files until the budget is kept: those set aside first, then the oldest."""
        entries = [path for name in FAMILIES for path in (self.directory / name).iterdir()]
        held = sum(_size(path) for path in entries)
        for path in sorted(path for path in entries if path.suffix == DAMAGED):
            if held > self.limits.retention_octets:
                held -= _size(path)
                path.unlink()
        files = [f for options in (False, True) for f in list_files(self.directory, options)[0]]
        for file in sorted((f for f in files if f.kind == "parquet"), key=lambda f: f.last):
            if held <= self.limits.retention_octets:
                return
            held -= _size(file.path)
            self._delete(file, report, floor)

    def _delete(self, file: LogFile, report: MaintenanceReport, floor: Cursor | None) -> None:
        segments = _segments(file.path)
        file.path.unlink()
        report.expired += 1
        report.rows_expired += sum(rows for _, rows in segments)
        if floor is None:
            return
        lost = sum(rows for number, rows in segments if number > floor.segment)
        lost += sum(
            max(0, rows - floor.row) for number, rows in segments if number == floor.segment
        )
        report.rows_lost += lost
        if lost:
            self._log.error(
                "disk budget: %s expired with %d rows not yet loaded", file.path.name, lost
            )


def _size(path: Path) -> int:
    """Return the octets of a file; 0 when the collector has just renamed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _age_ms(file: LogFile, now_ms: int) -> float:
    """Return how long ago a file was last written."""
    return now_ms - file.path.stat().st_mtime * 1000


def _segments(path: Path) -> list[tuple[int, int]]:
    try:
        file = ParquetFile(path)
    except DamagedFile:
        return []
    file.close()
    return file.segments


def _whole_frames(file: LogFile, options: bool) -> tuple[list[journal.Frame], int]:
    """Return the frames of a closed journal, and where they end."""
    if not options:
        committed = journal.scan(file.path)
        return committed.frames, committed.end
    frames = journal.scan_options(file.path)
    if not frames:
        return frames, 0
    last = frames[-1]
    return frames, last.offset + last.length + -last.length % journal.ALIGNMENT


def _tier(octets: int) -> int:
    """Return the size class of a file: each is `FAN` times the one before."""
    tier = 0
    while octets >= TIER_OCTETS:
        octets //= FAN
        tier += 1
    return tier


def _adjacent(run: list[LogFile], classes: list[int], least: int) -> list[LogFile]:
    """Return the first stretch of at least `least` files of one class; -1 is never taken."""
    pairs = zip(classes, run, strict=True)
    for size_class, stretch in groupby(pairs, key=lambda pair: pair[0]):
        files = [file for _, file in stretch]
        if size_class >= 0 and len(files) >= least:
            return files
    return []


def _until(amounts: list[int], enough: int) -> int:
    """Return how many of the first amounts make up enough, all when they do not."""
    total = 0
    for count, amount in enumerate(amounts, 1):
        total += amount
        if total >= enough:
            return count
    return len(amounts)
