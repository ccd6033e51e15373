"""Decoding alone: blocks in memory through the registered decoders, without sockets or files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from appliance.decoding.messages.block import DatagramBlock
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.traffic.generator import PROTOCOLS, ExporterProfile, Generator

BLOCK_DATAGRAMS = 1024
FLOWS = 400_000


class CountingSink:
    """Takes batches and keeps only their number of records."""

    def __init__(self) -> None:
        self.records = 0

    def append(self, batch: FlowBatch) -> None:
        """Count a batch."""
        if not batch.options:
            self.records += batch.n_records


def decoding(sink: CountingSink) -> Any:
    """Build what decodes a block: the one place that knows how decoders are called."""
    from appliance.app import open_app
    from appliance.collector.exporters import ExporterStates
    from appliance.collector.memory import keep_freed_memory
    from appliance.collector.pipeline import Pipeline
    from appliance.collector.service import exporter_limits

    keep_freed_memory()
    app = open_app(None)
    states = ExporterStates(exporter_limits(app.settings))
    return Pipeline(app.decoders, states, sink).take


def decode(seconds: float) -> dict[str, Any]:
    """Return flows a CPU second by protocol, each measured for so many seconds."""
    return {protocol: measure(protocol, seconds) for protocol in PROTOCOLS}


def measure(protocol: str, seconds: float) -> dict[str, Any]:
    """Decode the same blocks again and again."""
    now_ms = time.time_ns() // 1_000_000
    blocks = list(received_blocks(protocol, now_ms))
    sink = CountingSink()
    take = decoding(sink)
    for block in blocks:  # templates are learned and caches are warm after the first round
        take(block, now_ms)
    expected, sink.records, rounds = sink.records, 0, 0
    start = time.process_time()
    while (taken := time.process_time() - start) < seconds:
        for block in blocks:
            _count_on(block, protocol, expected, sum(len(b) for b in blocks))
            take(block, now_ms)
        rounds += 1
    if sink.records != expected * rounds or expected != FLOWS:
        raise RuntimeError(f"{protocol}: {expected} flows decoded of {FLOWS}")
    return {"flows_per_cpu_second": sink.records / taken, "cpu_seconds": taken}


def _count_on(block: DatagramBlock, protocol: str, records: int, datagrams: int) -> None:
    """Let sequence numbers go on from the round before: going back would be a restart."""
    at = {"v5": 16, "v9": 12, "ipfix": 8}[protocol]
    sequence = np.ascontiguousarray(block.octets[:, at : at + 4]).view(">u4")
    sequence += datagrams if protocol == "v9" else records
    block.octets[:, at : at + 4] = sequence.view(np.uint8)


def received_blocks(protocol: str, now_ms: int) -> Iterator[DatagramBlock]:
    """Lay generated datagrams out as the receiver does, with its stride."""
    from appliance.collector.recvmmsg import STRIDE

    generator = Generator([ExporterProfile("one", protocol, nbar=True, unique=True)])
    for block in generator.datagrams(FLOWS, now_ms):
        for first in range(0, len(block.lengths), BLOCK_DATAGRAMS):
            lengths = block.lengths[first : first + BLOCK_DATAGRAMS]
            n = len(lengths)
            octets = np.zeros((n, STRIDE), np.uint8)
            octets[:, : block.octets.shape[1]] = block.octets[first : first + n]
            yield DatagramBlock(
                octets,
                lengths,
                np.zeros(n, np.uint64),
                np.full(n, V4_MAPPED | 0x7F000002, np.uint64),
                np.full(n, 40000, np.uint16),
                np.full(n, now_ms, np.int64),
            )
