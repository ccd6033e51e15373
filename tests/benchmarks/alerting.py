"""From the first datagram of a flood to the message, while ordinary traffic comes in."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from appliance.plugins.alerts.store import FILE, AlertStore
from tests.benchmarks.collectors import Appliance
from tests.benchmarks.highest import probe
from tests.benchmarks.processes import cpu_seconds
from tests.decoding.building import v5, v5_record

GOAL_SECONDS = 10.0
SECONDS = 30.0
BEFORE_SECONDS = 8.0
FLOOD_RATE = 20_000
RECORDS = 30
"""Of a datagram."""


def alerting(folder: Path, rate: float) -> dict[str, Any]:
    """Send ordinary traffic without and with rules, then a flood beside it."""
    report: dict[str, Any] = {"rate": rate}
    for name, n_rules in (("without rules", 0), ("with all rules", 1)):
        report[name] = _cost(folder / name.replace(" ", "-"), rate, n_rules)
    report["message"] = _delay(folder / "flood", rate)
    return report


def _switch_on(folder: Path) -> None:
    store = AlertStore(folder / "data" / FILE)
    for rule in store.rules():
        store.switch_rule(rule.name, True)


def _cost(folder: Path, rate: float, n_rules: int) -> dict[str, Any]:
    subject = Appliance(folder, rollups=True)
    subject.start()
    if n_rules:
        _switch_on(folder)
        time.sleep(6)
    before = cpu_seconds(subject.pid)
    sent = probe(subject, "v9", rate, SECONDS)
    used = cpu_seconds(subject.pid) - before
    subject.stop()
    return {
        "cpu_seconds": used,
        "drops": sent["drops"],
        "flows_per_second": sent["flows_per_second"],
    }


@contextmanager
def _webhook() -> Iterator[tuple[int, list[float]]]:
    heard: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            octets = self.rfile.read(int(self.headers["Content-Length"]))
            if "198.51.100.99" in json.loads(octets)["message"]:
                heard.append(time.monotonic())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], heard
        server.shutdown()


def _delay(folder: Path, rate: float) -> dict[str, Any]:
    """Return the seconds from the first datagram of a flood to its message."""
    with _webhook() as (port, heard):
        hook = f'["json://127.0.0.1:{port}/hook"]'
        subject = Appliance(folder, rollups=True, settings={"alerts.send_to": hook})
        subject.start()
        _switch_on(folder)
        background = threading.Thread(target=probe, args=(subject, "v9", rate, SECONDS))
        background.start()
        time.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        n_datagrams = _flood(subject.port, heard)
        background.join()
        subject.stop()
    seconds = heard[0] - began if heard else None
    return {"seconds": seconds, "flows_of_the_flood": n_datagrams * RECORDS}


def _flood(port: int, heard: list[float]) -> int:
    """Send SYNs to one address until there is a message, or for half a minute."""
    record = v5_record(destination="198.51.100.99", flags=2, packets=1, octets=60)
    n_datagrams = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        end = time.monotonic() + SECONDS
        while not heard and time.monotonic() < end:
            for _ in range(FLOOD_RATE // RECORDS // 10):
                datagram = v5(*[record] * RECORDS, sequence=n_datagrams * RECORDS)
                sender.sendto(datagram, ("127.0.0.1", port))
                n_datagrams += 1
            time.sleep(0.1)
    return n_datagrams
