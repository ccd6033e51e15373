"""From datagram to answer: how long until a flow shows in the API of a whole running appliance."""

from __future__ import annotations

import random
import socket
import statistics
import struct
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import free_port
from tests.benchmarks.served import Client, served, write_configuration

GOAL_SECONDS = 10.0
REPETITIONS = 5
WAIT_SECONDS = 60.0
PATH = "/v1/api/device/get/summary/interval/1m"
_POLL_SECONDS = 0.1
_MARK = 1_000_003
"""Octets of the first flow, packets are one; each later flow has as many more."""


def fresh(folder: Path, repetitions: int = REPETITIONS) -> dict[str, Any]:
    """Send one marked flow each time, of an exporter that is new, and of one that is known."""
    port = free_port()
    conf = write_configuration(folder, {"collector.listen": f"127.0.0.1:{port}"})
    chance = random.Random(1)
    report: dict[str, Any] = {"goal_seconds": GOAL_SECONDS}
    with served(conf, "run") as client:
        for what, first in (("new_exporter", 2), ("known_exporter", 2)):
            found = []
            for number in range(repetitions):
                time.sleep(chance.uniform(0, 5))  # at any moment of the loader's second
                mark = _MARK * (1 + number + (what == "known_exporter") * repetitions)
                found.append(seconds_until_seen(client, port, f"127.0.0.{first + number}", mark))
            report[what] = {
                "seconds": found,
                "median": statistics.median(found),
                "largest": max(found),
            }
    return report


def seconds_until_seen(client: Client, port: int, exporter: str, mark: int) -> float:
    """Send a flow of so many octets and ask until the exporter's sum has grown by them."""
    before = _octets(client, exporter)
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((exporter, 0))
        sender.sendto(datagram(mark), ("127.0.0.1", port))
    while (took := time.monotonic() - began) < WAIT_SECONDS:
        # The interval moves on by whole minutes, so that what was there before may leave.
        if _octets(client, exporter) in (before + mark, mark):
            return took
        time.sleep(_POLL_SECONDS)
    return WAIT_SECONDS


def datagram(octets: int) -> bytes:
    """Return NetFlow v5 with one flow (Cisco's layout: header of 24 octets, record of 48)."""
    now = int(time.time())
    head = struct.pack("!HHIIIIBBH", 5, 1, 60_000, now, 0, 0, 0, 0, 0)
    hosts = (socket.inet_aton("198.51.100.7"), socket.inet_aton("10.0.0.7"), bytes(4))
    record = struct.pack(
        "!4s4s4sHHIIIIHHBBBBHHBBH",
        *(*hosts, 1, 2, 1, octets, 59_000, 60_000, 443, 50_000, 0, 0x18, 6, 0, 0, 0, 0, 0, 0),
    )
    return head + record


def _octets(client: Client, exporter: str) -> int:
    rows = client.json(PATH)
    return sum(row["total_bytes"] for row in rows if row["device"] == exporter)
