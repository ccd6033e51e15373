"""What every supervisor does with a real collector: one class of tests, whatever runs it.

Whoever inherits `SupervisorContract` has a fixture `place`: where the collector runs.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytest

from appliance.processes.supervision import AlreadyRunning, NotRunning, StartFailed, Supervisor

SECONDS = 30


class Place(Protocol):
    """Where a collector runs: this machine, or a box.

    Attributes
    ----------
    address
        Where it receives.
    """

    address: str

    def supervisor(self) -> Supervisor:
        """Return what starts and stops it; each call another one."""
        ...

    def told(self) -> dict[str, Any]:
        """Return what the collector writes about itself."""
        ...

    def kill(self, pid: int) -> None:
        """Kill a process without a word."""
        ...

    def has_process(self, pid: int) -> bool:
        """Tell whether there is such a process."""
        ...

    def taken(self) -> AbstractContextManager[object]:
        """Have another program at the address, for a while."""
        ...


class SupervisorContract:
    """What every supervisor does."""

    @pytest.fixture
    def supervisor(self, place: Place) -> Supervisor:
        return place.supervisor()

    def test_start_when_none_runs_then_it_receives_when_it_returns(
        self, supervisor: Supervisor, place: Place
    ) -> None:
        started = supervisor.start()
        assert supervisor.status() == started
        told = place.told()
        assert told["pid"] == started.pid
        assert place.address in told["listen"]
        supervisor.stop()
        assert not supervisor.status().is_running
        assert not place.has_process(started.pid)

    def test_start_when_one_runs_then_says_so_and_leaves_it(self, supervisor: Supervisor) -> None:
        started = supervisor.start()
        with pytest.raises(AlreadyRunning) as raised:
            supervisor.start()
        assert raised.value.pid == started.pid
        assert supervisor.status() == started

    def test_start_when_two_do_at_once_then_one_collector_runs(self, place: Place) -> None:
        outcomes: list[str] = []

        def start(by: Supervisor) -> None:
            try:
                by.start()
                outcomes.append("started")
            except AlreadyRunning:
                outcomes.append("runs already")

        two = (place.supervisor(), place.supervisor())
        threads = [threading.Thread(target=start, args=(by,)) for by in two]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["runs already", "started"]

    def test_start_when_the_port_is_busy_then_says_why_and_nothing_is_left(
        self, supervisor: Supervisor, place: Place
    ) -> None:
        port = place.address.rpartition(":")[2]
        with place.taken(), pytest.raises(StartFailed) as raised:
            supervisor.start()
        assert re.search(f"{port}.*another program|bind.*failed", str(raised.value))
        status = supervisor.status()
        assert not status.is_running
        assert not status.crashed

    def test_stop_when_none_runs_then_says_so(self, supervisor: Supervisor) -> None:
        with pytest.raises(NotRunning):
            supervisor.stop()

    def test_status_when_the_collector_was_killed_then_it_crashed(
        self, supervisor: Supervisor, place: Place
    ) -> None:
        place.kill(supervisor.start().pid)
        deadline = time.monotonic() + SECONDS
        while supervisor.status().is_running:
            assert time.monotonic() < deadline
        assert supervisor.status().crashed
        with pytest.raises(NotRunning):
            supervisor.stop()
        assert not supervisor.status().crashed
        assert supervisor.start().is_running

    def test_status_when_another_process_asks_then_it_is_the_same(
        self, supervisor: Supervisor, place: Place
    ) -> None:
        started = supervisor.start()
        other = place.supervisor()
        assert other.status() == started
        other.stop()
        assert not supervisor.status().is_running
