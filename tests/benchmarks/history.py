"""A history that never was: weeks of flows in a flow log, rolled up by the real store.

Flows are written hour by hour, each with the time at which it would have been collected, and
loaded with the clock shortly after that hour. Bins of minutes, which would be gone by the end, are
not made before the last 48 hours. A finished history is kept with a file that says so.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.app import open_app
from appliance.contracts import FlowStore
from appliance.flowlog import FlowLogLimits, FlowLogWriter, Maintainer
from appliance.flows import COLUMN, FlowBatch, address_halves
from appliance.stores import store_factory
from tests.benchmarks.served import write_configuration

HOSTS, LOCAL_HOSTS = 200_000, 20_000
EXPORTERS = 50
POOL = 1 << 22
"""So many hosts are drawn by Zipf's law once; flows take theirs from these."""

PORTS = (443, 80, 53, 22, 25, 123, 993, 3389, 445, 161, 143, 5060, 389, 8080, 1194, 110, 21, 23,
         514, 179, 1433, 3306, 5432, 636, 88, 111, 2049, 873, 631, 554, 1812, 69, 67, 119, 465, 587,
         995, 1521, 6667, 27017)  # fmt: skip
PROTOCOLS, SHARES = (6, 17, 1, 50, 47), (0.78, 0.19, 0.015, 0.01, 0.005)
DATAGRAM_FLOWS = 25
INTERFACES = 20
IANA_L4 = 3 << 24
"""The engine of application ids that are ports (RFC 6759 section 4)."""

HOUR, DAY = 3600, 86400
MINUTES_KEPT = 48 * HOUR
LATER_SECONDS = 30
"""So long after an hour it is loaded; by then the store takes it for complete."""

MOST_AGE_SECONDS = 6 * HOUR
_DONE = "done.json"


@dataclass(frozen=True)
class History:
    """What to make.

    Attributes
    ----------
    exporters, active
        How many there are, and how many of them send in one hour; over a day all of them do.
    """

    days: int
    flows: int
    exporters: int = EXPORTERS
    active: int = EXPORTERS

    @property
    def name(self) -> str:
        """The folder of it."""
        return f"{self.days}d-{self.flows}"


def build(folder: Path, history: History) -> dict[str, Any]:
    """Make the history, unless it is there and of today; return what it took and became."""
    done = folder / _DONE
    if done.is_file():
        report: dict[str, Any] = json.loads(done.read_text())
        if time.time() - report["end"] < MOST_AGE_SECONDS:
            return report
    shutil.rmtree(folder, ignore_errors=True)
    began, end = time.monotonic(), int(time.time())
    Filler(folder, history, end).run()
    store = open_store(folder / "conf")
    health = dict(store.health())
    store.close()
    report = asdict(history) | {
        "end": end,
        "build_seconds": time.monotonic() - began,
        "rows": health["rows"],
        "octets": health["octets"],
    }
    done.write_text(json.dumps(report))
    return report


def open_store(conf: Path) -> FlowStore:
    """Open the store that a configuration names."""
    app = open_app(conf)
    opener = store_factory(app.stores, app.settings)
    assert opener is not None
    return opener()


class Filler:
    """Writes the flow log, looks after it, and loads it."""

    def __init__(self, folder: Path, history: History, end: int) -> None:
        self.folder, self.history, self.end = folder, history, end
        self.start = (end - history.days * DAY) // HOUR * HOUR
        self.traffic = Traffic(history)
        log = folder / "data" / "flowlog"
        limits = FlowLogLimits(segment_seconds=DAY, retention_seconds=0, retention_octets=10**12)
        self.writer, self.maintainer = FlowLogWriter(log, limits), Maintainer(log, limits)

    def run(self) -> None:
        """Make all of it."""
        self.writer.start()
        recent = self.end - MINUTES_KEPT - HOUR
        hours = range(self.start, self.end, HOUR)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(f"hours of {self.history.name}", total=len(hours))
            for kept, part in (
                ("1s", [hour for hour in hours if hour < recent]),
                ("48h", [hour for hour in hours if hour >= recent]),
            ):
                store = open_store(write_configuration(self.folder, {"flows.minutes_kept": kept}))
                for hour in part:
                    self._hour(store, hour)
                    progress.advance(task)
                store.close()
        self.writer.close(self.end * 1000)
        self.maintainer.run_once(self.end * 1000)

    def _hour(self, store: FlowStore, hour: int) -> None:
        until = min(hour + HOUR, self.end)
        share = (until - hour) / (self.end - self.start)
        self.writer.append(self.traffic.flows(hour, until, round(self.history.flows * share)))
        self.writer.flush({}, until * 1000)
        now = min(until + LATER_SECONDS, self.end)
        while store.load_once(now).busy:
            pass
        if hour % DAY == 0:
            self.maintainer.run_once(until * 1000)


class Traffic:
    """Makes flows: hosts by Zipf's law, a tenth of them inside, half of the flows outward."""

    def __init__(self, history: History) -> None:
        self.random = np.random.default_rng(1)
        self.exporters, self.active = history.exporters, history.active
        self.inside = self._hosts("10.0.0.1", LOCAL_HOSTS)
        self.outside = self._hosts("100.0.0.1", HOSTS - LOCAL_HOSTS)
        weights = 1 / np.arange(1, len(PORTS) + 1)
        self.ports = self.random.choice(PORTS, POOL, p=weights / weights.sum())
        self.protocols = self.random.choice(PROTOCOLS, POOL, p=SHARES)

    def flows(self, since: int, until: int, n: int) -> FlowBatch:
        """Make n flows, evenly collected in a span of seconds."""
        one, other, draw = self._draws(n), self._draws(n), self._draws(n)
        outward = self.random.random(n) < 0.5
        inside, outside = self.inside[one], self.outside[other]
        packets = self.random.geometric(0.08, n)
        size = self.random.integers(60, 1500, n)
        span_ms = (until - since) * 1000
        uplink, customer = np.ones(n), self.random.integers(2, INTERFACES + 1, n)
        made: dict[str, Any] = {
            "collection_time_milliseconds": since * 1000 + np.arange(n) * span_ms // max(n, 1),
            "exporter_address_lo": address_halves("192.0.2.1")[1] + self._exporters(since, n),
            "source_address_lo": np.where(outward, inside, outside),
            "destination_address_lo": np.where(outward, outside, inside),
            "source_transport_port": self.random.integers(32768, 61000, n),
            "destination_transport_port": self.ports[draw],
            "protocol_identifier": self.protocols[draw],
            "application_id": IANA_L4 | self.ports[draw],
            "flow_direction": outward,
            "ingress_interface": np.where(outward, customer, uplink),
            "egress_interface": np.where(outward, uplink, customer),
            "octet_delta_count": packets * size,
            "packet_delta_count": packets,
        }
        columns = {name: np.asarray(v).astype(COLUMN[name].dtype) for name, v in made.items()}
        for name in ("exporter", "source", "destination"):
            columns[f"{name}_address_hi"] = np.broadcast_to(np.uint64(0), (n,))
        return FlowBatch(n, columns)

    def _hosts(self, first: str, n: int) -> NDArray[np.uint64]:
        weights = 1 / np.arange(1, n + 1)
        ranks = self.random.choice(n, POOL, p=weights / weights.sum())
        return np.uint64(address_halves(first)[1]) + ranks.astype(np.uint64)

    def _draws(self, n: int) -> NDArray[np.int64]:
        return self.random.integers(0, POOL, n)

    def _exporters(self, since: int, n: int) -> NDArray[np.uint64]:
        """Choose exporters; the flows of one stand in runs, as in datagrams."""
        runs = self.random.integers(0, self.active, n // DATAGRAM_FLOWS + 1)
        numbers = (runs + since // HOUR * self.active) % self.exporters
        return np.repeat(numbers, DATAGRAM_FLOWS)[:n].astype(np.uint64)
