"""Starts a collector again that crashed; one that was stopped stays so."""

from __future__ import annotations

import logging

from appliance.processes.supervision.local import LocalSupervisor
from appliance.processes.supervision.supervisor import AlreadyRunning, StartFailed

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_CALM_SECONDS = 300.0


class RestartPolicy:
    """Looks after one supervisor's collector, with pauses that grow while it keeps crashing."""

    def __init__(self, supervisor: LocalSupervisor) -> None:
        self._supervisor = supervisor
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._again_at = float("-inf")
        self._problem = ""

    def look(self, now: float) -> None:
        """Start the collector when it crashed and its pause is over; each problem is said once.

        Parameters
        ----------
        now
            Seconds of the monotonic clock.
        """
        if not self._supervisor.status().crashed or now < self._again_at:
            return
        if now - self._again_at > _CALM_SECONDS:
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._again_at = now + self._pause_seconds
        self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        if not self._problem:
            log.error("the collector ended unexpectedly, starting it again")
        before, self._problem = self._problem, ""
        try:
            self._supervisor.start()
        except AlreadyRunning:
            return
        except StartFailed as error:
            self._problem = str(error)
            if self._problem != before:
                log.error("the collector cannot be started: %s", error)  # noqa: TRY400 - expected
            # Until it is stopped on purpose, it is tried again.
            self._supervisor.pid_file.mark_crash()
