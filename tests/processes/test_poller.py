"""The poller's process: rounds, what it says of them, and pollers that fail."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import ExporterRecord, PollReport
from appliance.errors import StorageError
from appliance.guard import PluginFailures, guard_object
from appliance.guard.methods import POLLER
from appliance.interface_history import InterfaceHistory
from appliance.processes.poller import PollingProcess
from appliance.settings.file import SettingsFile
from tests.collector.running import RunningCollector
from tests.decoding.building import v5, v5_record
from tests.guard.failing import guard_of
from tests.snmp_agents import AgentServer, device, honest

EXPORTERS = [ExporterRecord(1, "192.0.2.1", "", "", 0.0, 0.0)]


class SlowPoller:
    """A poller whose rounds are counted."""

    name, interval_seconds = "things", 60.0

    def __init__(self, report: Any) -> None:
        self.report, self.calls = report, []  # type: ignore[var-annotated]

    def poll(self, exporters: Sequence[ExporterRecord], now: float) -> PollReport:
        self.calls.append([exporter.address for exporter in exporters])
        if isinstance(self.report, Exception):
            raise self.report
        return self.report  # type: ignore[no-any-return]


def process_of(
    tmp_path: Path, poller: Any, exporters: Any, failures: PluginFailures | None = None
) -> PollingProcess:
    settings = SettingsFile(None, tmp_path, {"data_directory": str(tmp_path)}).settings()
    return PollingProcess(settings, [poller], exporters, failures or PluginFailures())


def status_of(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "poller.json").read_text())


def test_round_when_it_ends_then_the_status_says_who_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    poller = SlowPoller(PollReport(1, ["192.0.2.2"], ["192.0.2.2: no answer"]))
    process = process_of(tmp_path, poller, lambda: EXPORTERS)
    assert process.poll_once(poller, 1000.0) == 60
    assert status_of(tmp_path)["pollers"]["things"] == {
        "time_ms": 1_000_000,
        "interval_seconds": 60.0,
        "answered": 1,
        "silent": 1,
        "silent_exporters": ["192.0.2.2"],
    }
    assert caplog.messages == ["things: 192.0.2.2: no answer"]


def test_round_when_there_are_no_exporters_then_nobody_is_asked_and_soon_again(tmp_path: Path):
    poller = SlowPoller(PollReport())
    assert process_of(tmp_path, poller, list).poll_once(poller, 1.0) == 10
    assert not poller.calls


def test_round_when_the_list_of_exporters_is_away_then_those_of_before_are_asked(tmp_path: Path):
    answers: list[Any] = [EXPORTERS, StorageError("away")]

    def exporters() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    poller = SlowPoller(PollReport())
    process = process_of(tmp_path, poller, exporters)
    process.poll_once(poller, 1.0)
    process.poll_once(poller, 2.0)
    assert poller.calls == [["192.0.2.1"]] * 2


@pytest.mark.parametrize("report", [ValueError("x"), None, PollReport(answered="5")])  # type: ignore[arg-type]
def test_round_when_the_poller_fails_then_it_is_counted_and_tried_again(
    tmp_path: Path, report: Any
):
    failures = PluginFailures()
    poller = guard_object(guard_of("poller", failures), SlowPoller(report), POLLER)
    process = process_of(tmp_path, poller, lambda: EXPORTERS, failures)
    assert process.poll_once(poller, 1.0) == 10
    assert status_of(tmp_path)["plugin_failures"]["site"]["poller"]["count"] == 1


@pytest.mark.slow
def test_collector_when_credentials_are_set_then_a_process_beside_it_asks_who_sends(
    tmp_path: Path,
):
    routers = {1: ("Gi0/1", "uplink", 1000)}
    with AgentServer(honest(device(routers, name="core1"))) as agent:
        snmp = f"snmp:\n  community: public\n  port: {agent.port}\n"
        running = RunningCollector(tmp_path, snmp).start()
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(v5(v5_record(), seconds=int(time.time())), running.target)
            history = InterfaceHistory(running.data / "interfaces.sqlite")
            deadline = time.monotonic() + 60
            while not (history.device_names() and (running.data / "poller.json").exists()):
                assert time.monotonic() < deadline, running.output
                threading.Event().wait(0.1)
            assert history.device_names() == {"127.0.0.1": "core1"}
            assert status_of(running.data)["pollers"]["SNMP"]["answered"] == 1
        finally:
            assert running.stop() == 0
            running.close()


def test_interval_when_it_is_none_then_the_poller_is_refused():
    poller: Any = SlowPoller(PollReport())
    poller.interval_seconds = 0
    with pytest.raises(ValueError, match="a second at least"):
        POLLER.check(poller)
