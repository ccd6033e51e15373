"""The heaviest questions, asked of the web process as in production, while flows come in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.benchmarks.collectors import Appliance
from tests.benchmarks.highest import probe
from tests.benchmarks.served import Client, free_tcp_port, served

RATE = 200_000.0
LOWEST_RATE = 12_500.0
SECONDS = 12.0
LIMITS = (b"took longer", b"octets of memory")
"""What a question says that ran into a limit, as the heaviest may."""

ASKERS = 2
"""So many questions of one user are answered at a time."""

QUESTIONS = (
    ("top", {"by": "source,destination,destination_port", "limit": "1000"}),
    ("top", {"by": "conversation", "measures": "sources,destinations,ports,conversations"}),
    ("top", {"by": "host,service", "filter": "bytes > 100 and not port 53", "limit": "1000"}),
    ("series", {"by": "source,destination", "limit": "100", "step": "3s"}),
    ("flows", {"filter": "bytes > 1M and port > 1023", "limit": "1000"}),
)


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.timeout(400)
def test_receiving_when_the_heaviest_questions_are_asked_all_the_time_then_nothing_is_lost(
    tmp_path: Path,
) -> None:
    collector = Appliance(tmp_path, rollups=True)
    collector.start()
    conf = tmp_path / "conf"
    with (conf / "appliance.yml").open("a") as settings:
        settings.write(f"timezone: UTC\nweb.listen: 127.0.0.1:{free_tcp_port()}\n")
    listen = f"listen:\n  address: 127.0.0.1\n  port: {free_tcp_port()}\n"
    (conf / "api_server.yml").write_text(listen)
    try:
        rate = lossless_rate(collector)
        before = n_lost(tmp_path)
        with served(conf, "serve") as client, asking(client) as answers:
            busy = probe(collector, "v9", rate, SECONDS)
    finally:
        stored = collector.stop()
    assert (busy["drops"], stored["lost"] - before) == (0, 0)
    others = [body for status, body in answers if status != 200]
    assert len(answers) > len(others)
    assert [body for body in others if not any(limit in body for limit in LIMITS)] == []


def n_lost(folder: Path) -> int:
    """Return the flows that sequence numbers say are missing, as the collector says."""
    lost: int = json.loads((folder / "data" / "collector.json").read_text())["lost"]
    return lost


def lossless_rate(collector: Appliance) -> float:
    """Return the rate that this machine takes without questions, up to the one that it should."""
    rate = RATE
    while probe(collector, "v9", rate, SECONDS / 2)["drops"]:
        rate /= 2
        if rate < LOWEST_RATE:
            pytest.skip(f"this machine loses flows at {rate * 2:,.0f} a second without questions")
    return rate


@contextmanager
def asking(client: Client) -> Iterator[list[tuple[int, bytes]]]:
    """Ask one heavy question after the other, several at a time; give the answers."""
    is_over, answers = threading.Event(), list[tuple[int, bytes]]()

    def ask(first: int) -> None:
        own = Client(client.port, client.token)
        number = first
        while not is_over.is_set():
            name, fields = QUESTIONS[number % len(QUESTIONS)]
            query = urlencode({**fields, "last": "1h"})
            try:
                answers.append(own.get(f"/api/v1/explore/{name}?{query}"))
            except TimeoutError:
                answers.append((0, LIMITS[0]))
            number += 1
        own.close()

    askers = [threading.Thread(target=ask, args=(first,)) for first in range(ASKERS)]
    for asker in askers:
        asker.start()
    try:
        yield answers
    finally:
        is_over.set()
        for asker in askers:
            asker.join()
