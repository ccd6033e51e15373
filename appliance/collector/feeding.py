"""In the collector's place where flows come out of tables: a feed into the flow log.

Each bin is one group of the journal, together with the position behind it: a crash at any point
repeats or loses nothing. What reads the log does not know the difference.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from appliance.app import App
from appliance.collector.service import CollectorPaths, flow_log_limits
from appliance.collector.status import write_status
from appliance.collector.supervision.notification import ALIVE, notify
from appliance.errors import StorageError
from appliance.feeds import FeedBin, FlowFeed
from appliance.flowlog import FlowLogWriter

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
NAMES_SECONDS = 60.0
_STEP_SECONDS = 0.5
_STATUS_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
_STATE = "feed"


class Daemon(Protocol):
    """The program that fills the table, where we run it."""

    def start(self) -> None:
        """Start it and wait until it receives."""
        ...

    def check(self) -> None:
        """Raise when it ended."""
        ...

    def stop(self) -> None:
        """Let it write what it has, and end."""
        ...


class FeedCollector:
    """Takes the bins of a feed over into the flow log until it is told to stop.

    Parameters
    ----------
    daemon
        Runs as long as this does; None when somebody else fills the table.
    """

    def __init__(
        self,
        app: App,
        feed: FlowFeed,
        daemon: Daemon | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app, self.feed, self.daemon = app, feed, daemon
        self.paths = CollectorPaths(app.settings["data_directory"])
        self.writer = FlowLogWriter(self.paths.flow_log, flow_log_limits(app.settings))
        self.lacks: list[str] = []
        self.n_bins = self.n_rows = 0
        self._clock, self._stopping = clock, threading.Event()
        self._position, self._names_at = "", 0.0

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
        if self.daemon is not None:
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
                if self.daemon is not None:
                    self.daemon.check()
                self.writer.roll_if_due(self._now_ms())
                if now >= poll_at:
                    pause = self._poll(pause)
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

    def _poll(self, pause: float) -> float:
        """Take over what is complete; return how long to wait for more."""
        try:
            for found in self.feed.bins(self._position, self._clock()):
                self._take(found)
                if self._stopping.is_set():
                    break
            if time.monotonic() >= self._names_at:
                self._names_at = time.monotonic() + NAMES_SECONDS
                self._take_names()
        except StorageError as error:
            log.warning("%s; trying again in %.0f s", error, pause)
            return min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return POLL_SECONDS

    def _take(self, found: FeedBin) -> None:
        for batch in found.batches:
            self.writer.append(batch)
            self.n_rows += batch.n_records
        if self.writer.flush(self._state(found.position), self._now_ms()):
            # The bin is read again: the position must not be written with a later group.
            self.writer.flush(self._state(self._position), self._now_ms())
            raise StorageError("the flow log cannot be written")
        self.n_bins += 1
        self._position = found.position

    def _take_names(self) -> None:
        names = self.feed.names(self._clock())
        if names is not None:
            self.writer.append(names)
            self.writer.flush({}, self._now_ms())

    def _state(self, position: str) -> dict[str, Any]:
        return {_STATE: {"source": self.feed.source, "position": position}}

    def _finish(self) -> None:
        if self.daemon is not None:
            self.daemon.stop()
        self.writer.close(self._now_ms())
        self._write_status()
        self.feed.close()

    def _write_status(self) -> None:
        listen = self.app.settings["collector.listen"] if self.daemon is not None else ()
        status = {
            "time_ms": self._now_ms(),
            "pid": os.getpid(),
            "listen": [str(address) for address in listen],
            "warnings": self.lacks,
            "feed": {
                "source": self.feed.source,
                "position": self._position,
                "bins": self.n_bins,
                "rows": self.n_rows,
            },
            "log": {
                "records_written": self.writer.rows_written,
                "octets_written": self.writer.octets_written,
                "segments_closed": self.writer.segments_closed,
                "write_errors": self.writer.write_errors,
            },
            "counts": {},
            "exporters": {},
        }
        try:
            write_status(self.paths.status, status)
        except OSError as error:
            log.warning("status cannot be written: %s", error)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
