"""Starting, stopping and looking at a real collector, for every kind of supervisor."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.app import open_app
from appliance.collector.supervision import (
    AlreadyRunning,
    LocalSupervisor,
    NotRunning,
    StartFailed,
    Supervisor,
    supervisor_of,
)
from tests.collector.nfacctd import NFACCTD, use_nfacctd
from tests.collector.running import RunningCollector


class TestSupervisor:
    """What every supervisor does; `running` only makes the configuration and tidies up."""

    @pytest.fixture(params=["builtin", "nfacctd"])
    def running(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningCollector]:
        running = RunningCollector(tmp_path)
        if request.param == "nfacctd":
            if not NFACCTD:
                pytest.skip("needs Debian's pmacct")
            use_nfacctd(running)
        try:
            yield running
        finally:
            running.close()

    @pytest.fixture
    def supervisor(self, running: RunningCollector) -> Supervisor:
        return supervisor_of(open_app(running.conf).settings)

    def test_start_when_none_runs_then_it_receives_when_it_returns(
        self, supervisor: Supervisor, running: RunningCollector
    ) -> None:
        started = supervisor.start()
        assert supervisor.status() == started
        assert running.status()["pid"] == started.pid
        assert running.status()["listen"] == [f"127.0.0.1:{running.port}"]
        supervisor.stop()
        assert not supervisor.status().is_running
        assert not psutil.pid_exists(started.pid)

    def test_start_when_one_runs_then_says_so_and_leaves_it(self, supervisor: Supervisor) -> None:
        started = supervisor.start()
        with pytest.raises(AlreadyRunning):
            supervisor.start()
        assert supervisor.status() == started

    def test_start_when_two_do_at_once_then_one_collector_runs(
        self, supervisor: Supervisor, running: RunningCollector
    ) -> None:
        other = supervisor_of(open_app(running.conf).settings)
        outcomes: list[str] = []

        def start(by: Supervisor) -> None:
            try:
                by.start()
                outcomes.append("started")
            except AlreadyRunning:
                outcomes.append("runs already")

        threads = [threading.Thread(target=start, args=(by,)) for by in (supervisor, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["runs already", "started"]

    def test_start_when_the_port_is_busy_then_says_why_and_nothing_is_left(
        self, supervisor: Supervisor, running: RunningCollector
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
            busy.bind(("127.0.0.1", running.port))
            with pytest.raises(StartFailed) as raised:
                supervisor.start()
        assert re.search(f"{running.port}.*another program|bind.*failed", str(raised.value))
        status = supervisor.status()
        assert not status.is_running
        assert not status.crashed

    def test_stop_when_none_runs_then_says_so(self, supervisor: Supervisor) -> None:
        with pytest.raises(NotRunning):
            supervisor.stop()

    def test_status_when_the_collector_was_killed_then_it_crashed(
        self, supervisor: Supervisor
    ) -> None:
        os.kill(supervisor.start().pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while supervisor.status().is_running:
            assert time.monotonic() < deadline
        assert supervisor.status().crashed
        with pytest.raises(NotRunning):
            supervisor.stop()
        assert not supervisor.status().crashed
        assert supervisor.start().is_running

    def test_status_when_another_process_asks_then_it_is_the_same(
        self, supervisor: Supervisor, running: RunningCollector
    ) -> None:
        started = supervisor.start()
        other = supervisor_of(open_app(running.conf).settings)
        assert other.status() == started
        other.stop()
        assert not supervisor.status().is_running


STUBBORN = """
import signal, sys, time
from pathlib import Path
from appliance.collector.supervision import PidFile
from appliance.collector.supervision.notification import READY, notify
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


def test_start_when_the_process_is_never_ready_then_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NEVER_READY]
    supervisor = LocalSupervisor(tmp_path / "pid", command, ready_seconds=0.5)
    with pytest.raises(StartFailed, match="not ready"):
        supervisor.start()
    children = psutil.Process().children()
    assert not any(NEVER_READY in child.cmdline() for child in children)


def test_start_when_there_is_no_such_program_then_says_so(tmp_path: Path) -> None:
    supervisor = LocalSupervisor(tmp_path / "pid", ["/no/such/program"])
    with pytest.raises(StartFailed, match="cannot be run"):
        supervisor.start()
