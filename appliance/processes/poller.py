"""The poller: a process beside the collector that asks exporters something on a schedule.

It is a process of its own, at a lower priority, so that neither a device that answers slowly nor
the decoding of what it answers is in the way of datagrams or of the loader. It ends when its parent
does. What its rounds met is in a small file, which `/api/v1/health` reads.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance.collector.status import PLUGIN_FAILURES, POLLER_STATUS_FILE, write_status
from appliance.contracts import ExporterRecord, Poller, PollReport
from appliance.errors import StorageError
from appliance.guard import PluginFailures
from appliance.processes.parent import parent_watch
from appliance.processes.priority import give_way
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings

log = RateLimited(logging.getLogger(__name__))

POLLERS = "pollers"
"""In the status file: by name, what the last round of each met."""

_WATCH_SECONDS = 1.0
_NOBODY_SECONDS = 10.0
"""Until the next look at the list of exporters while it is empty, as after an installation."""

_MAX_SILENT = 20
"""Silent exporters that the status names."""

OpenExporters = Callable[[], Sequence[ExporterRecord]]


class PollingProcess:
    """Calls pollers when it is time, until it is told to stop.

    Parameters
    ----------
    exporters
        Returns whom to ask; a StorageError leaves those of before.
    failures
        Of plugins in this process; written to a file that other processes read.
    """

    def __init__(
        self,
        settings: Settings,
        pollers: Sequence[Poller],
        exporters: OpenExporters,
        failures: PluginFailures,
    ) -> None:
        self._status_path = Path(settings["data_directory"]) / POLLER_STATUS_FILE
        self._pollers, self._read_exporters, self._failures = pollers, exporters, failures
        self._exporters: Sequence[ExporterRecord] = ()
        self._rounds: dict[str, dict[str, Any]] = {}
        self._lock, self._stopping = threading.Lock(), threading.Event()

    def run(self) -> None:
        """Work until `stop`, or until the parent process is gone.

        A round that is under way then is left: what it has not kept the next one asks again.
        """
        give_way()
        parent_lives = parent_watch()
        self._status_path.unlink(missing_ok=True)
        for poller in self._pollers:
            threading.Thread(target=self._repeat, args=(poller,), daemon=True).start()
        while parent_lives() and not self._stopping.wait(_WATCH_SECONDS):
            pass
        self._stopping.set()

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()

    def _repeat(self, poller: Poller) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            interval = self.poll_once(poller, time.time())
            pause = max(interval - (time.monotonic() - began), 1.0)

    def poll_once(self, poller: Poller, now: float) -> float:
        """Make one round; return the seconds from its start to the start of the next."""
        exporters = self._known_exporters()
        if not exporters:
            return _NOBODY_SECONDS
        try:
            name, interval = poller.name, poller.interval_seconds
            report = poller.poll(exporters, now)
        except StorageError as error:
            log.warning("%s; the next round tries again", error)
            self._write_status()
            return _NOBODY_SECONDS
        for text in report.warnings:
            log.warning("%s: %s", name, text)
        self._note_round(name, interval, report, now)
        return interval

    def _known_exporters(self) -> Sequence[ExporterRecord]:
        with self._lock:
            try:
                self._exporters = list(self._read_exporters())
            except StorageError as error:
                log.warning("the list of exporters cannot be read: %s", error)
            return self._exporters

    def _note_round(self, name: str, interval: float, report: PollReport, now: float) -> None:
        facts = {
            "time_ms": int(now * 1000),
            "interval_seconds": interval,
            "answered": report.answered,
            "silent": len(report.silent),
            "silent_exporters": report.silent[:_MAX_SILENT],
        }
        with self._lock:
            self._rounds[name] = facts
        self._write_status()

    def _write_status(self) -> None:
        with self._lock:
            status = {
                "pid": os.getpid(),
                POLLERS: dict(self._rounds),
                PLUGIN_FAILURES: self._failures.report(),
            }
            try:
                write_status(self._status_path, status)
            except OSError as error:
                log.warning("status cannot be written: %s", error)
