"""In the collector's place where flows come out of tables: a feed into the flow log.

Each bin is one group of the journal, together with the position behind it: a crash at any point
repeats or loses nothing. What reads the log does not know the difference. Rows that come to a bin
later are found when it is looked at again, after a minute, a quarter of an hour and an hour.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from typing import Any

from appliance.collector.late_rows import bin_columns, more_than, rows_of_bin
from appliance.collector.parts import CollectorParts
from appliance.collector.paths import CollectorPaths
from appliance.collector.service import flow_log_limits
from appliance.collector.status import PLUGIN_FAILURES, read_status, write_status
from appliance.contracts import Daemon, FeedBin, FlowFeed
from appliance.errors import ApplianceError, StorageError
from appliance.flowlog import FlowLogWriter
from appliance.flows import FlowBatch
from appliance.guard import PluginError
from appliance.processes.notification import ALIVE, notify
from appliance.ratelimit import RateLimited

# Of the process, which has one feed.
log = RateLimited(logging.getLogger(__name__))

POLL_SECONDS = 5.0
NAMES_SECONDS = 60.0
LOOKS_AGAIN_SECONDS = (60.0, 900.0, 3600.0)
"""When a bin is looked at again, after its end."""

_STEP_SECONDS = 0.5
_STATUS_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
_STATE = "feed"
DAEMON_ENDS = "daemon_ends"
"""In the status: how often the daemon ended by itself, when and why it last did."""


@dataclass(slots=True)
class TakenBin:
    """A bin that may still get rows.

    Attributes
    ----------
    rows
        How many of the flow log are of it.
    looks
        How often it was looked at again.
    """

    start_ms: int
    end_ms: int
    rows: int
    looks: int = 0

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to look at it again."""
        return now * 1000 >= self.end_ms + LOOKS_AGAIN_SECONDS[self.looks] * 1000

    @property
    def is_done(self) -> bool:
        """Whether it was looked at for the last time."""
        return self.looks >= len(LOOKS_AGAIN_SECONDS)


class FeedCollector:
    """Takes the bins of a feed over into the flow log until it is told to stop.

    Parameters
    ----------
    daemon
        Runs as long as this does; None when somebody else fills the table.
    """

    def __init__(
        self,
        parts: CollectorParts,
        feed: FlowFeed,
        daemon: Daemon | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.parts, self.feed, self.daemon = parts, feed, daemon
        self.paths = CollectorPaths(parts.settings["data_directory"])
        self.writer = FlowLogWriter(self.paths.flow_log, flow_log_limits(parts.settings))
        self.lacks: list[str] = []
        self.n_bins = self.n_rows = self.n_late = 0
        self._clock, self._stopping = clock, threading.Event()
        self._position, self._names_at = "", 0.0
        self._taken: dict[str, TakenBin] = {}
        self._daemon_ends: dict[str, Any] = {}
        self._problem = ""

    def start(self) -> None:
        """Look at the table, take the data directory over and start the daemon.

        Raises
        ------
        SettingsError, StorageError, StartupError
            The table cannot be read, or the daemon does not start.
        """
        self.lacks = self.feed.check()
        for text in self.lacks:
            log.warning("%s", text)
        self.paths.data.mkdir(parents=True, exist_ok=True)
        saved = self.writer.start().get(_STATE)
        if isinstance(saved, dict) and saved.get("source") == self.feed.source:
            self._position = str(saved.get("position", ""))
            self._taken = {stamp: TakenBin(*told) for stamp, *told in saved.get("taken", ())}
        if self.daemon is not None:
            # This process ends with the daemon: what the former one wrote is how health knows why.
            self._daemon_ends = (read_status(self.paths.status) or {}).get(DAEMON_ENDS) or {}
            try:
                self.daemon.start()
            except BaseException:
                self.writer.close(self._now_ms())
                raise
        self._write_status()

    def announcements(self) -> list[str]:
        """Return what to tell people once it has started."""
        return [f"reading {self.feed.source}"]

    def run(self) -> None:
        """Work until `stop` is called.

        Raises
        ------
        ApplianceError
            The daemon ended by itself.
        """
        pause, poll_at, status_at = POLL_SECONDS, 0.0, 0.0
        try:
            while not self._stopping.wait(_STEP_SECONDS):
                now = time.monotonic()
                self._check_daemon()
                self.writer.roll_if_due(self._now_ms())
                if now >= poll_at:
                    pause = self.poll(pause)
                    poll_at = time.monotonic() + pause
                if now >= status_at:
                    status_at = now + _STATUS_SECONDS
                    self._write_status()
                    notify(ALIVE)
        finally:
            self._finish()

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()

    def _check_daemon(self) -> None:
        if self.daemon is None:
            return
        try:
            self.daemon.check()
        # A plugin whose look fails, which is counted, says nothing about the program.
        except PluginError:
            return
        except ApplianceError as error:
            number = int(self._daemon_ends.get("number", 0)) + 1
            self._daemon_ends = {
                "number": number,
                "last_ms": self._now_ms(),
                "reason": str(error),
            }
            raise

    def poll(self, pause: float) -> float:
        """Take over what is complete, and what came late; return how long to wait for more."""
        try:
            for found in self.feed.bins(self._position, self._clock()):
                self._take(self._redacted(found))
                if self._stopping.is_set():
                    break
            self._look_again()
            if time.monotonic() >= self._names_at:
                self._names_at = time.monotonic() + NAMES_SECONDS
                self._take_names()
        # A table that was renamed or dropped may come back as well as a server.
        except ApplianceError as error:
            self._problem = str(error)
            log.warning("%s; trying again soon", error)
            return min(pause * 2, _LONGEST_PAUSE_SECONDS)
        self._problem = ""
        return POLL_SECONDS

    def _take(self, found: FeedBin) -> None:
        """Take over a bin that is complete."""
        taken = dict(self._taken)
        if self._clock() * 1000 < found.end_ms + LOOKS_AGAIN_SECONDS[-1] * 1000:
            rows = sum(batch.n_records for batch in found.batches)
            taken[found.position] = TakenBin(found.start_ms, found.end_ms, rows)
        self._write(found.batches, found.position, taken)
        self.n_bins += 1

    def _look_again(self) -> None:
        """Take over what came to bins after they were complete."""
        now = self._clock()
        for position, taken in list(self._taken.items()):
            if not taken.is_due(now) or self._stopping.is_set():
                continue
            after = replace(taken, looks=taken.looks + 1)
            found = self.feed.bin(position)
            late = self._late(self._redacted(found), taken) if found is not None else []
            after.rows += sum(batch.n_records for batch in late)
            self.n_late += sum(batch.n_records for batch in late)
            rest = {**self._taken, position: after}
            if after.is_done:
                del rest[position]
            self._write(late, self._position, rest)

    def _late(self, found: FeedBin, taken: TakenBin) -> list[FlowBatch]:
        if not found.batches:
            return []
        rows = rows_of_bin(self.paths.flow_log, taken.start_ms, bin_columns(found.batches))
        if rows.num_rows != taken.rows:
            log.warning("bin %s of %s: not all in the flow log", found.position, self.feed.source)
            return []
        return more_than(found.batches, rows)

    def _write(
        self, batches: Sequence[FlowBatch], position: str, taken: dict[str, TakenBin]
    ) -> None:
        """Write flows and what is known then as one group."""
        for batch in batches:
            self.writer.append(batch)
            self.n_rows += batch.n_records
        if self.writer.flush(self._state(position, taken), self._now_ms()):
            # They are read again: what is known then must not be written with a later group.
            self.writer.flush(self._state(self._position, self._taken), self._now_ms())
            raise StorageError("the flow log cannot be written")
        self._position, self._taken = position, taken

    def _redacted(self, found: FeedBin) -> FeedBin:
        """Return a bin without what must not be kept.

        Raises
        ------
        PluginError
            A redactor failed: the table keeps the bin until it does not.
        """
        return replace(found, batches=[self._redact(batch) for batch in found.batches])

    def _redact(self, batch: FlowBatch) -> FlowBatch:
        for redactor in self.parts.redactors:
            batch = redactor(batch)
        return batch

    def _take_names(self) -> None:
        names = self.feed.names(self._clock())
        if names is not None:
            self.writer.append(self._redact(names))
            self.writer.flush({}, self._now_ms())

    def _state(self, position: str, taken: dict[str, TakenBin]) -> dict[str, Any]:
        bins = [[stamp, *astuple(one)] for stamp, one in taken.items()]
        return {_STATE: {"source": self.feed.source, "position": position, "taken": bins}}

    def _finish(self) -> None:
        with suppress(PluginError):
            if self.daemon is not None:
                self.daemon.stop()
        self.writer.close(self._now_ms())
        self._write_status()
        with suppress(PluginError):
            self.feed.close()

    def _write_status(self) -> None:
        listen = self.parts.settings["collector.listen"] if self.daemon is not None else ()
        status = {
            "time_ms": self._now_ms(),
            "pid": os.getpid(),
            "listen": [str(address) for address in listen],
            "warnings": [*self.lacks, *filter(None, [self._problem])],
            "feed": {
                "source": self.feed.source,
                "position": self._position,
                "bins": self.n_bins,
                "rows": self.n_rows,
                "late_rows": self.n_late,
            },
            "log": self.writer.figures(),
            "counts": {},
            PLUGIN_FAILURES: self.parts.failures.report(),
            DAEMON_ENDS: self._daemon_ends,
            "exporters": {},
        }
        try:
            write_status(self.paths.status, status)
        except OSError as error:
            log.warning("status cannot be written: %s", error)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
