"""Installs the example plugins as a site would, and follows a datagram to the answer of each."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.running import RunningCollector

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "appliance" / "skeletons"
NAMES = ("biggest", "countflows", "packetguess", "paperflow", "plainstore", "textlog")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the plugins into a folder of their own, without the network."""
    target = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build")
    shutil.copytree(SOURCE, build, dirs_exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    options = ["--no-build-isolation", "--no-warn-script-location", "--target", str(target)]
    folders = [str(file.parent) for file in build.glob("*/pyproject.toml")]
    subprocess.run([*pip, *options, *folders], check=True, capture_output=True)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let processes that are started find the plugins."""
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{ROOT}")
    return site


@pytest.fixture
def running(installed: Path, tmp_path: Path) -> Iterator[RunningCollector]:
    settings = 'flows: {database: "plainstore:sums.json"}\npacketguess: {packet_octets: 100}\n'
    started = RunningCollector(tmp_path, settings, command="run")
    yield started.start()
    started.close()


def appliance(conf: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def eventually(value: Callable[[], Any], expected: Any) -> None:
    deadline = time.monotonic() + 30
    while (now := value()) != expected:
        assert time.monotonic() < deadline, now
        threading.Event().wait(0.05)


def test_examples_when_a_datagram_comes_then_each_answers(running: RunningCollector) -> None:
    flows = struct.pack(">HHIHHI", 1024, 443, 1500, 53, 5353, 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # Padding behind the last flow is none.
        sender.sendto(b"\0\xfa" + flows + b"\0\0\0", ("127.0.0.1", running.port))

    def biggest() -> Any:
        try:
            url = f"http://127.0.0.1:{running.api_port}/biggest/1"
            return json.loads(urllib.request.urlopen(url, timeout=10).read())
        except urllib.error.URLError as error:
            return str(error)

    # Decoder, enricher (100 octets a packet), store and route.
    total = {"octets": 1580, "packets": 16, "flows": 2}
    eventually(biggest, {"ports": [{"port": "255/443", "octets": 1500}], "total": total})
    # The enricher's own column.
    columns = ("--columns", "packet_guess,octet_delta_count", "--format", "csv")
    rows = appliance(running.conf, "flows", "packet_guess=1", *columns)
    assert rows.stdout.splitlines()[1:] == ["1,1500", "1,80"], rows.stderr
    top = appliance(running.conf, "top", "packet_guess", "--format", "csv")
    assert top.stdout.splitlines()[1] == "1,1580,16,2", top.stderr
    asked = "select sum(packet_guess) as n from flows"
    assert appliance(running.conf, "sql", asked).stdout.split() == ["n", "2"]
    # The loader.
    text = running.data / "flows.txt"
    lines = ["127.0.0.1 1024 443 1500", "127.0.0.1 53 5353 80"]
    eventually(
        lambda: [
            flow
            for line in (text.read_text() if text.exists() else "").splitlines()
            for flow in json.loads(line)["flows"]
        ],
        lines,
    )
    # The command.
    assert appliance(running.conf, "countflows").stdout == "2 flows\n"
    assert running.status()["plugin_failures"] == {}
    assert running.stop() == 0


def test_loader_when_killed_in_the_middle_of_a_line_then_written_again_once(
    running: RunningCollector,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\0\xfa" + bytes(8), ("127.0.0.1", running.port))
    text = running.data / "flows.txt"
    eventually(lambda: text.exists() and text.read_bytes().endswith(b"\n"), True)
    assert running.stop() == 0
    whole = text.read_bytes()
    text.write_bytes(whole[:-5])
    running.start()
    eventually(text.read_bytes, whole)


def test_examples_when_plugins_are_listed_then_with_origin_and_hooks(
    installed: Path, conf: Callable[[str], Path]
) -> None:
    rows = json.loads(appliance(conf(""), "plugins", "--json").stdout)
    ours = {row["name"]: row for row in rows if row["from"] != "built-in"}
    assert tuple(sorted(ours)) == NAMES
    assert ours["paperflow"]["from"] == "appliance-paperflow 1.0"
    assert "register_decoders" in ours["paperflow"]["hooks"]
    printed = appliance(conf(""), "--help").stdout
    assert re.search(r"^  countflows +Count the records", printed, re.MULTILINE)


def test_examples_when_disabled_then_nothing_of_them_is_there(
    installed: Path, conf: Callable[[str], Path]
) -> None:
    ran = appliance(conf("plugins: {disabled: [countflows]}"), "countflows")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("appliance: no such command: countflows")


def test_enricher_when_its_setting_is_wrong_then_one_sentence(
    installed: Path, conf: Callable[[str], Path]
) -> None:
    ran = appliance(conf("packetguess: {packet_octets: 0}"), "plugins")
    assert ran.returncode == 2
    assert "packetguess.packet_octets: expected a whole number from 1 to 65535" in ran.stderr
