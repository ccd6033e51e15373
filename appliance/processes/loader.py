"""The loader: a process beside the collector that seals, merges and expires the flow log, and
fills the store of roll-ups from it.

It runs at a lower priority, so that compression never holds up a socket, and ends when its parent
does. A store that is away costs nothing but delay: it is tried again after pauses that grow, and
the flow log keeps what was not read.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from appliance.collector.memory import few_cycle_searches, refuse_huge_pages
from appliance.collector.paths import CollectorPaths
from appliance.collector.service import flow_log_limits
from appliance.collector.status import PLUGIN_FAILURES, write_status
from appliance.contracts import FlowStore, LogLoader
from appliance.errors import StorageError
from appliance.flowlog import SAMPLES_FOLDER, Cursor, Maintainer
from appliance.flowlog.expiry_clock import ExpiryClock
from appliance.flowlog.samples.keeper import SampleKeeper, sample_limits
from appliance.guard import PluginFailures
from appliance.processes.parent import parent_watch
from appliance.processes.priority import give_way
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings

# Of the process: what fails for one store mostly fails for all.
log = RateLimited(logging.getLogger(__name__))

_INTERVAL_SECONDS = 1.0
_LOAD_SECONDS = 5.0
"""So long a backlog is loaded before the flow log is looked after again."""

_FILL_PATIENCE_SECONDS = 5.0
_LAST_LOAD_SECONDS = 8.0
_EXPIRE_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


class Loader:
    """Works on the flow log of one data directory until it is told to stop.

    Parameters
    ----------
    store
        The roll-ups that are filled from the log; None without any.
    loaders
        What else is.
    failures
        Of plugins in this process; written to a file that other processes read.
    """

    def __init__(
        self,
        settings: Settings,
        store: FlowStore | None = None,
        loaders: Sequence[LogLoader] = (),
        failures: PluginFailures | None = None,
    ) -> None:
        paths = CollectorPaths(settings["data_directory"])
        filled: list[FlowStore | LogLoader] = [store] if store is not None else []
        samples = _sample_keeper(settings, paths)
        self._loaders = tuple(loaders) if samples is None else (*loaders, samples)
        self.fillers = [StoreFiller(each) for each in (*filled, *self._loaders)]
        self._failures = PluginFailures() if failures is None else failures
        self._status_path = paths.loader_status
        self._n_failures = 0
        self.maintainer = Maintainer(
            paths.flow_log,
            flow_log_limits(settings),
            self.floor,
            ExpiryClock(paths.flow_log),
            None if samples is None else samples.draw_sealed,
        )
        self._stopping = threading.Event()

    def floor(self) -> Cursor | None:
        """Return the position before which nobody needs the flow log; None: everything may go."""
        return min((filler.cursor() for filler in self.fillers), default=None)

    def run(self) -> None:
        """Work once a second; stops by itself when the parent process is gone.

        Stores are filled in a thread of its own: one that is stuck in a statement holds up neither
        sealing nor expiry for longer than `_FILL_PATIENCE_SECONDS`.
        """
        give_way()
        refuse_huge_pages()
        parent_lives = parent_watch()
        self._status_path.unlink(missing_ok=True)
        with few_cycle_searches(), ThreadPoolExecutor(1, "filler") as filler:
            filling: Future[None] | None = None
            while not self._stopping.is_set() and parent_lives():
                self._work(patient=True)
                filling = filling or filler.submit(self._fill, _LOAD_SECONDS)
                if filling in wait([filling], _FILL_PATIENCE_SECONDS).done:
                    filling.result()
                    filling = None
                self._stopping.wait(_INTERVAL_SECONDS)
            self._work(patient=False)
            filler.submit(self._fill, _LAST_LOAD_SECONDS).result()
            filler.submit(self._finish).result()

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()

    def _work(self, *, patient: bool) -> None:
        self._write_failures()
        try:
            report = self.maintainer.run_once(int(time.time() * 1000), patient=patient)
        except StorageError as error:
            log.warning("%s", error)
            return
        for text in report.damaged:
            log.warning("%s", text)
        if report.rows_lost:
            log.warning("%d records were deleted before every loader read them", report.rows_lost)

    def _write_failures(self) -> None:
        n_failures = self._failures.total
        if n_failures == self._n_failures:
            return
        status = {"pid": os.getpid(), PLUGIN_FAILURES: self._failures.report()}
        try:
            write_status(self._status_path, status)
        except OSError as error:
            log.warning("status cannot be written: %s", error)
            return
        self._n_failures = n_failures

    def _fill(self, seconds: float) -> None:
        """Fill each in turn, as long as one has more to do."""
        end = time.monotonic() + seconds
        while [filler for filler in self.fillers if filler.fill(time.time(), time.monotonic())]:
            if time.monotonic() >= end:
                return

    def _finish(self) -> None:
        for loader in self._loaders:
            try:
                for text in loader.finish(time.time()):
                    log.warning("%s", text)
            except StorageError as error:
                log.warning("%s: %s; the flow log keeps what is not written", loader.name, error)


def _sample_keeper(settings: Settings, paths: CollectorPaths) -> SampleKeeper | None:
    """Return what keeps samples, if they are wanted."""
    if not settings["samples.hour_rows"]:
        return None
    folder, limits = paths.data / SAMPLES_FOLDER, sample_limits(settings)
    return SampleKeeper(paths.flow_log, folder, limits, draws_while_sealing=True)


class StoreFiller:
    """Calls the write side of a store, and waits longer and longer while it is away."""

    def __init__(self, store: FlowStore | LogLoader) -> None:
        self.store = store
        self._cursor = Cursor()
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._again_at = self._expire_at = 0.0

    def fill(self, now: float, monotonic: float) -> bool:
        """Take over a piece of the log; return whether there is more to do at once."""
        if monotonic < self._again_at:
            return False
        try:
            report = self.store.load_once(now)
            if monotonic >= self._expire_at:
                self._expire_at = monotonic + _EXPIRE_SECONDS
                self.store.expire(now)
            found = self.store.cursor()
        except StorageError as error:
            log.warning("%s; trying again soon", error)
            self._again_at = monotonic + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
            return False
        self._again_at, self._pause_seconds = 0.0, _FIRST_PAUSE_SECONDS
        self._cursor = Cursor(*found) if found is not None else self._cursor
        for text in report.warnings:
            log.warning("%s", text)
        return report.busy

    def cursor(self) -> Cursor:
        """Return the position that the store had when it was last asked; what lies before it may
        be expired."""
        return self._cursor
