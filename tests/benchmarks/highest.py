"""The highest rate without loss, found by doubling and then halving the interval."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import Appliance, Nfcapd, Tree
from tests.benchmarks.processes import udp_port, wait_until_idle
from tests.benchmarks.sender import sender

FIRST_RATE = 500_000.0
HIGHEST_RATE = 32_000_000.0
HALVINGS = 3
REACHED = 0.93
"""A sender that does not get to this part of the rate is itself the limit."""

SETTLE_SECONDS = 60.0


def highest(folder: Path, protocol: str, seconds: float) -> dict[str, Any]:
    """Search for both collectors; each probe sends for so many seconds."""
    report = {"appliance": search(Appliance(folder / "ours"), protocol, seconds)}
    if Nfcapd.available():
        report["nfcapd"] = search(Nfcapd(folder / "nfcapd"), protocol, seconds)
    return report


def search(subject: Tree, protocol: str, seconds: float) -> dict[str, Any]:
    """Return the highest rate that was sent without a drop, and every probe."""
    subject.start()
    probes: list[dict[str, Any]] = []

    def passes(rate: float) -> bool:
        probes.append(probe(subject, protocol, rate, seconds))
        return bool(probes[-1]["drops"] == 0 and probes[-1]["reached"])

    low, high = 0.0, FIRST_RATE
    while high <= HIGHEST_RATE and passes(high):
        low, high = high, high * 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    subject.stop()
    lossless = [p["flows_per_second"] for p in probes if p["drops"] == 0]
    return {
        "flows_per_second": max(lossless, default=0.0),
        "sender_limited": all(p["drops"] == 0 for p in probes),
        "receive_buffer_octets": subject.buffer_octets,
        "probes": probes,
    }


def probe(subject: Tree, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send at a rate; return the flows a second that left, and the datagrams dropped."""
    before = udp_port(subject.port)
    with sender(subject.port, protocol, rate, seconds) as ready:
        sent = ready.send()
    after = udp_port(subject.port)
    assert before is not None
    assert after is not None
    deadline = time.monotonic() + SETTLE_SECONDS
    while after.waiting_octets and time.monotonic() < deadline:
        time.sleep(0.1)
        after = udp_port(subject.port) or after
    wait_until_idle(subject.pid, SETTLE_SECONDS)
    reached = sent["flows"] / sent["seconds"]
    return {
        "rate": rate,
        "flows_per_second": reached,
        "reached": reached >= REACHED * rate,
        "datagrams": sent["datagrams"],
        "drops": after.drops - before.drops,
    }
