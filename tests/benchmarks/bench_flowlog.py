"""What the flow log costs: CPU nanoseconds and octets per row, for journal, seal, merge and search.

    python tests/benchmarks/bench_flowlog.py [ROWS]

Rows are v5 flows with unique 5-tuples in batches of 30,000, in two mixes: `lean` has what a plain
router sends (no AS numbers, masks or next hops), `rich` has every v5 field varying. CPU time of the
process, user and system; nothing else should run beside it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    FlowSearch,
    Maintainer,
)
from appliance.flows import V4_MAPPED, FlowBatch
from tests.asking import top, totals

BATCH_ROWS = 30_000
START_MS = 1_763_764_200_000
HOSTS = 60_000


def zipf(random: np.random.Generator, n: int, values: int) -> Any:
    """Draw n of so many values, the k-th with a probability of 1/k."""
    weights = np.cumsum(1 / np.arange(1, values + 1))
    return np.searchsorted(weights, random.random(n) * weights[-1])


def columns(n: int, rich: bool, n_hosts: int = HOSTS) -> dict[str, Any]:
    """Make n flows of four exporters at 500,000 flows/s."""
    random = np.random.default_rng(1)
    hosts = random.integers(0x0A000000, 0xDF000000, n_hosts).astype("u8") | V4_MAPPED
    source, destination = hosts[zipf(random, n, n_hosts)], hosts[::-1][zipf(random, n, n_hosts)]
    datagram = np.arange(n) // 30
    collected = START_MS + datagram * 30 // 500
    ended = collected - random.integers(0, 15_000, n)
    packets = (random.pareto(1.2, n) * 3 + 1).clip(1, 10**6).astype("u8")
    protocol = np.array([6, 17, 1, 6, 6, 17], "u1")[random.integers(0, 6, n)]
    ports = np.array([443, 80, 53, 22, 25, 123, 8080, 993, *range(1000, 3000, 10)], "u2")
    flags = np.array([0x1B, 0x18, 2, 0x12], "u2")[random.integers(0, 4, n)]
    made = {
        "collection_time_milliseconds": collected,
        "exporter_address_lo": (datagram % 4 + 0xC0000201).astype("u8") | V4_MAPPED,
        "exporter_transport_port": (datagram % 4 + 50_000).astype("u2"),
        "flow_start_milliseconds": ended - random.exponential(8000, n).astype("i8").clip(0, 60_000),
        "flow_end_milliseconds": ended,
        "source_address_lo": source,
        "destination_address_lo": destination,
        "source_transport_port": random.integers(1024, 65536, n).astype("u2"),
        "destination_transport_port": ports[zipf(random, n, len(ports))],
        "protocol_identifier": protocol,
        "tcp_control_bits": np.where(protocol == 6, flags, 0).astype("u2"),
        "octet_delta_count": packets * random.integers(40, 1500, n).astype("u8"),
        "packet_delta_count": packets,
        "ingress_interface": random.integers(1, 9, n).astype("u4"),
        "egress_interface": random.integers(1, 9, n).astype("u4"),
    }
    if rich:
        made |= {
            "ip_class_of_service": np.array([0, 0, 0, 0xB8], "u1")[random.integers(0, 4, n)],
            "ip_next_hop_address_lo": random.integers(1, 4, n).astype("u8") | V4_MAPPED,
            "bgp_source_as_number": (source % 997).astype("u4"),
            "bgp_destination_as_number": (destination % 997).astype("u4"),
            "source_prefix_length": (source % 3 * 8 + 8).astype("u1"),
            "destination_prefix_length": (destination % 3 * 8 + 8).astype("u1"),
        }
    constants = {
        "exporter_address_hi": np.uint64(0),
        "observation_domain_id": np.uint32(0),
        "export_protocol_version": np.uint8(5),
        "record_kind": np.uint8(0),
        "source_address_hi": np.uint64(0),
        "destination_address_hi": np.uint64(0),
        "ip_next_hop_address_hi": np.uint64(0),
        "sampling_rate": np.float64(1),
    }
    return made | {name: np.broadcast_to(value, (n,)) for name, value in constants.items()}


def measure(rows: int = 8_000_000) -> dict[str, dict[str, float]]:
    """Return CPU nanoseconds and octets per row, by mix and step."""
    return {name: measure_mix(rows, name == "rich") for name in ("lean", "rich")}


def measure_mix(rows: int, rich: bool) -> dict[str, float]:
    """Measure one mix in a temporary directory."""
    pa.set_cpu_count(1)
    million = columns(1_000_000, rich)
    directory = Path(tempfile.mkdtemp(prefix="bench-flowlog-"))
    limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0)
    result: dict[str, float] = {}
    try:
        writer = FlowLogWriter(directory, limits)
        writer.start()
        result["journal_ns"] = cpu_ns(lambda: write(writer, million, rows), rows)
        writer.close()
        result["journal_octets"] = writer.octets_written / rows
        reader = FlowLogReader(directory)
        names = ["octet_delta_count", "source_address_lo"]
        result["follow_ns"] = cpu_ns(lambda: reader.follow(Cursor(), rows, columns=names), rows)
        task = Maintainer(directory, limits)
        result["seal_ns"] = cpu_ns(lambda: task.run_once(START_MS), rows)
        later_ms = int(time.time() * 1000) + 7_200_000
        result["merge_ns"] = cpu_ns(lambda: task.run_once(later_ms), rows)
        files = list((directory / "flows").iterdir())
        result["files"] = len(files)
        result["octets"] = sum(file.stat().st_size for file in files) / rows
        search = FlowSearch(directory)
        result["totals_ns"] = cpu_ns(lambda: totals(search), rows)
        result["top_source_ns"] = cpu_ns(lambda: top(search, "source"), rows)
    finally:
        shutil.rmtree(directory)
    return {name: round(value, 2) for name, value in result.items()}


def write(writer: FlowLogWriter, million: dict[str, Any], rows: int) -> None:
    """Write rows the way the collector does."""
    now_ms = START_MS
    for batch in batches(million, rows):
        writer.append(batch)
        now_ms += BATCH_ROWS // 500
        if writer.due(now_ms):
            writer.flush({"sequence": now_ms}, now_ms)


def batches(million: dict[str, Any], rows: int) -> Iterator[FlowBatch]:
    """Cut the same million into batches, again and again."""
    size = len(million["octet_delta_count"])
    for _ in range(rows // size):
        for start in range(0, size, BATCH_ROWS):
            part = {name: values[start : start + BATCH_ROWS] for name, values in million.items()}
            yield FlowBatch(min(BATCH_ROWS, size - start), part)


def cpu_ns(work: Callable[[], object], rows: int) -> float:
    """Return the CPU time of a step per row."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / rows * 1e9


if __name__ == "__main__":
    print(json.dumps(measure(*(int(text) for text in sys.argv[1:])), indent=2))
