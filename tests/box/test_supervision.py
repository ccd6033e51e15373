"""The unit of the collector, started and stopped by systemd, does what every supervisor does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.processes.supervision import Supervisor
from appliance.processes.supervision.systemd import SystemdSupervisor
from tests.box.deployment import Deployment
from tests.box.machine import Machine
from tests.box.processes import eventually
from tests.processes.supervision.contract import SupervisorContract

UNIT = "appliance-collector.service"
STATE = "/var/lib/netflow-appliance"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
CONFIGURATION = "mysql-nfacctd.conf primitives.lst pre_tag_map.lst collector.conf"


class OnBox:
    """The collector of the box."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.address = self.told()["listen"][0]

    def supervisor(self) -> Supervisor:
        return SystemdSupervisor(UNIT, self.machine.remote("sudo", "systemctl"))

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.machine.run(f"cat {STATE}/collector.json"))
        return found

    def kill(self, pid: int) -> None:
        self.machine.run(f"kill -KILL {pid}")

    def has_process(self, pid: int) -> bool:
        return self.machine.attempt(f"test -d /proc/{pid}").returncode == 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        host, _, port = self.address.rpartition(":")
        family = "AF_INET6" if ":" in host else "AF_INET"
        taken = f"s = socket.socket(socket.{family}, socket.SOCK_DGRAM)"
        taken += f"; s.bind(('{host.strip('[]')}', {port})); time.sleep(600)"
        program = f'python3 -c "import socket, time; {taken}"'
        self.machine.run(f"systemd-run --unit=other-collector {program}")
        listening = f"ss -lnu sport = :{port} | grep -q :{port}"
        try:
            eventually(lambda: self.machine.attempt(listening).returncode == 0, "listening", 30)
            yield
        finally:
            self.machine.run("systemctl stop other-collector")


@pytest.fixture(scope="module", params=["builtin", "nfacctd"])
def engine(request: pytest.FixtureRequest, box: Deployment) -> Iterator[Deployment]:
    """The box with one of the engines, made so by the playbook; a crashed collector stays down."""
    run = box.machine.run
    if request.param == "nfacctd":
        box.converge("--tags", "collector,appliance", collector_engine="nfacctd")
    run(f"mkdir -p {DROP_IN} && printf '[Service]\\nRestart=no\\n' > {DROP_IN}/test.conf")
    run("systemctl daemon-reload")
    yield box
    run(f"rm -r {DROP_IN} && systemctl daemon-reload && systemctl reset-failed")
    if request.param == "nfacctd":
        run(f"systemctl stop {UNIT} && cd {STATE} && rm -f {CONFIGURATION}")
        box.converge("--tags", "collector,appliance")
    run(f"systemctl start {UNIT}")


class TestUnit(SupervisorContract):
    """The unit of the box, with both engines."""

    @pytest.fixture
    def place(self, engine: Deployment) -> Iterator[OnBox]:
        engine.machine.run(f"systemctl start {UNIT}")
        place = OnBox(engine.machine)
        engine.machine.run(f"systemctl stop {UNIT}")
        yield place
        engine.machine.attempt(f"systemctl stop {UNIT}; systemctl reset-failed {UNIT}")
