"""What AS and countries of addresses cost, next to decoding, and on the whole way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED, FlowBatch
from appliance.plugins.names.enriching import AddressEnricher
from appliance.plugins.names.known_ranges import AS, COUNTRY, KnownRanges
from appliance.plugins.names.ranges import AddressRanges
from appliance.plugins.names.table import AddressTable
from appliance.traffic.generator import PROTOCOLS
from tests.benchmarks.collectors import Appliance
from tests.benchmarks.decode import decoding, received_blocks
from tests.benchmarks.decode import measure as decoding_rate
from tests.benchmarks.rollups import LoaderWatch
from tests.benchmarks.whole import measure

V4_RANGES = 500_000
V6_RANGES = 100_000
AS_COUNT = 80_000
COUNTRIES = 250
SEED = 17
PART_SECONDS = 2.0
WRITTEN_NETWORKS = 4096
TURNS = 3
ROLLUPS_RATE = 100_000.0
"""At which the loader keeps up: one that falls behind costs more, whatever it reads."""

START_SECONDS = 0.5
"""So long is sent to find out what the start costs, which is left out."""

GOAL = 0.1


class Cost(NamedTuple):
    """Of all processes together."""

    cpu_seconds: float
    flows: int

    def ns_since(self, start: Cost) -> float:
        """Return nanoseconds a flow, without what a start and its few flows cost."""
        return (self.cpu_seconds - start.cpu_seconds) / (self.flows - start.flows) * 1e9


class KeepingSink:
    """Takes batches and keeps them."""

    def __init__(self) -> None:
        self.batches: list[FlowBatch] = []

    def append(self, batch: FlowBatch) -> None:
        """Keep a batch of flows."""
        if not batch.options:
            self.batches.append(batch)


class ReadyFollower:
    """Has a table already."""

    def __init__(self, table: AddressTable) -> None:
        self._table = table

    def follow(self) -> AddressTable:
        """Return it."""
        return self._table


def tables() -> AddressTable:
    """Return the table of two databases as large as those of the whole internet."""
    rng = np.random.default_rng(SEED)
    # One range in ten divides a /24.
    bits = rng.choice(np.array([8, 4], np.uint32), V4_RANGES, p=[0.9, 0.1])
    v4 = np.unique(rng.integers(0, 1 << 32, V4_RANGES, np.uint32) >> bits << bits)
    halves = np.zeros((V6_RANGES, 2), ">u8")
    halves[:, 0] = rng.integers(0x2001 << 16, 0x2C10 << 16, V6_RANGES, np.uint64) << np.uint64(32)
    v6 = np.unique(halves.view("S16").reshape(-1))
    owners = (owners_of(rng, len(v4)), owners_of(rng, len(v6)))
    of_as, of_countries = (
        AddressRanges(
            *(np.insert(v4, 0, 0), np.insert(numbers[0], 0, 0)),
            *(np.insert(v6, 0, b""), np.insert(numbers[1], 0, 0)),
        )
        for numbers in (owners, [each % COUNTRIES for each in owners])
    )
    as_numbers = np.arange(AS_COUNT, dtype=np.uint32)
    countries = np.arange(COUNTRIES, dtype=np.uint16)
    return AddressTable(
        [
            KnownRanges(of_as, {AS: as_numbers}),
            KnownRanges(of_countries, {COUNTRY: countries}),
        ]
    )


def owners_of(rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Return the AS of ranges: few have many, as on the internet."""
    return (rng.random(n) ** 4 * AS_COUNT).astype(np.int32)


def enriching(folder: Path, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Return nanoseconds a flow of decoding and of enriching, and of the whole way with it."""
    start = time.process_time()
    enricher = AddressEnricher(ReadyFollower(tables()))  # type: ignore[arg-type]
    report: dict[str, Any] = {"table_seconds": time.process_time() - start}
    for name in PROTOCOLS:
        report[name] = {
            "before_ns": 1e9 / decoding_rate(name, PART_SECONDS)["flows_per_cpu_second"],
            "enriching_ns": cost_ns(enricher, decoded(name), PART_SECONDS),
        }
    report["random addresses"] = {"enriching_ns": cost_ns(enricher, [strangers()], PART_SECONDS)}
    ways = {"the whole way": False, "the whole way, with roll-ups": True}
    for way, rollups in ways.items():
        way_rate = min(rate, ROLLUPS_RATE) if rollups else rate
        report[way] = whole_way(folder, protocol, way_rate, seconds, rollups=rollups)
    return report


def whole_way(
    folder: Path, protocol: str, rate: float, seconds: float, *, rollups: bool
) -> dict[str, float]:
    """Return nanoseconds a flow without databases, and how many more with: the best of turns, which
    alternate, so that a machine that is slower for a while is so for both.
    """
    databases = written_database(folder / "addresses.mmdb")
    costs: dict[bool, list[float]] = {False: [], True: []}
    starts: dict[bool, Cost] = {}
    for turn in range(TURNS + 1):
        for is_known, found in costs.items():
            own = folder / f"{rollups:d}{is_known:d}{turn}"
            known = databases if is_known else None
            subject = Appliance(own, rollups=rollups, databases=known)
            cost = way_cost(subject, protocol, rate, seconds / TURNS if turn else START_SECONDS)
            if turn:
                found.append(cost.ns_since(starts[is_known]))
            else:
                starts[is_known] = cost
    before, after = (min(found) for found in costs.values())
    return {"before_ns": before, "enriching_ns": after - before}


def way_cost(subject: Appliance, protocol: str, rate: float, seconds: float) -> Cost:
    """Return what it costs to store everything that is sent."""
    settle = LoaderWatch(subject).settle if subject.rollups else lambda _sent: {}
    found = measure(subject, protocol, rate, seconds, settle)
    return Cost(found["cpu_seconds"], found["flows"])


def written_database(path: Path) -> Path:
    """Write a database that knows AS and country of each IPv4 address, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = MMDBWriter(6, "Both", ipv4_compatible=True)
    for number in range(WRITTEN_NETWORKS):
        network = IPNetwork((number << 20, 12))
        country = chr(65 + number % 26) + chr(65 + number // 26 % 26)
        record = {"asn": f"AS{number % 500 + 1}", "as_name": "a name", "country_code": country}
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def decoded(protocol: str) -> list[FlowBatch]:
    """Return the batches that generated datagrams are decoded to."""
    now_ms = time.time_ns() // 1_000_000
    sink = KeepingSink()
    take = decoding(sink)  # type: ignore[arg-type]
    for block in received_blocks(protocol, now_ms):
        take(block, now_ms)
    return sink.batches


def strangers(n: int = 30_000) -> FlowBatch:
    """Return flows of addresses that have nothing in common, as of a scan."""
    rng = np.random.default_rng(SEED)
    columns = {
        f"{side}_address_lo": rng.integers(0, 1 << 32, n, np.uint64) | np.uint64(V4_MAPPED)
        for side in ("source", "destination")
    }
    return FlowBatch(n, columns)


def cost_ns(enricher: AddressEnricher, batches: list[FlowBatch], seconds: float) -> float:
    """Return CPU nanoseconds a flow."""
    flows, start = 0, time.process_time()
    while (taken := time.process_time() - start) < seconds:
        for batch in batches:
            enricher(batch)
            flows += batch.n_records
    return taken / flows * 1e9
