"""Starting and stopping the collector's unit without any privilege: the helper does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.privileged.protocol import COLLECTOR_UNIT
from appliance.processes.supervision import NotRunning, StartFailed, StopFailed
from appliance.processes.supervision.systemd import SystemdSupervisor
from tests.privileged.helper_server import HelperServer

RUNS = "ActiveState=active\nMainPID=77\n"
STOPPED = "ActiveState=inactive\nMainPID=0\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HelperServer]:
    server = HelperServer(tmp_path)
    # A unit that is what its state file says, and does what it is told.
    server.scripted.script(
        "bin/systemctl",
        f'state="{tmp_path}/state"\n'
        f'case "$1" in show) cat "$state";; start) printf "{RUNS}" > "$state";;'
        f' stop) printf "{STOPPED}" > "$state";; esac',
    )
    (tmp_path / "state").write_text(STOPPED)
    yield server
    server.close()


@pytest.fixture
def supervisor(server: HelperServer, tmp_path: Path) -> SystemdSupervisor:
    unprivileged = tmp_path / "systemctl"
    unprivileged.write_text(
        f'#!/bin/sh\n[ "$1" = show ] || exit 4\nexec "{server.scripted.root}/bin/systemctl" "$@"\n'
    )
    unprivileged.chmod(0o755)
    return SystemdSupervisor(COLLECTOR_UNIT, (str(unprivileged),), server.path)


def test_unit_when_started_and_stopped_then_by_the_helper(
    supervisor: SystemdSupervisor, server: HelperServer
):
    assert supervisor.start().pid == 77
    supervisor.stop()
    assert not supervisor.status().is_running
    with pytest.raises(NotRunning):
        supervisor.stop()
    done = [call for call in server.scripted.calls if " show " not in call]
    assert done == [f"systemctl start {COLLECTOR_UNIT}", f"systemctl stop {COLLECTOR_UNIT}"]


def test_unit_when_it_does_not_start_then_given_up_by_the_helper(
    supervisor: SystemdSupervisor, server: HelperServer
):
    server.scripted.script("bin/systemctl", '[ "$1" != start ] || { echo port is taken; exit 1; }')
    with pytest.raises(StartFailed, match="port is taken"):
        supervisor.start()
    done = [call.split()[1] for call in server.scripted.calls if " show " not in call]
    assert done == ["start", "stop", "reset-failed"]


def test_unit_when_the_helper_is_away_then_says_so(supervisor: SystemdSupervisor, tmp_path: Path):
    (tmp_path / "state").write_text(RUNS)
    alone = SystemdSupervisor(COLLECTOR_UNIT, supervisor._systemctl, tmp_path / "nothing")
    with pytest.raises(StopFailed, match="the helper does not answer"):
        alone.stop()
