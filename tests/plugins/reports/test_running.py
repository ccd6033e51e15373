"""Reports of a whole appliance: sent by its loader process, and from roll-ups without the flows."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import set_plugin_columns
from appliance.plugins.reports.named_reports import NamedReport
from appliance.plugins.reports.report_store import DONE, ReportStore, report_store
from tests.collector.running import RunningCollector
from tests.mail_servers import mail_server
from tests.plugins.alerts.conftest import flows

pytestmark = pytest.mark.slow

DAY = 86_400


def wait_for(condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def put_due(store: ReportStore, name: str) -> None:
    """Set a report whose day was over before now, as if it had been there for long."""
    hour = datetime.now(UTC).hour
    store.put(NamedReport(name, "daily", ("noc@example.com",), max(hour - 1, 0), "UTC"), now=1.0)


def test_loader_when_a_report_is_due_then_sent_once_though_it_is_killed(tmp_path: Path) -> None:
    with mail_server() as (port, received):
        address = f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"
        running = RunningCollector(tmp_path, f"mail.server: '{address}'\n")
        store = report_store(open_app(running.conf).settings)
        put_due(store, "first")
        running.start()
        try:
            wait_for(lambda: received)
            wait_for(lambda: store.deliveries()["first"].state == DONE)
            running.kill_child("loader")
            put_due(store, "second")
            wait_for(lambda: len(received) > 1)
        finally:
            running.stop()
            set_plugin_columns(())
    names = [mail["Subject"].split(": ")[1].split(",")[0] for mail in received]
    assert names == ["first", "second"]


def test_report_when_the_flows_are_gone_then_totals_from_rollups(
    conf: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = conf(f"data_directory: {tmp_path}/data\ntimezone: UTC\n")
    log = tmp_path / "data" / "flowlog"
    today = int(time.time()) // DAY * DAY

    def write(*hours: int) -> None:
        writer = FlowLogWriter(log, FlowLogLimits(minimum_free_octets=0))
        writer.start()
        for hour in hours:
            writer.append(flows(1, today + hour * 3600 + 60, octet_delta_count=1000))
        writer.flush({}, today * 1000)
        writer.close(today * 1000)

    def report() -> Any:
        capsys.readouterr()
        words = ["-confPath", f"{folder}/", "report", "daily", "--format", "json"]
        assert run_command_line(group, words) == 0
        return json.loads(capsys.readouterr().out)

    write(*range(-50, 1))
    store = open_app(folder).open_store()
    while store.load_once(time.time()).busy:
        pass
    store.close()
    before = report()
    shutil.rmtree(log)
    write(0)
    after = report()
    set_plugin_columns(())
    assert before["totals"][0] == {
        "measure": "octets", "value": 24_000, "before": 24_000, "change_percent": 0,
    }  # fmt: skip
    assert after["totals"] == before["totals"]
    assert after["tops"][3] == before["tops"][3]
    # Of what roll-ups do not have, nothing is made up.
    assert after["tops"][0]["rows"] == []
