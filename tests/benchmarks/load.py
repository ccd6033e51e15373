"""The sender of the measurements: datagrams built before, patched and sent again, at an even pace.

    python -m tests.benchmarks.load --to HOST:PORT --rate FLOWS_PER_SECOND --seconds N

It runs in a process of its own and needs little of the processor: sequence numbers, times and the
near host's address are rewritten in whole arrays, so that every pass sends other flows. Prints
JSON: `ready` once the datagrams are built, then, after a line on standard input, what was sent.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from appliance.settings.types import ListenAddress
from appliance.traffic.generator import ExporterProfile, GeneratedBlock, Generator, Sums, layouts
from appliance.traffic.source_sockets import SourceSockets

FLOWS_PER_PASS = 1_200_000
NEAR_NETWORK = 10
MIN_CHUNK, MAX_CHUNK = 64, 1024
CHUNKS_PER_SECOND = 400
REFRESH_SECONDS = 20.0

_HEADERS = {"v5": layouts.V5_HEADER, "v9": layouts.V9_HEADER, "ipfix": layouts.IPFIX_HEADER}


@dataclass
class Exporter:
    """The sequence number of one exporter, and how its protocol counts."""

    number: int
    protocol: str
    announcements: GeneratedBlock | None
    sequence: int = 0


class Prebuilt:
    """One block of data records, ready to be patched and sent again and again."""

    def __init__(self, exporter: Exporter, block: GeneratedBlock, built_ms: int) -> None:
        self.exporter, self.block = exporter, block
        self.sums = block.sums
        self._built_ms = self._shifted_ms = built_ms
        header = _HEADERS[exporter.protocol]
        self._heads = _view(block.octets, header, 0, 1)[:, 0]
        self._counts = self._records_in_each()
        self._near = [
            (name, base, (base >> np.uint32(24)) == NEAR_NETWORK)
            for name in ("source_address", "destination_address")
            for base in [self._records[name].astype(np.uint32)]
        ]

    def _records_in_each(self) -> NDArray[np.int64]:
        protocol, lengths = self.exporter.protocol, self.block.lengths
        if protocol == "v5":
            front, record = layouts.V5_HEADER.itemsize, layouts.V5_RECORD
        else:
            layout = layouts.v9_layout if protocol == "v9" else layouts.ipfix_layout
            front = _HEADERS[protocol].itemsize + layouts.SET_HEADER_OCTETS
            record = layout(4, sampled=False).dtype
        per_datagram = (self.block.octets.shape[1] - front) // record.itemsize
        self._records = _view(self.block.octets, record, front, per_datagram)
        return (lengths - front) // record.itemsize

    def patch(self, turn: int, now_ms: int) -> None:
        """Make it the block of another turn: other near hosts, the next sequence numbers, now."""
        shift = np.uint32(turn << 16)
        for name, base, near in self._near if turn else ():
            self._records[name] = base + near * shift
        heads, exporter = self._heads, self.exporter
        step = np.ones_like(self._counts) if exporter.protocol == "v9" else self._counts
        heads["sequence"] = (exporter.sequence + np.cumsum(step) - step) % (1 << 32)
        exporter.sequence += int(step.sum())
        heads["seconds"] = now_ms // 1000
        if exporter.protocol == "ipfix":
            delta, self._shifted_ms = now_ms - self._shifted_ms, now_ms
            for name in ("start_ms", "end_ms"):
                self._records[name] += np.uint64(delta)


def _view(octets: NDArray[np.uint8], dtype: Any, offset: int, columns: int) -> NDArray[Any]:
    shape, strides = (len(octets), columns), (octets.shape[1], dtype.itemsize)
    return np.ndarray(shape, dtype, octets, offset, strides)


class Load:
    """Everything that is sent in one pass, and what has been sent."""

    def __init__(self, protocols: Sequence[str], exporters: int) -> None:
        profiles = [
            ExporterProfile(f"load {i}", protocols[i % len(protocols)], i, nbar=True, unique=True)
            for i in range(exporters)
        ]
        now_ms = time.time_ns() // 1_000_000
        generator = Generator(profiles, start_ms=now_ms)
        blocks = list(generator.datagrams(FLOWS_PER_PASS, now_ms))
        told = {block.exporter: block for block in blocks if not block.sums.flows}
        self.exporters = [Exporter(i, p.protocol, told.get(i)) for i, p in enumerate(profiles)]
        self.prebuilt = [
            Prebuilt(self.exporters[block.exporter], block, now_ms)
            for block in blocks
            if block.sums.flows
        ]
        self.most_turns = 256 // exporters
        self.sums = Sums()
        self.latest_seconds = 0.0
        self._told_at = -REFRESH_SECONDS

    def send(self, sockets: SourceSockets, rate: float | None, seconds: float) -> float:
        """Send for so long; return how long it took."""
        start, sent, turn = time.monotonic(), 0, 0
        while (elapsed := time.monotonic() - start) < seconds:
            for prebuilt in self.prebuilt:
                self._announce(sockets, time.monotonic() - start)
                prebuilt.patch(turn * len(self.exporters), time.time_ns() // 1_000_000)
                for rows, flows in self._chunks(prebuilt, rate):
                    if rate is not None:
                        self._wait(start + sent / rate)
                    block = prebuilt.block
                    sockets.send((block.exporter, 0), block.octets[rows], block.lengths[rows])
                    sent += flows
                self.sums.add(prebuilt.sums)
                if (elapsed := time.monotonic() - start) >= seconds:
                    break
            turn = (turn + 1) % self.most_turns
        return elapsed

    def _announce(self, sockets: SourceSockets, elapsed: float) -> None:
        if elapsed - self._told_at < REFRESH_SECONDS:
            return
        self._told_at = elapsed
        for exporter in self.exporters:
            block = exporter.announcements
            if block is None:
                continue
            heads = _view(block.octets, _HEADERS[exporter.protocol], 0, 1)[:, 0]
            if exporter.protocol == "v9":
                heads["sequence"] = exporter.sequence + np.arange(len(heads))
                exporter.sequence += len(heads)
            else:
                before = heads["sequence"].astype(np.int64)
                heads["sequence"] = exporter.sequence + before - before[0]
                exporter.sequence += block.sums.option_records
            heads["seconds"] = int(time.time())
            sockets.send((block.exporter, 0), block.octets, block.lengths)
            self.sums.add(block.sums)

    def _chunks(self, prebuilt: Prebuilt, rate: float | None) -> Iterator[tuple[slice, int]]:
        n = len(prebuilt.block.lengths)
        wanted = MAX_CHUNK if rate is None else int(rate / 25 / CHUNKS_PER_SECOND)
        step = min(max(wanted, MIN_CHUNK), MAX_CHUNK)
        for first in range(0, n, step):
            rows = slice(first, min(first + step, n))
            yield rows, int(prebuilt._counts[rows].sum())

    def _wait(self, due: float) -> None:
        early = due - time.monotonic()
        if early > 0:
            time.sleep(early)
        else:
            self.latest_seconds = max(self.latest_seconds, -early)


@click.command()
@click.option("--to", "target", required=True)
@click.option("--rate", type=float, help="Flows a second; without, as fast as possible.")
@click.option("--seconds", type=float, default=10.0)
@click.option("--protocol", "protocols", default="v9")
@click.option("--exporters", type=int, default=3)
@click.option("--tcp", is_flag=True, help="Over connections, one for each exporter.")
def main(
    *,
    target: str,
    rate: float | None,
    seconds: float,
    protocols: str,
    exporters: int,
    tcp: bool,
) -> None:
    """Build, wait for a line on standard input, send, and print the sums."""
    load = Load(protocols.split(","), exporters)
    host, _, port = target.rpartition(":")
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    address = ListenAddress(host, int(port))
    with SourceSockets(address, over_tcp=tcp) as sockets:
        took = load.send(sockets, rate, seconds)
    report = asdict(load.sums) | {
        "seconds": took,
        "latest_seconds": load.latest_seconds,
        "cpu_seconds": time.process_time() - cpu,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
