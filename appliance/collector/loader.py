"""The loader: a process beside the collector that seals, merges and expires the flow log.

It runs at a lower priority, so that compression never holds up a socket, and ends when its parent
does.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from appliance.collector.service import CollectorPaths, flow_log_limits
from appliance.errors import StorageError
from appliance.flowlog import Maintainer
from appliance.settings import Settings

log = logging.getLogger(__name__)

_NICENESS = 5
_INTERVAL_SECONDS = 1.0


class Loader:
    """Works on the flow log of one data directory until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        paths = CollectorPaths(settings["data_directory"])
        self.maintainer = Maintainer(paths.flow_log, flow_log_limits(settings))
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work once a second; stops by itself when the parent process is gone."""
        os.nice(_NICENESS)
        parent = os.getppid()
        while not self._stopping.is_set() and os.getppid() == parent:
            self._work(patient=True)
            self._stopping.wait(_INTERVAL_SECONDS)
        self._work(patient=False)

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()

    def _work(self, *, patient: bool) -> None:
        try:
            report = self.maintainer.run_once(int(time.time() * 1000), patient=patient)
        except StorageError as error:
            log.warning("%s", error)
            return
        for text in report.damaged:
            log.warning("%s", text)
        if report.rows_lost:
            log.warning("%d records were deleted before every loader read them", report.rows_lost)
