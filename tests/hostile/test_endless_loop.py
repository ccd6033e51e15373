"""One datagram sends nfacctd into an endless loop; the engine notices and begins anew."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.collector import endless_loop
from appliance.collector.endless_loop import EndlessLoopWatch, Times, only_computes
from appliance.collector.engines import engine_of
from appliance.errors import ApplianceError
from tests.collector.nfacctd import NFACCTD, use_nfacctd
from tests.collector.running import RunningCollector
from tests.decoding.building import a_set, template, v9

IDLE = Times(0.0, 1.0, 1.0, 5)


@pytest.mark.parametrize(
    ("after", "endless"),
    [
        (Times(2.0, 2.9, 1.0, 5), True),
        (Times(2.0, 1.3, 1.0, 5), True),  # others have most of the processor
        (Times(2.0, 2.9, 1.0, 6), False),  # it waited
        (Times(2.0, 2.0, 2.0, 5), False),  # it received
        (Times(2.0, 1.0, 1.0, 5), False),  # it slept all the time
    ],
)
def test_process_when_it_calls_or_waits_then_no_endless_loop(after: Times, endless: bool) -> None:
    assert only_computes(IDLE, after) is endless


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endless_loop, "ENDLESS_SECONDS", 2.0)
    monkeypatch.setattr(endless_loop, "_INTERVAL_SECONDS", 0.5)


def endless_within(watch: EndlessLoopWatch, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if watch.is_endless():
            return True
        threading.Event().wait(0.1)
    return False


@pytest.mark.parametrize(
    ("program", "endless"),
    [("while True: pass", True), ("import os\nwhile True: os.stat('/')", False)],
)
def test_watch_when_a_program_only_computes_then_it_is_noticed(
    short: None, program: str, endless: bool
) -> None:
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            threading.Event().wait(0.5)  # imports
            assert endless_within(EndlessLoopWatch(process.pid), 20 if endless else 5) is endless
        finally:
            process.kill()


@pytest.fixture
def with_nfacctd(tmp_path: Path) -> Iterator[RunningCollector]:
    running = RunningCollector(tmp_path)
    use_nfacctd(running)
    yield running
    running.close()


@pytest.mark.slow
@pytest.mark.skipif(NFACCTD is None, reason="pmacct is not installed")
def test_nfacctd_when_a_datagram_hangs_it_then_it_is_ended_and_said(
    short: None, with_nfacctd: RunningCollector
) -> None:
    collector = engine_of(open_app(with_nfacctd.conf), (), None)
    collector.start()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            collector.run()
        except ApplianceError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        hanging = v9(a_set(0, template(300, (1, 0), (2, 0))), a_set(300, bytes(8)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(hanging, ("127.0.0.1", with_nfacctd.port))
        thread.join(60)
        assert [str(error) for error in caught] == [
            "nfacctd took no datagram and only computed for 2 seconds: it was ended"
        ]
    finally:
        collector.stop()
        thread.join()
