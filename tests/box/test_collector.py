"""Collector management on the box: the API has no privileges, the unit is systemd's."""

from __future__ import annotations

import pytest

from tests.box.processes import eventually

COLLECTOR = "/api/v1/admin/collector"
UNIT = "appliance-collector.service"


@pytest.fixture
def token(box):
    """An administrator's token; the collector runs afterwards as before."""
    yield box.sign_in()
    box.machine.run(f"systemctl start {UNIT}")


def test_collector_when_stopped_and_started_over_the_api_then_its_unit_is(box, token):
    ask = box.ask
    assert ask(f"{COLLECTOR}/config", token)["status"] == "Running"
    assert ask(f"{COLLECTOR}/start", token) == {"error": "Nfacctd process already running"}
    assert ask(f"{COLLECTOR}/stop", token) == {"message": "Collector successfully stopped"}
    assert box.machine.attempt(f"systemctl is-active -q {UNIT}").returncode
    assert ask(f"{COLLECTOR}/config", token)["status"] == "Stopped"
    assert ask(f"{COLLECTOR}/stop", token) == {"error": "No nfacctd process running"}
    assert ask(f"{COLLECTOR}/start", token) == {"message": "Collector successfully started"}
    box.machine.run(f"systemctl is-active -q {UNIT}")
    assert ask(f"{COLLECTOR}/config", token)["status"] == "Running"


def test_collector_when_its_port_is_busy_then_the_answer_says_why_and_nothing_runs(box, token):
    config = box.ask(f"{COLLECTOR}/config", token)
    address, port = config["collectorIP"], config["collectorPort"]
    assert box.ask(f"{COLLECTOR}/stop", token)["message"]
    taken = f"import socket, time; s = socket.socket(type=2); s.bind(('{address}', {port}))"
    box.machine.run(f'systemd-run --unit=other-collector python3 -c "{taken}; time.sleep(600)"')
    try:
        listening = f"ss -lnu sport = :{port} | grep -q :{port}"
        eventually(lambda: box.machine.attempt(listening).returncode == 0, "listening", 30)
        answer = box.ask(f"{COLLECTOR}/start", token)
        assert f":{port}" in answer["error"]
        assert box.ask(f"{COLLECTOR}/config", token)["status"] == "Stopped"
    finally:
        box.machine.run("systemctl stop other-collector")


def test_collector_when_killed_then_systemd_starts_it_and_the_api_knows(box, token):
    before = box.machine.run(f"systemctl show --property=MainPID --value {UNIT}").strip()
    box.machine.run(f"systemctl kill --signal=KILL {UNIT}")
    eventually(
        lambda: (
            box.machine.run(f"systemctl show --property=MainPID --value {UNIT}").strip()
            not in ("0", before)
        ),
        "started again",
        60,
    )
    eventually(lambda: box.ask(f"{COLLECTOR}/config", token)["status"] == "Running", "running", 30)
