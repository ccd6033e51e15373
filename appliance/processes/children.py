"""Child processes of the collector: started with it, restarted when they end, stopped with it."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Sequence

from appliance.processes.parent import environment_of_child

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 2
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_STOP_SECONDS = 15.0


class Child:
    """One `appliance` subcommand in a process of its own.

    Attributes
    ----------
    exit_code
        What it last ended with by itself.
    has_failed
        It cannot be started as configured, and said why; starting it again would not help.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.exit_code = 0
        self._command = [sys.executable, "-m", "appliance", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._start_at = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether its exit code is that of a wrong configuration."""
        return self.exit_code == EXIT_CONFIGURATION

    def start(self) -> None:
        """Start the process; signals from the terminal are left to the parent."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment_of_child(),
        )

    def watch(self) -> None:
        """Start the process again when it has ended, after pauses that grow."""
        now = time.monotonic()
        if self._process is None or self.has_failed:
            return
        ended = self._process.poll()
        if ended is None:
            return
        self.exit_code = ended
        if self.has_failed:
            return
        if not self._start_at:
            log.error("the %s ended with %s, starting it again", self.name, ended)
            self._start_at = now + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        elif now >= self._start_at:
            self._start_at = 0.0
            self.start()

    def stop(self) -> None:
        """Ask the process to stop, and make it when it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return
        log.warning("the %s did not stop within %.0f seconds", self.name, _STOP_SECONDS)
        process.kill()
        process.wait()
