"""Installs the example plugin as a site would and finds each of its parts at work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from appliance.app import build_app
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.plugin_manager import build_plugin_manager
from appliance.settings import SettingsFile
from appliance.wire.block import Datagram, block_of

SOURCE = Path(__file__).parent / "example_plugin"
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Install the plugin into a folder of its own, without the network."""
    target = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "appliance_paperflow.py"):
        (build / name).write_bytes((SOURCE / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    options = ["--no-build-isolation", "--no-warn-script-location", "--target", str(target)]
    subprocess.run([*pip, *options, str(build)], check=True, capture_output=True)
    return target


@pytest.fixture
def app(installed, monkeypatch):
    """Build an appliance with no plugin but the installed one."""
    monkeypatch.syspath_prepend(str(installed))
    found = [
        entry
        for distribution in distributions(path=[str(installed)])
        for entry in distribution.entry_points.select(group="appliance.plugins")
    ]
    manager = build_plugin_manager(built_in=(), entry_points=found)
    yield build_app(manager, SettingsFile(None, Path("/srv/conf"), {}))
    sys.modules.pop("appliance_paperflow", None)


def appliance(installed: Path, conf: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_example_when_installed_then_found_by_its_entry_point(app):
    assert [name for name, _ in app.plugins.list_name_plugin()] == ["paperflow"]


def test_example_when_datagrams_come_then_flows_with_packets(app):
    batches = []
    sink = SimpleNamespace(append=batches.append)
    pipeline = Pipeline(app.decoders, ExporterStates(ExporterLimits()), sink, app.enrichers)
    flows = np.array([(1024, 443, 1500), (53, 5353, 80)], ">u2,>u2,>u4").tobytes()
    pipeline.take(block_of([Datagram(b"\0\xfa" + flows + b"\0\0\0", 0, 1, 2, 3)] * 2), 3)
    assert not app.failures.report()
    (batch,) = batches
    assert batch.column("destination_transport_port").tolist() == [443, 5353, 443, 5353]
    assert batch.column("octet_delta_count").tolist() == [1500, 80, 1500, 80]
    assert batch.column("packet_delta_count").tolist() == [3, 1, 3, 1]
    assert batch.column("exporter_address_lo").tolist() == [1] * 4


def test_example_when_its_route_is_called_then_it_answers(app):
    (route,) = app.routes
    assert (route.value.method, route.value.path) == ("GET", "/paperflow/sizes")
    assert route.value.handler() == {"sizes": ["A4", "A5"]}


def test_example_when_its_command_is_called_then_it_runs(installed, conf):
    folder = conf("")
    assert appliance(installed, folder, "fold", "3").stdout == "8 layers\n"
    printed = appliance(installed, folder, "--help").stdout
    assert re.search(r"^  fold +Fold a sheet of paper\.$", printed, re.MULTILINE)


def test_example_when_plugins_are_listed_then_with_origin_and_hooks(installed, conf):
    listed = json.loads(appliance(installed, conf(""), "plugins", "--json").stdout)
    *built_in, row = listed
    assert {other["from"] for other in built_in} == {"built-in"}
    assert (row["name"], row["from"]) == ("paperflow", "appliance-paperflow 1.0")
    assert "register_decoders" in row["hooks"]


def test_example_when_disabled_then_nothing_of_it_is_there(installed, conf):
    folder = conf("plugins: {disabled: [netflow_v5, netflow_v9, ipfix, paperflow]}")
    ran = appliance(installed, folder, "fold", "3")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("appliance: no such command: fold")


def test_example_when_its_setting_is_wrong_then_one_sentence(installed, conf):
    folder = conf("paperflow: {packet_octets: 0}")
    ran = appliance(installed, folder, "plugins")
    assert ran.returncode == 2
    assert "paperflow.packet_octets: expected a whole number from 1 to 65535" in ran.stderr
