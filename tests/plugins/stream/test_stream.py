"""The flow log as lines, to real sockets and files: every flow at least once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.app import open_app
from appliance.errors import StorageError
from appliance.flowlog import kept_place
from appliance.plugins.stream import loader as loader_module
from appliance.plugins.stream.loader import StreamLoader, loaders_of
from appliance.process_parts import gather_loaders
from tests.collector.running import free_port
from tests.plugins.clickhouse.world import START, LogOfFlows
from tests.plugins.stream.world import (
    LineServer,
    loader_of,
    octets_of,
    send_all,
    settings_of,
    to_tcp,
)


def load_often(loader: StreamLoader, n: int) -> None:
    for _ in range(n):
        loader.load_once(START)


def test_log_when_streamed_by_tcp_then_the_target_has_every_flow_once(
    servers: Callable[..., LineServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "BATCH_ROWS", 1000)
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(4_500)
    log.seal()
    log.write(700)
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    assert send_all(loader) == 5_200
    rows = server.rows(5_200)
    assert (len(rows), octets_of(rows)) == log.sums()[:2]
    assert len(server.received) == 1
    loader.close()


def test_lines_when_written_then_they_are_those_of_an_export(
    servers: Callable[..., LineServer], tmp_path: Path, capfdbinary: Any
) -> None:
    server, log = servers(), LogOfFlows(tmp_path / "data")
    log.write(300)
    folder = tmp_path / "data"
    text = {"filter": "octets > 1000 and src ip 0.0.0.0/26"}
    (loader,) = loaders_of(settings_of(folder, {"to": to_tcp(server), **text, "history": True}))
    send_all(loader)
    loader.close()
    (tmp_path / "appliance.yml").write_text(json.dumps({"data_directory": "data"}))
    command = [sys.executable, "-m", "appliance", "-confPath", f"{tmp_path}/", "export"]
    ran = subprocess.run(
        [*command, "--format", "json", text["filter"]], capture_output=True, check=True
    )
    expected = [json.loads(line) for line in ran.stdout.splitlines()]
    assert 0 < len(expected) < 300
    assert server.rows(len(expected)) == expected


def test_target_when_it_is_new_then_it_gets_what_comes_from_now_on(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(50)
    loader = loader_of(tmp_path, to_tcp(server))
    assert send_all(loader) == 0
    # Killed before the first flow is sent: the place is known all the same.
    loader.close()
    log.write(20)
    loader = loader_of(tmp_path, to_tcp(server))
    assert send_all(loader) == 20
    assert len(server.rows(20)) == 20
    loader.close()


def test_loader_when_it_is_killed_before_it_knows_then_flows_come_again_and_none_is_missing(
    servers: Callable[..., LineServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "BATCH_ROWS", 100)
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(350)

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    for _ in range(3):
        loader = loader_of(tmp_path, to_tcp(server), history=True)
        loader.load_once(START)
        with monkeypatch.context() as patch:
            patch.setattr(loader.place, "keep", kill)
            with pytest.raises(Killed):
                loader.load_once(START)
        loader.close()
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    send_all(loader)
    rows = server.rows(351)
    seen = {json.dumps(row, sort_keys=True): row for row in rows}
    assert (len(seen), octets_of(list(seen.values()))) == log.sums()[:2]
    loader.close()


def test_target_when_it_hangs_up_then_said_and_the_batch_comes_again(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(100)
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    send_all(loader)
    place = loader.cursor()
    server.rows(100)
    server.hang_up()
    log.write(60)
    with pytest.raises(StorageError, match=r"stream to tcp://127\.0\.0\.1:"):
        load_often(loader, 2)
    assert loader.cursor() == place
    assert send_all(loader) == 60
    rows = server.rows(160)
    assert {json.dumps(row) for row in rows} == {json.dumps(row) for row in rows[:100] + rows[-60:]}
    loader.close()


def test_target_when_nobody_listens_then_the_log_keeps_the_flows(tmp_path: Path) -> None:
    log = LogOfFlows(tmp_path)
    log.write(10)
    loader = loader_of(tmp_path, f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}", history=True)
    for _ in range(3):
        with pytest.raises(StorageError, match="connection refused"):
            loader.load_once(START)
    assert loader.cursor() == (0, 0)
    loader.close()


def test_target_when_it_reads_slowly_then_it_is_waited_for_without_sending_twice(
    servers: Callable[..., LineServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "SLICE_SECONDS", 0.05)
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(15_000)
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    server.hears.clear()
    for _ in range(4):
        assert loader.load_once(START).rows == 0
    assert loader.cursor() == (0, 0)
    server.hears.set()
    assert send_all(loader) == 15_000
    assert len(server.rows(15_000)) == 15_000
    loader.close()


def test_target_when_it_has_not_acknowledged_yet_then_the_place_stays(
    servers: Callable[..., LineServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "SLICE_SECONDS", 0.2)
    server, log = servers(), LogOfFlows(tmp_path)
    # All of it fits into the sender's buffer, not all into the receiver's.
    log.write(300)
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    server.hears.clear()
    assert loader.load_once(START).rows == 0
    assert loader.cursor() == (0, 0)
    server.hears.set()
    assert send_all(loader) == 300
    loader.close()


def test_target_when_it_takes_nothing_at_all_then_given_up_and_said(
    servers: Callable[..., LineServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "SLICE_SECONDS", 0.02)
    monkeypatch.setattr(loader_module, "STALL_SECONDS", 0.1)
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(15_000)
    loader = loader_of(tmp_path, to_tcp(server), history=True)
    server.hears.clear()
    with pytest.raises(StorageError, match="takes nothing for"):
        load_often(loader, 1000)
    loader.close()


def test_log_when_two_processes_send_then_one_waits(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, _ = servers(), LogOfFlows(tmp_path).write(10)
    first, second = (loader_of(tmp_path, to_tcp(server), history=True) for _ in range(2))
    first.load_once(START)
    with pytest.raises(StorageError, match="another process publishes"):
        second.load_once(START)
    first.close()


def test_place_when_its_file_is_damaged_then_everything_comes_again(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(10)
    loader = loader_of(tmp_path, to_tcp(server))
    send_all(loader)
    loader.close()
    (file,) = (tmp_path / "stream").glob(f"*/{kept_place.PLACE_FILE}")
    for octets in (b"", b"{", b"[]", b'{"segment": -1}', b"\xff" * 9000):
        file.write_bytes(octets)
        loader = loader_of(tmp_path, to_tcp(server))
        assert send_all(loader) == 10
        loader.close()


def test_unix_socket_when_it_is_a_target_then_it_gets_the_flows(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, log = servers(str(tmp_path / "s")), LogOfFlows(tmp_path)
    log.write(500)
    loader = loader_of(tmp_path, f"unix:{tmp_path}/s", history=True)
    assert send_all(loader) == 500
    assert octets_of(server.rows(500)) == log.sums()[1]
    loader.close()


def test_file_when_it_is_a_target_then_lines_are_added_and_a_renamed_one_is_left(
    tmp_path: Path,
) -> None:
    log, file = LogOfFlows(tmp_path), tmp_path / "flows.json"
    # A crash left half a line.
    file.write_text('{"cut": "o')
    log.write(30)
    loader = loader_of(tmp_path, f"file:{file}", history=True)
    send_all(loader)
    lines = file.read_text().splitlines()
    assert lines[0] == '{"cut": "o'
    assert len([json.loads(line) for line in lines[1:]]) == 30
    file.rename(tmp_path / "old")
    log.write(5)
    send_all(loader)
    assert len(file.read_text().splitlines()) == 5
    assert file.stat().st_mode & 0o777 == 0o640 & ~umask()
    loader.close()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_file_when_the_disk_is_full_then_said_and_the_flows_stay_in_the_log(
    tmp_path: Path,
) -> None:
    LogOfFlows(tmp_path).write(5)
    (tmp_path / "full").symlink_to("/dev/full")
    loader = loader_of(tmp_path, f"file:{tmp_path}/full", history=True)
    with pytest.raises(StorageError, match="stream to file:"):
        loader.load_once(START)
    assert loader.cursor() == (0, 0)
    loader.close()


def test_syslog_when_by_udp_then_each_flow_is_a_message_of_rfc_5424(tmp_path: Path) -> None:
    LogOfFlows(tmp_path).write(20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(20)
        to = f"syslog+udp://127.0.0.1:{target.getsockname()[1]}"
        loader = loader_of(tmp_path, to, history=True)
        assert send_all(loader) == 20
        messages = [target.recv(65_536).decode() for _ in range(20)]
        loader.close()
    for message in messages:
        header, _, body = message.partition(" - {")
        priority, time, host, application, process, name = header.split(" ")
        assert (priority, application, process, name) == (
            "<134>1",
            "netflow-appliance",
            "-",
            "flow",
        )
        assert time.startswith("2027-01-31T")
        assert host
        json.loads("{" + body)


def test_syslog_when_by_tcp_then_lengths_are_counted(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server, log = servers(), LogOfFlows(tmp_path)
    log.write(20)
    to = f"syslog+tcp://127.0.0.1:{server.address[1]}"
    loader = loader_of(tmp_path, to, history=True)
    send_all(loader)
    loader.close()
    server.close()
    octets, n = bytes(server.received[0]), 0
    while octets:
        length, _, rest = octets.partition(b" ")
        message, octets = rest[: int(length)], rest[int(length) :]
        assert message.startswith(b"<134>1 ")
        assert message.endswith(b"}")
        n += 1
    assert n == 20


def test_settings_when_a_target_is_named_then_loader_and_metrics_are_there(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server = servers()
    target = {"to": to_tcp(server), "history": True}
    tree = {"data_directory": "data", "stream": {"targets": [target]}}
    (tmp_path / "appliance.yml").write_text(json.dumps(tree))
    LogOfFlows(tmp_path / "data").write(50)
    app = open_app(tmp_path)
    (loader,) = (one for one in gather_loaders(app) if one.name.startswith("stream"))
    loader.load_once(START)
    assert len(server.rows(50)) == 50
    samples = {
        sample.name: sample.value
        for collector in app.metrics
        for family in collector.collect()
        for sample in family.samples
    }
    assert samples["appliance_streamed_flows_total"] == 50
    loader.close()


def test_command_when_it_shows_history_then_lines_on_standard_output(tmp_path: Path) -> None:
    LogOfFlows(tmp_path / "data").write(40)
    (tmp_path / "appliance.yml").write_text(json.dumps({"data_directory": "data"}))
    command = [sys.executable, "-m", "appliance", "-confPath", f"{tmp_path}/", "stream"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True, check=False)

    shown = run("--history", "--once", "--columns", "source_address", "ip in 0.0.0.0/0")
    assert shown.returncode == 0
    assert len([json.loads(line) for line in shown.stdout.splitlines()]) == 40
    assert run("--once").stdout == ""
    wrong = run("--once", "prt 443")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
