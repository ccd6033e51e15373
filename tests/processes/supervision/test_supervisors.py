"""Starting, stopping and looking at a collector that is known by its pid file.

The same class of tests runs for a systemd unit in tests/box/test_supervision.py.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.app import open_app
from appliance.processes.supervision import (
    LocalSupervisor,
    StartFailed,
    Supervisor,
    supervisor_of,
)
from tests.collector.running import RunningCollector
from tests.plugins.pmacct.nfacctd import NFACCTD, use_nfacctd
from tests.processes.supervision.contract import SupervisorContract


class Here:
    """A collector of this machine."""

    def __init__(self, running: RunningCollector) -> None:
        self.running = running
        self.address = f"127.0.0.1:{running.port}"

    def supervisor(self) -> Supervisor:
        return supervisor_of(open_app(self.running.conf).settings)

    def told(self) -> dict[str, Any]:
        return self.running.status()

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def has_process(self, pid: int) -> bool:
        return psutil.pid_exists(pid)

    @contextmanager
    def taken(self) -> Iterator[None]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
            busy.bind(("127.0.0.1", self.running.port))
            yield


class TestPidFile(SupervisorContract):
    """A pid file, with both engines; `place` only makes the configuration and tidies up."""

    @pytest.fixture(params=["builtin", "nfacctd"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Here]:
        running = RunningCollector(tmp_path)
        if request.param == "nfacctd":
            if not NFACCTD:
                pytest.skip("needs Debian's pmacct")
            use_nfacctd(running)
        try:
            yield Here(running)
        finally:
            running.close()


STUBBORN = """
import signal, sys, time
from pathlib import Path
from appliance.processes.supervision import PidFile
from appliance.processes.notification import READY, notify
signal.signal(signal.SIGTERM, signal.SIG_IGN)
PidFile(Path(sys.argv[1])).hold()
notify(READY)
time.sleep(600)
"""
NEVER_READY = "import time; time.sleep(600)"


def test_stop_when_the_process_does_not_obey_then_it_is_killed_and_has_not_crashed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pid"
    command = [sys.executable, "-c", STUBBORN, str(path)]
    supervisor = LocalSupervisor(path, command, stop_seconds=0.5)
    started = supervisor.start()
    supervisor.stop()
    assert not psutil.pid_exists(started.pid)
    status = supervisor.status()
    assert not status.is_running
    assert not status.crashed


def _command_lines_of_children() -> Iterator[list[str]]:
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            yield child.cmdline()


def test_start_when_the_process_is_never_ready_then_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NEVER_READY]
    supervisor = LocalSupervisor(tmp_path / "pid", command, ready_seconds=0.5)
    with pytest.raises(StartFailed, match="not ready"):
        supervisor.start()
    assert not any(NEVER_READY in words for words in _command_lines_of_children())


def test_start_when_there_is_no_such_program_then_says_so(tmp_path: Path) -> None:
    supervisor = LocalSupervisor(tmp_path / "pid", ["/no/such/program"])
    with pytest.raises(StartFailed, match="cannot be run"):
        supervisor.start()
