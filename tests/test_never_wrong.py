"""Whatever is killed, and whenever: log = roll-ups = what was sent less what the counters name."""

from __future__ import annotations

import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from appliance.traffic.generator import ExporterProfile
from tests.at_work import assert_rollups_equal_the_log, sending
from tests.collector.running import RunningCollector, soak_rounds

RATE = 8_000
COUNTING = [
    ExporterProfile("v5", "v5", clients=50, servers=200),
    ExporterProfile("ipfix", "ipfix", 7, ipv6_share=0.3, clients=50, servers=200),
]
"""Exporters whose sequence numbers count records, so that every lost record can be named."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningCollector]:
    """The whole appliance: collector, loader and API."""
    running = RunningCollector(tmp_path, command="run")
    try:
        yield running.start()
    finally:
        running.close()


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_kill_when_anything_at_random_then_log_and_rollups_are_sent_minus_losses(
    running: RunningCollector, figure: Callable[[str, object], None]
) -> None:
    rounds = soak_rounds(4)
    chance = random.Random(rounds)
    down = 0.0
    with sending(running, COUNTING, RATE) as transmission:
        for _ in range(rounds):
            time.sleep(chance.uniform(0.2, 3.0))
            if chance.random() < 0.4:
                running.kill_child("loader")
            if chance.random() < 0.2:
                running.kill_child("serve")
            began = time.monotonic()
            if chance.random() < 0.6:
                running.kill_collector()
            if chance.random() < 0.3:
                running.kill()
                running.start()
            down += time.monotonic() - began
        running.wait_for("datagrams", 100)
    assert running.stop() == 0
    sent = transmission.total
    lost = running.status()["lost"]
    figure("kills", rounds)
    figure("records lost, all counted", f"{lost} of {sent.flows}")
    assert running.rows() + running.rows(options=True) == (sent.flows + sent.option_records - lost)
    # A second's records for each kill, what came while it was down, a margin for slow machines.
    assert lost <= RATE * (down + 2.0 * rounds)
    assert_rollups_equal_the_log(running)


def test_api_when_its_process_is_killed_then_it_comes_back(running: RunningCollector) -> None:
    url = f"http://127.0.0.1:{running.api_port}/v1/api/"
    assert _answers(url)
    running.kill_child("serve")
    assert _answers(url)
    assert running.stop() == 0


def test_children_when_the_parent_is_killed_at_once_then_they_end(
    running: RunningCollector,
) -> None:
    """They may not have looked for their parent yet when it dies."""
    assert running.process is not None
    running.stop()
    running.start()
    process = psutil.Process(running.process.pid)
    while len(children := process.children(recursive=True)) < 3:
        time.sleep(0.01)
    running.kill()
    assert not psutil.wait_procs(children, timeout=30)[1]


def _answers(url: str, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    return False
