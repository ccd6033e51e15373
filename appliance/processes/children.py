"""Child processes of the collector: started with it, restarted when they end, stopped with it."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections.abc import Iterator, Sequence

from appliance.errors import StartupError
from appliance.processes.notification import VARIABLE, NotificationListener
from appliance.processes.parent import environment_of_child
from appliance.processes.starting import (
    Copy,
    Process,
    command_line,
    prepare_copy,
    start_process,
)

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 2
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_CALM_SECONDS = 60.0
"""Who ran for longer had no trouble at its start."""

_STOP_SECONDS = 15.0


class Child:
    """One `appliance` subcommand in a process of its own.

    Parameters
    ----------
    starts_as_copy
        The first time it is a copy of this process; see `starting`.

    Attributes
    ----------
    exit_code
        What it last ended with by itself.
    problem
        Why it did, in its own words where it had some.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, starts_as_copy: bool = False
    ) -> None:
        self.name = name
        self.exit_code, self.problem = 0, ""
        self._arguments, self._starts_as_copy = list(arguments), starts_as_copy
        self._process: Process | None = None
        self._prepared: Copy | None = None
        self._listener: NotificationListener | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._started_at, self._start_at = 0.0, 0.0

    @property
    def has_failed(self) -> bool:
        """Whether its exit code is that of a wrong configuration: starting again would not help."""
        return self.exit_code == EXIT_CONFIGURATION

    def raise_failure(self) -> None:
        """Say why it cannot be started.

        Raises
        ------
        StartupError
            It `has_failed`.
        """
        if self.has_failed:
            raise StartupError(self.problem)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Copy this process now for a `start` in the body, which may have threads by then."""
        self._prepare()
        try:
            yield
        finally:
            self.stop()

    def _prepare(self) -> None:
        if self._starts_as_copy:
            self._prepared, self._starts_as_copy = prepare_copy(self._arguments), False

    def start(self) -> None:
        """Start the process; signals from the terminal are left to the parent."""
        self._started_at = time.monotonic()
        self._listener = NotificationListener()
        environment = environment_of_child() | {VARIABLE: self._listener.address}
        self._prepare()
        copy, self._prepared = self._prepared, None
        if copy is not None:
            copy.begin(environment)
            self._process = copy
        else:
            self._process = start_process(command_line(self._arguments), environment)

    def watch(self) -> None:
        """Start the process again when it has ended, after pauses that grow.

        It is said once, until it has run for a while or ends for another reason.
        """
        now = time.monotonic()
        if self._process is None or self.has_failed:
            return
        ended = self._process.poll()
        problem = self._hear()
        if ended is None:
            return
        if not self._start_at:
            self._take_end(ended, problem or f"the {self.name} ended with {ended}", now)
        elif now >= self._start_at:
            self._start_at = 0.0
            self.start()

    def stop(self) -> None:
        """Ask the process to stop, and make it when it does not."""
        process, self._process, self._prepared = self._process or self._prepared, None, None
        if process is not None:
            if self._listener is not None:
                self._listener.hear(0)  # It waits for room when too much lies here.
            self._end(process)
        # Not before: what cannot tell its problem here would write it beside ours.
        self._close_listener()

    def _end(self, process: Process) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return
        log.warning("the %s did not stop within %.0f seconds", self.name, _STOP_SECONDS)
        process.kill()
        process.wait()

    def _take_end(self, exit_code: int, problem: str, now: float) -> None:
        self._close_listener()
        if now - self._started_at > _CALM_SECONDS:
            self.problem, self._pause_seconds = "", _FIRST_PAUSE_SECONDS
        before, self.problem, self.exit_code = self.problem, problem, exit_code
        if self.has_failed:
            return
        self._start_at = now + self._pause_seconds
        self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        if problem != before:
            log.error("%s: starting the %s again", problem, self.name)

    def _hear(self) -> str:
        """Return why it ends, as far as it said so; once it runs it says such things itself."""
        if self._listener is None:
            return ""
        self._listener.hear(0)
        if self._listener.ready:
            self._close_listener()
            return ""
        return self._listener.status

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
