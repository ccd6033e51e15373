"""Supervision by a systemd unit of `Type=notify`: on an appliance.

There the API may look at the unit but not start it; the privileged helper does that.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.privileged.client import HelperRefused, ask_helper
from appliance.processes.supervision.supervisor import (
    AlreadyRunning,
    CollectorProcess,
    NotRunning,
    StartFailed,
    StopFailed,
    SupervisionError,
)

COMMAND_SECONDS = 120.0
_HELPER_ACTS: Mapping[str, str] = {
    "start": "collector_start",
    "stop": "collector_stop",
    "reset-failed": "collector_forget",
}
_STARTING = threading.Lock()
"""systemd takes no offence at a second start, so who is the second one is told here."""

_PROPERTIES = "ActiveState,SubState,MainPID,Result,StatusText"


class SystemdSupervisor:
    """Starts and stops a unit.

    Parameters
    ----------
    unit
        Such as `appliance-collector.service`.
    systemctl
        The program that does it, with arguments that come before the verb.
    helper
        The socket of the helper that starts and stops the unit; None: this process may.
    """

    def __init__(
        self, unit: str, systemctl: Sequence[str] = ("systemctl",), helper: Path | None = None
    ) -> None:
        self.unit = unit
        self._systemctl = tuple(systemctl)
        self._helper = helper

    def start(self) -> CollectorProcess:
        """Start the unit; systemd waits until the collector says that it is ready.

        Raises
        ------
        AlreadyRunning, StartFailed
            It did not start; a collector that failed is gone.
        """
        with _STARTING:
            return self._start()

    def _start(self) -> CollectorProcess:
        running = self.status()
        if running.is_running:
            raise AlreadyRunning(running.pid)
        done = self._run("start", self.unit)
        state = self._properties()
        if done.returncode == 0 and state.get("ActiveState") == "active":
            return self.status()
        # Else systemd would start the unit again and again, although the caller was told no.
        self._run("stop", self.unit)
        self._run("reset-failed", self.unit)
        raise StartFailed(state.get("StatusText") or _said(done) or f"{self.unit} did not start")

    def stop(self) -> None:
        """Stop the unit.

        Raises
        ------
        NotRunning, StopFailed
            There was none, or it is still there.
        """
        state = self._properties()
        if state.get("ActiveState") == "failed":
            self._run("reset-failed", self.unit)
        if state.get("ActiveState") in ("inactive", "failed"):
            raise NotRunning
        done = self._run("stop", self.unit)
        if done.returncode:
            raise StopFailed(_said(done) or f"{self.unit} does not stop")

    def status(self) -> CollectorProcess:
        """Tell whether the unit runs."""
        state = self._properties()
        pid = int(state.get("MainPID") or 0)
        if state.get("ActiveState") in ("active", "reloading", "deactivating") and pid:
            return CollectorProcess(pid)
        return CollectorProcess(crashed=state.get("ActiveState") == "failed")

    def _properties(self) -> dict[str, str]:
        done = self._run("show", self.unit, f"--property={_PROPERTIES}")
        if done.returncode:
            raise SupervisionError(_said(done) or "systemd does not answer")
        pairs = (line.partition("=") for line in done.stdout.splitlines())
        return {name: value for name, _, value in pairs}

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self._helper is not None and arguments[0] in _HELPER_ACTS:
            try:
                ask_helper({"act": _HELPER_ACTS[arguments[0]]}, self._helper)
            except HelperRefused as refusal:
                return subprocess.CompletedProcess(arguments, 1, "", refusal.sentence)
            return subprocess.CompletedProcess(arguments, 0, "", "")
        try:
            return subprocess.run(
                [*self._systemctl, *arguments],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SupervisionError(f"{self._systemctl[0]}: {error}") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the first line that a command complained with."""
    return next((line.strip() for line in done.stderr.splitlines() if line.strip()), "")
