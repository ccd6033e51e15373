"""A daemon that no longer reads is noticed by what waits in its socket, whatever else it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from appliance.app import open_app
from appliance.collector.feeding import FeedCollector
from appliance.collector.status import read_status
from appliance.errors import ApplianceError
from appliance.plugins.metrics.health import THROTTLED_SECONDS, daemon_hints
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.engine import endless_loop, receive_queue
from appliance.plugins.pmacct.engine.nfacctd_process import NfacctdProcess
from appliance.plugins.pmacct.engine.receive_queue import ReceiveQueueWatch
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.plugins.pmacct.feed.table_feed import TableFeed
from tests.collector.running import free_port
from tests.collector.test_late_rows import TABLE, UTC
from tests.plugins.pmacct.nfacctd import NFACCTD, configuration, make_table

SECONDS = 1.5

STOPS = """
import socket, sys, time
receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
receiver.bind(("::", 0))
print(receiver.getsockname()[1], flush=True)
receiver.recv(2000)
while True:
    time.sleep(0.001)
"""
"""It sleeps, so it makes system calls and waits."""

READS = STOPS.replace("time.sleep(0.001)", "receiver.recv(2000); time.sleep(0.002)")
"""It is slower than what comes, so its queue is full."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endless_loop, "ENDLESS_SECONDS", SECONDS)
    monkeypatch.setattr(receive_queue, "_INTERVAL_SECONDS", 0.05)


@contextmanager
def program(text: str) -> Iterator[tuple[int, int]]:
    """Run a program that prints its port; yield its process and port."""
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def send_until(is_over: Callable[[], bool], port: int, pause: float, seconds: float = 20) -> bool:
    """Send datagrams of one size until something is so; tell whether it came to be."""
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while time.monotonic() < deadline:
            sender.sendto(b"x" * 1400, ("127.0.0.1", port))
            if is_over():
                return True
            threading.Event().wait(pause)
    return False


@pytest.mark.parametrize("pause", [0.0001, 0.1], ids=["full", "growing"])
def test_watch_when_a_program_stops_reading_then_it_is_noticed(pause: float) -> None:
    with program(STOPS) as (pid, port):
        assert send_until(ReceiveQueueWatch(pid, port).is_stuck, port, pause)


def test_watch_when_a_program_reads_too_slowly_then_it_is_not_stuck() -> None:
    with program(READS) as (pid, port):
        watch = ReceiveQueueWatch(pid, port)
        assert not send_until(watch.is_stuck, port, 0.0001, 3 * SECONDS)
        assert receive_queue.waiting_octets(Path(f"/proc/{pid}"), port) > 100_000


def test_watch_when_another_port_is_never_read_then_it_is_not_stuck() -> None:
    with program(STOPS) as (pid, port):
        watch = ReceiveQueueWatch(pid, free_port())
        assert not send_until(watch.is_stuck, port, 0.01, 2 * SECONDS)


def test_watch_when_the_program_is_gone_then_it_is_not_stuck() -> None:
    with program(STOPS) as (pid, port):
        watch = ReceiveQueueWatch(pid, port)
    assert not send_until(watch.is_stuck, port, 0.05, 2 * SECONDS)


@pytest.mark.skipif(not NFACCTD, reason="needs Debian's pmacct")
def test_nfacctd_when_it_stops_reading_then_it_is_ended_and_that_is_said(tmp_path: Path) -> None:
    make_table(tmp_path / "pmacct.sqlite")
    port, file = free_port(), tmp_path / "nfacctd.conf"
    listen = f"nfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\n"
    file.write_text(configuration(tmp_path / "pmacct.sqlite", listen))
    daemon = NfacctdProcess(read_effective(file), tmp_path)
    daemon.start()
    try:
        children = psutil.Process().children()
        [process] = [child for child in children if child.name().startswith("nfacctd")]
        os.kill(process.pid, signal.SIGSTOP)

        def is_ended() -> bool:
            daemon.check()
            return False

        with pytest.raises(ApplianceError, match="took none of the datagrams that wait for it"):
            send_until(is_ended, port, 0.02)
        assert not psutil.wait_procs([process], timeout=10)[1]
    finally:
        daemon.stop()


class StuckDaemon:
    """Is stuck at once."""

    def start(self) -> None:
        pass

    def check(self) -> None:
        raise ApplianceError("nfacctd took nothing: it was ended")

    def stop(self) -> None:
        pass


def test_health_when_the_daemon_was_stuck_then_it_says_so_after_the_restart(tmp_path: Path) -> None:
    (tmp_path / "appliance.yml").write_text("data_directory: data\n")
    make_table(tmp_path / "acct.sqlite", TABLE)

    def collector() -> FeedCollector:
        parts = open_app(tmp_path).collector_parts()
        table = SourceTable("sqlite:acct.sqlite", "acct", tmp_path)
        return FeedCollector(parts, TableFeed(table, UTC), StuckDaemon())

    for _ in range(2):
        stuck = collector()
        stuck.start()
        with pytest.raises(ApplianceError):
            stuck.run()
    restarted = collector()
    restarted.start()
    status = read_status(restarted.paths.status) or {}
    restarted.writer.close(0)
    restarted.feed.close()
    [hint] = daemon_hints(status, time.time())
    assert hint == (
        "The collector was started again (number 2): nfacctd took nothing: it was ended"
    )
    assert daemon_hints(status, time.time() + THROTTLED_SECONDS + 1) == []
