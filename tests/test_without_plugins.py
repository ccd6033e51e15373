"""The appliance without one of its own plugins, and without any: it starts, collects and serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.main import group
from appliance.plugin_manager import BUILT_IN_PLUGINS
from tests.collector.running import RunningCollector
from tests.decoding.building import v5, v5_record

NAMES = [module.rpartition(".")[2] for module in BUILT_IN_PLUGINS]


def settings_without(names: Sequence[str]) -> str:
    return f"plugins:\n  disabled: {json.dumps(list(names))}\n"


def answered(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def wait_for_api(running: RunningCollector) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            answered(running.api_port, "/")
            return
        assert time.monotonic() < deadline, running.output
        threading.Event().wait(0.05)


@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES], ids="+".join)
def test_appliance_when_plugins_are_disabled_then_it_starts_collects_and_serves(
    tmp_path: Path, names: list[str]
) -> None:
    running = RunningCollector(tmp_path, settings_without(names), command="run")
    try:
        running.start()
        wait_for_api(running)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(v5(v5_record()), ("127.0.0.1", running.port))
        running.wait_for("datagrams", 1)
        assert answered(running.api_port, "/")[0] == 200
        status, document = answered(running.api_port, "/api/openapi.json")
        assert status == 200
        assert json.loads(document)["paths"]
        assert running.stop() == 0
        assert running.rows() == ("netflow_v5" not in names)
        assert not [line for line in running.output if "Traceback" in line], running.output
        assert not [line for line in running.output if "starting the" in line]
    finally:
        running.close()


@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES], ids="+".join)
def test_check_when_plugins_are_disabled_then_every_line_is_there(
    tmp_path: Path, names: list[str]
) -> None:
    running = RunningCollector(tmp_path, settings_without(names), command="run")
    ran = CliRunner().invoke(
        group, ["-confPath", f"{running.conf}/", "check", "--json"], standalone_mode=False
    )
    assert ran.exception is None
    report = json.loads(ran.output)
    assert {"accounts", "flow database", "data directory"} <= {
        finding["what"] for finding in report["environment"]
    }


def test_flow_database_when_configured_and_nobody_opens_it_then_one_sentence(
    tmp_path: Path,
) -> None:
    text = f"{settings_without(['rollups'])}flows: {{database: 'sqlite:other.sqlite'}}\n"
    running = RunningCollector(tmp_path, text)
    running.ready_pattern = "no plugin opens sqlite: databases"
    try:
        running.start()
    finally:
        running.close()


def test_engine_when_configured_and_its_plugin_is_disabled_then_one_sentence(
    tmp_path: Path,
) -> None:
    running = RunningCollector(tmp_path, f"  engine: nfacctd\n{settings_without(['pmacct'])}")
    for command in ("collect", "check"):
        ran = subprocess.run(
            [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", command],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        file = running.conf / "appliance.yml"
        problem = "expected builtin, found nfacctd: no plugin has that engine"
        assert ran.stderr == f"appliance: {file}: collector.engine: {problem}\n"
        assert ran.returncode == 2
