"""What samples of the flow log cost alone: journals as the collector writes them, drawn from as
while they are sealed. Reading them is not counted, as sealing does that anyhow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.flowlog import FlowLogLimits, FlowLogWriter, journal
from appliance.flowlog.names import LogFile, list_files
from appliance.flowlog.samples.keeper import SampleKeeper
from appliance.flowlog.schema import Rows
from appliance.flows import FlowBatch
from tests.benchmarks.decode import decoding, received_blocks

FLOWS = 30_000_000
BLOCK_MS = 50
HOUR_MS = 3_600_000


class _LogSink:
    def __init__(self, writer: FlowLogWriter) -> None:
        self.writer, self.records = writer, 0

    def append(self, batch: FlowBatch) -> None:
        self.records += 0 if batch.options else batch.n_records
        self.writer.append(batch)


class _Watched:
    """Rows of a journal, and the time that reading them took."""

    def __init__(self, file: LogFile) -> None:
        self.path, self.seconds, self.rows = file.path, 0.0, 0

    def pieces(self) -> Iterator[Rows]:
        mapped = journal.MappedJournal(self.path)
        for frame in journal.scan(self.path).frames:
            start = time.thread_time()
            rows = mapped.read(frame)
            self.seconds += time.thread_time() - start
            self.rows += rows.n_rows
            yield rows
            mapped.let_go()


def drawing(folder: Path, protocol: str) -> dict[str, Any]:
    """Return CPU nanoseconds a flow: of all, of the last third, and of writing the hour once."""
    written = _write_journals(folder / "flowlog", protocol)
    keeper = SampleKeeper(folder / "flowlog", folder / "samples", draws_while_sealing=True)
    keeper.load_once(time.time())
    costs: list[tuple[float, int]] = []
    for file in list_files(folder / "flowlog", options=False)[0]:
        watched = _Watched(file)
        start = time.thread_time()
        keeper.draw_sealed(file.first, watched.pieces())
        costs.append((time.thread_time() - start - watched.seconds, watched.rows))
    start = time.thread_time()
    keeper.finish(time.time())
    writing = time.thread_time() - start
    later = costs[-len(costs) // 3 :]
    n_flows = sum(rows for _, rows in costs)
    if n_flows != written:
        raise RuntimeError(f"{n_flows} flows drawn from of {written}")
    return {
        "flows": n_flows,
        "all_ns": (sum(seconds for seconds, _ in costs) + writing) / n_flows * 1e9,
        "later_ns": sum(seconds for seconds, _ in later) / sum(rows for _, rows in later) * 1e9,
        "writing_seconds": writing,
    }


def _write_journals(folder: Path, protocol: str) -> int:
    """Return how many flows are in them, `FLOWS` at least."""
    limits = FlowLogLimits(minimum_free_octets=0)
    writer = FlowLogWriter(folder, limits)
    writer.start()
    sink = _LogSink(writer)
    now_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
    blocks = list(received_blocks(protocol, now_ms))
    take = decoding(sink)
    while sink.records < FLOWS:
        for block in blocks:
            take(block, now_ms)
            if writer.due(now_ms):
                writer.flush({}, now_ms)
            writer.roll_if_due(now_ms)
            now_ms += BLOCK_MS
    writer.flush({}, now_ms)
    writer.close(now_ms)
    return sink.records
