"""FlowLogWriter: flow batches and the collector's state into journals, in groups that count whole
or not at all.

One group is all rows that wait in memory, then a commit with the state that belongs to them:
options records first, then flows, and the commit in the journal of flows says how far both count. A
writer killed in between leaves octets behind the last commit, which nobody reads and the next
writer cuts off. So the sequence numbers and loss counters in the state always agree with the rows
of the log.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.flowlog import journal
from appliance.flowlog.journal import Committed, merge_state
from appliance.flowlog.limits import FlowLogLimits
from appliance.flowlog.names import (
    FAMILIES,
    highest_number,
    journal_path,
    list_files,
)
from appliance.flowlog.schema import octets_names
from appliance.flowlog.segment import OpenSegment, join_batches
from appliance.flows import FlowBatch, RawElement
from appliance.ratelimit import RateLimited

MAX_BUFFERED_ROWS = 100_000
STATE_FILE = "state.json"
LOCK_FILE = "writer.lock"
MAX_SEGMENT = 10**9
MAX_STATE_OCTETS = 256 * 1024 * 1024
_CLOSE_AGAIN_MS = 1000


class FlowLogWriter:
    """The one writer of a flow log.

    Parameters
    ----------
    directory
        Made when missing.
    limits
        When to flush and to begin a new segment, and how much of the disk to leave free.
    primitives
        (enterprise, element) pairs whose octets are kept; others in a batch are not stored.

    Attributes
    ----------
    rows_written, octets_written, segments_closed
        Since start; rows count when their group is committed.
    rows_dropped
        Rows that could not be written, as the disk is full or failing, and those of journals that
        somebody deleted while they were open.
    files_missing
        Open journals and folders that were deleted or replaced.
    write_errors
        Failed groups.
    """

    def __init__(
        self, directory: Path, limits: FlowLogLimits, primitives: Sequence[RawElement] = ()
    ) -> None:
        self.directory, self.limits = directory, limits
        self.octets_columns = frozenset(octets_names(primitives))
        self.rows_written = self.octets_written = self.segments_closed = 0
        self.rows_dropped = self.write_errors = 0
        self._buffer: list[FlowBatch] = []
        self._buffered_rows = 0
        self._waiting_since_ms: int | None = None
        self._state: dict[str, Any] = {}
        self._pending: dict[str, Any] = {}
        self._segment = 0
        self._open: OpenSegment | None = None
        self._lock = -1
        self._log = RateLimited(logging.getLogger(__name__))
        self._space_checked_ms = self._closing_failed_ms = 0
        self.files_missing = 0
        self._has_space = True

    def figures(self) -> dict[str, int]:
        """Return what the collector's status tells of the log."""
        return {
            "records_written": self.rows_written,
            "octets_written": self.octets_written,
            "segments_closed": self.segments_closed,
            "write_errors": self.write_errors,
            "files_missing": self.files_missing,
        }

    def start(self) -> dict[str, Any]:
        """Take the directory over from a former writer; return the state of its last whole group.

        Raises
        ------
        StorageError
            The directory cannot be used, or another writer has it.
        """
        try:
            self._make_folders()
            self._take_lock()
            self._state = self._load_state()
            self._recover()
            self._segment = max(self._segment, highest_number(self.directory))
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}" if error.filename else error
            raise StorageError(f"flow log {self.directory} cannot be used: {problem}") from error
        return dict(self._state)

    def append(self, batch: FlowBatch) -> None:
        """Keep a batch until the next flush; its arrays must not change any more."""
        if batch.n_records:
            self._buffer.append(batch)
            self._buffered_rows += batch.n_records

    def due(self, now_ms: int) -> bool:
        """Tell whether rows have waited long enough, or are too many to wait."""
        if not self._buffer:
            return False
        if self._waiting_since_ms is None or now_ms < self._waiting_since_ms:
            self._waiting_since_ms = now_ms
        waited_ms = now_ms - self._waiting_since_ms
        return (
            self._buffered_rows > MAX_BUFFERED_ROWS or waited_ms >= self.limits.flush_seconds * 1000
        )

    def flush(self, state: Mapping[str, Any], now_ms: int) -> int:
        """Write one group: all waiting rows, and the state that goes with them.

        Parameters
        ----------
        state
            The keys that changed, values as JSON knows them; None takes a key away. Changes of a
            group that fails go with the next one that succeeds.
        now_ms
            Milliseconds UTC.

        Returns
        -------
        int
            Rows that could not be written and are lost; 0 normally.
        """
        self._pending.update(state)
        batches, n_rows = self._buffer, self._buffered_rows
        self._buffer, self._buffered_rows, self._waiting_since_ms = [], 0, None
        if not batches and not self._pending:
            return 0
        try:
            self._check_files()
            if not self._space(now_ms):
                self.rows_dropped += n_rows
                return n_rows
            self._write_group(batches, now_ms)
        except OSError as error:
            self._undo(error)
            self.rows_dropped += n_rows
            return n_rows
        self.rows_written += n_rows
        self.roll_if_due(now_ms)
        return 0

    def roll_if_due(self, now_ms: int) -> None:
        """Close the open segment when it is full or old enough; the next flush begins another."""
        segment = self._open
        if segment is None:
            return
        old = abs(now_ms - segment.since_ms) >= self.limits.segment_seconds * 1000
        failing = abs(now_ms - self._closing_failed_ms) < _CLOSE_AGAIN_MS
        if (old or segment.rows >= self.limits.segment_rows) and not failing:
            self._close_segment(now_ms)

    def close(self, now_ms: int = 0) -> None:
        """Write what waits, close the segment and let the directory go."""
        if self._lock < 0:
            return
        if self._buffer or self._pending:
            self.flush({}, now_ms)
        self._close_segment(now_ms)
        os.close(self._lock)
        self._lock = -1

    def _make_folders(self) -> None:
        for name in FAMILIES:
            (self.directory / name).mkdir(parents=True, exist_ok=True)

    def _check_files(self) -> None:
        """Begin anew where the open journals, or the folders, are no longer there.

        Whoever writes to a deleted file gets no error: the rows would be lost for as long as the
        segment lasts.
        """
        missing = [name for name in FAMILIES if not (self.directory / name).is_dir()]
        if missing:
            self.files_missing += len(missing)
            folders = " and ".join(missing)
            self._log.error(
                "flow log %s: folder %s was deleted while in use, with all that was in it: made"
                " anew",
                *(self.directory, folders),
            )
            self._make_folders()
            os.close(self._lock)
            self._lock = -1
            self._take_lock()
        if self._open is not None and (rows := self._open.missing_rows()) is not None:
            self.files_missing += 1
            self.rows_dropped += rows
            self._log.error(
                "flow log %s: the open journal was deleted or replaced while in use: a new segment"
                " begins, %d records of number %d are lost unless they were loaded",
                *(self.directory, rows, self._open.number),
            )
            self._open.close()
            self._open = None

    def _take_lock(self) -> None:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(self.directory / LOCK_FILE, flags, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise StorageError(
                f"another collector writes to the flow log {self.directory}"
            ) from error
        self._lock = descriptor

    def _load_state(self) -> dict[str, Any]:
        """Read the state file; one that is damaged counts as none."""
        path = self.directory / STATE_FILE
        try:
            segment, state = _read_state(path)
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._log.warning("state file %s is ignored: %s", path, error)
            return {}
        self._segment = segment
        return state

    def _recover(self) -> None:
        """Cut torn groups off the journals of a killed writer, close them, and take over their
        state."""
        for file in list_files(self.directory, False)[0]:
            if file.kind == "parquet" or (file.kind == "journal" and file.first <= self._segment):
                continue
            committed = journal.scan(file.path)
            if committed.end:  # its first group has the whole state
                self._state = committed.state
            self._segment = max(self._segment, file.first)
            if file.kind == "open":
                self._close_leftover(file.first, committed)
        for file in list_files(self.directory, True)[0]:
            if file.kind == "open":  # its flows journal never was: nothing of it is committed
                file.path.unlink()
        self._save_state()

    def _close_leftover(self, segment: int, committed: Committed) -> None:
        flows = journal_path(self.directory, False, segment, "open")
        torn = flows.stat().st_size - committed.end
        if torn:
            self._log.warning(
                "journal %s ends in %d octets of a group that was never finished", flows.name, torn
            )
        os.truncate(flows, committed.end)
        for kind in ("open", "journal"):
            options = journal_path(self.directory, True, segment, kind)
            if options.exists():
                os.truncate(options, min(committed.options_end, options.stat().st_size))
                os.replace(options, journal_path(self.directory, True, segment, "journal"))
        os.replace(flows, journal_path(self.directory, False, segment, "journal"))

    def _space(self, now_ms: int) -> bool:
        """Tell whether the disk has room; asked at most once a second."""
        if abs(now_ms - self._space_checked_ms) >= 1000 or not self._space_checked_ms:
            self._space_checked_ms = now_ms
            status = os.statvfs(self.directory)
            free = status.f_bavail * status.f_frsize
            if (free >= self.limits.minimum_free_octets) != self._has_space:
                self._has_space = not self._has_space
                word = "resumes" if self._has_space else "stops"
                self._log.warning("flow log %s: %d octets free on %s", word, free, self.directory)
        return self._has_space

    def _write_group(self, batches: list[FlowBatch], now_ms: int) -> None:
        if self._open is None:
            self._open = OpenSegment(self.directory, self._segment + 1, now_ms)
            self._segment += 1
        changes = self._pending
        if not self._open.groups:
            changes = {**self._state}
            merge_state(changes, self._pending)
        self.octets_written += self._open.write(join_batches(batches, self.octets_columns), changes)
        merge_state(self._state, self._pending)
        self._pending = {}

    def _undo(self, error: OSError) -> None:
        """Cut the journals back to the last commit."""
        self.write_errors += 1
        self._has_space, self._space_checked_ms = False, 0
        self._log.warning("flow log cannot be written: %s", error)
        if self._open is not None:
            try:
                self._open.undo()
            except OSError as second:  # tried again before the next group
                self._log.warning("torn group stays in the journal for now: %s", second)

    def _close_segment(self, now_ms: int = 0) -> None:
        try:
            self._check_files()
            if self._open is None:
                return
            # Before the maintainer may seal the journal that has it: sealed files have no state.
            self._save_state()
            self._open.close()
        except OSError as error:  # tried again a second later
            self.write_errors += 1
            self._closing_failed_ms = now_ms
            self._log.warning("flow log %s: a segment cannot be closed: %s", self.directory, error)
            return
        self._open = None
        self.segments_closed += 1

    def _save_state(self) -> None:
        content = json.dumps({"segment": self._segment, "state": self._state})
        with atomic_write(self.directory / STATE_FILE, durable=True) as file:
            file.write(content.encode())


def _read_state(path: Path) -> tuple[int, dict[str, Any]]:
    if path.stat().st_size > MAX_STATE_OCTETS:
        raise ValueError(f"larger than {MAX_STATE_OCTETS} octets")
    content = json.loads(path.read_bytes())
    segment, state = content["segment"], content["state"]
    if type(segment) is not int or not 0 <= segment < MAX_SEGMENT or type(state) is not dict:
        raise ValueError("not a segment number and a state")
    return segment, dict(state)
