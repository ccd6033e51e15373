"""`appliance run`: the first hour, as a newcomer has it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from appliance.app import open_app
from appliance.cli import run
from appliance.cli.web_host import web_host_warning
from appliance.flowlog import FlowSearch
from appliance.native import library
from appliance.processes.supervision import supervisor_of
from tests.asking import totals
from tests.collector.running import RunningCollector, free_port


def test_run_when_started_then_says_where_and_what_next(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="run")
    try:
        running.start()
        running.wait_for("time_ms", 1)
        assert running.stop() == 0
    finally:
        running.close()
    text = "\n".join(running.output)
    assert f":{running.port}" in text
    for words in ("token create", "top --last 15m"):
        assert f"appliance -confPath {running.conf}/ {words}" in text
    assert "everything received is in the flow log" in text
    assert "Traceback" not in text


def test_run_when_the_api_port_is_busy_then_stops_with_a_sentence(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="run")
    with socket.create_server(("127.0.0.1", running.api_port)):
        try:
            running.start()
            assert running.process is not None
            assert running.process.wait(30) == 2
        finally:
            running.process = None
    text = "\n".join(running.output)
    assert f"cannot listen on 127.0.0.1:{running.api_port}" in text
    assert "Traceback" not in text


def test_demo_when_run_then_top_shows_traffic_of_three_exporters(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="demo")
    try:
        running.start()
        status = running.wait_for("datagrams", 200, seconds=30)
        assert len(status["exporters"]) == 3
        found = subprocess.run(
            [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "top"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert len(found.stdout.splitlines()) > 5
        children = psutil.Process(running.process.pid).children() if running.process else []
        assert len(children) == 3
        assert running.stop() == 0
        assert not any(child.is_running() for child in children)
    finally:
        running.close()
    assert totals(FlowSearch(running.data / "flowlog")).flows > 0


def test_run_when_the_collector_is_killed_then_it_comes_back_and_when_stopped_not(
    tmp_path: Path,
) -> None:
    running = RunningCollector(tmp_path, command="run")
    try:
        running.start()
        running.kill_collector()
        supervisor = supervisor_of(open_app(running.conf).settings)
        assert supervisor.status().is_running
        supervisor.stop()
        # Longer than the pause after which a crashed one is started again.
        time.sleep(3)
        assert not supervisor.status().is_running
        supervisor.start()
        assert running.status()["listen"] == [f"127.0.0.1:{running.port}"]
        assert running.stop() == 0
        assert not supervisor.status().is_running
    finally:
        running.close()


def test_run_when_listen_is_given_then_the_collector_listens_there(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="run")
    other = free_port()
    running.words = ["run", "--listen", f"127.0.0.1:{other}"]
    running.port = other
    try:
        running.start()
        assert running.status()["listen"] == [f"127.0.0.1:{other}"]
        assert running.stop() == 0
    finally:
        running.close()


def test_run_when_a_web_host_is_named_then_the_api_answers_there(
    tmp_path: Path,
) -> None:
    running = RunningCollector(tmp_path, command="run")
    running.words = ["run", "--web-host", "127.0.0.9"]
    try:
        running.start()
        deadline = time.monotonic() + 30
        while not any("administrator destneAdmin" in line for line in running.output):
            assert time.monotonic() < deadline, "\n".join(running.output)
            time.sleep(0.05)
        url = f"http://127.0.0.9:{running.api_port}/v1/api/"
        with urllib.request.urlopen(url, timeout=20) as reply:
            assert reply.status == 200
        assert running.stop() == 0
    finally:
        running.close()
    assert f"http://127.0.0.9:{running.api_port}/console/" in "\n".join(running.output)


def test_web_host_when_others_reach_it_then_a_warning() -> None:
    assert web_host_warning("127.0.0.9") == web_host_warning(None) == []
    for host, name in (("192.0.2.1", "192.0.2.1"), ("0.0.0.0", socket.gethostname())):
        (line,) = web_host_warning(host)
        assert f"WARNING     whoever reaches {name} " in line


def test_run_when_there_are_no_kernels_then_a_note_unless_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(run, "why_unavailable", lambda: "not built")
    assert run.kernel_hints()[0].startswith("not built: a flow takes more processor time")
    monkeypatch.setenv(library.SWITCH, "0")
    assert run.kernel_hints() == []


def test_web_host_when_it_is_no_address_then_a_sentence(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="run")
    appliance = [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/"]
    done = subprocess.run(
        [*appliance, "run", "--web-host", "my-laptop"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "expected an address of this machine" in done.stderr


def test_run_when_there_is_a_certificate_then_https_and_both_told(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, command="run")
    made = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "cert"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    identity = made.stdout.split()[-1]
    try:
        running.start()
        deadline = time.monotonic() + 30
        while not any("administrator destneAdmin" in line for line in running.output):
            assert time.monotonic() < deadline, "\n".join(running.output)
            time.sleep(0.05)
        context = ssl.create_default_context(cafile=str(running.data / "tls" / "certificate.pem"))
        with urllib.request.urlopen(
            f"https://127.0.0.1:{running.api_port}/v1/api/", context=context, timeout=20
        ) as reply:
            assert reply.status == 200
        assert running.stop() == 0
    finally:
        running.close()
    text = "\n".join(running.output)
    assert f"certificate SHA-256 {identity}" in text
    assert f"https://127.0.0.1:{running.api_port}/" in text
    assert text.count("password") == 1


def test_run_when_it_is_to_make_a_certificate_then_https_at_once_and_never_another(
    tmp_path: Path,
) -> None:
    running = RunningCollector(tmp_path, command="run")
    running.words = ["run", "--make-certificate"]
    pairs = []
    try:
        for _ in range(2):
            running.start()
            assert running.stop() == 0
            pairs.append((running.data / "tls" / "certificate.pem").read_text())
    finally:
        running.close()
    assert pairs[0] == pairs[1]
    text = "\n".join(running.output)
    assert text.count("certificate SHA-256 ") == 2
    assert text.count(f"https://127.0.0.1:{running.api_port}/console/") == 2
