"""Supervision by a pid file: for `appliance run`, and wherever no systemd looks after things."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from appliance.processes.notification import VARIABLE, NotificationListener
from appliance.processes.starting import Process, start_process
from appliance.processes.supervision.pid_file import PidFile
from appliance.processes.supervision.supervisor import (
    AlreadyRunning,
    CollectorProcess,
    NotRunning,
    StartFailed,
    StopFailed,
)

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
_KILLED_SECONDS = 5.0
_POLL_SECONDS = 0.05


class LocalSupervisor:
    """Starts the collector as a process of its own, which outlives whoever started it.

    Parameters
    ----------
    pid_file
        The file that the command holds while it runs.
    command
        Program and arguments.
    environment
        What the command gets beside NOTIFY_SOCKET; None: this process's.
    start_first
        Starts it the first time in place of the command, with the environment that it is given.
    """

    def __init__(
        self,
        pid_file: Path,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        start_first: Callable[[Mapping[str, str]], Process] | None = None,
        ready_seconds: float = READY_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.pid_file = PidFile(pid_file)
        self._command, self._environment = list(command), environment
        self._start_first = start_first
        self._ready_seconds, self._stop_seconds = ready_seconds, stop_seconds

    def start(self) -> CollectorProcess:
        """Start the collector and wait until it receives.

        Raises
        ------
        AlreadyRunning, StartFailed
            It did not start; a collector that failed is gone.
        """
        with self._alone():
            running = self.status()
            if running.is_running:
                raise AlreadyRunning(running.pid)
            listener = NotificationListener()
            try:
                child = self._spawn(listener.address)
                self._wait_ready(child, listener)
            finally:
                listener.close()
            # A child that ends is a zombie until somebody waits for it.
            threading.Thread(target=child.wait, daemon=True).start()
            return self.status()

    def stop(self) -> None:
        """Stop the collector; one that does not obey is killed.

        Raises
        ------
        NotRunning, StopFailed
            There was none, or it is still there.
        """
        running = self.status()
        if not running.is_running:
            self.pid_file.forget_crash()
            raise NotRunning
        for number, seconds in (
            (signal.SIGTERM, self._stop_seconds),
            (signal.SIGKILL, _KILLED_SECONDS),
        ):
            self._signal(running.pid, number)
            if self._is_gone(running.pid, seconds):
                self.pid_file.forget_crash()
                return
        raise StopFailed(f"process {running.pid} does not stop")

    def status(self) -> CollectorProcess:
        """Tell whether it runs; what is left of a crashed one does not count."""
        return self.pid_file.status()

    def _spawn(self, address: str) -> Process:
        environment = dict(os.environ if self._environment is None else self._environment)
        environment[VARIABLE] = address
        start_first, self._start_first = self._start_first, None
        try:
            if start_first is not None:
                return start_first(environment)
            return start_process(self._command, environment)
        except OSError as error:
            problem = (error.strerror or "").lower()
            raise StartFailed(f"{self._command[0]} cannot be run: {problem}") from None

    def _wait_ready(self, child: Process, listener: NotificationListener) -> None:
        deadline = time.monotonic() + self._ready_seconds
        while not listener.ready:
            ended = child.poll()
            listener.hear(_POLL_SECONDS)
            if listener.ready:
                return
            if ended is not None:
                self.pid_file.forget_crash()
                text = listener.status or f"the collector ended with {ended}"
                raise StartFailed(text, ended if ended > 0 else StartFailed.exit_code)
            if time.monotonic() > deadline:
                child.kill()
                child.wait()
                self.pid_file.forget_crash()
                raise StartFailed(
                    f"the collector was not ready within {self._ready_seconds:.0f} seconds"
                )

    def _signal(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise StopFailed(f"process {pid} belongs to another user") from None

    def _is_gone(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.status().pid == pid or psutil.pid_exists(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let starters wait for each other, so that the second finds a running collector."""
        path = self.pid_file.path.with_suffix(".starting")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise StartFailed(f"lock file {path}: {error.strerror}", 1) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
