"""A daemon that only computes is noticed: one datagram sends nfacctd into an endless loop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from appliance.plugins.pmacct.engine import endless_loop
from appliance.plugins.pmacct.engine.endless_loop import EndlessLoopWatch, Times, only_computes

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
