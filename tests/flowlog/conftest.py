"""What the tests of the flow log share: batches, and a log in a temporary directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    Maintainer,
    batch_from_rows,
)
from appliance.flows import COLUMNS, V4_MAPPED, FlowBatch

NOW_MS = 4_102_444_800_000
"""The year 2100: files written by the test are then old, so that a finished hour is settled."""


class Log:
    """A flow log in a directory, with what writes, maintains and reads it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now_ms = NOW_MS
        self.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0)

    def writer(self, primitives: Iterable[tuple[int, int]] = ()) -> FlowLogWriter:
        writer = FlowLogWriter(self.directory, self.limits, tuple(primitives))
        writer.start()
        return writer

    def write(self, *segments: Iterable[FlowBatch], primitives: Any = ()) -> None:
        """Write segments, each batch its own group."""
        writer = self.writer(primitives)
        for segment in segments:
            for batch in segment:
                writer.append(batch)
                assert writer.flush({}, self.now_ms) == 0
            self.now_ms += 61_000
            writer.roll_if_due(self.now_ms)
        writer.close(self.now_ms)

    def maintain(self, later_ms: int = 0, **options: Any) -> Any:
        return Maintainer(self.directory, self.limits, **options).run_once(self.now_ms + later_ms)

    def read(self, options: bool = False, step: int = 10**9) -> list[FlowBatch]:
        """Follow the log from its start in steps of rows."""
        reader, cursor, found = FlowLogReader(self.directory), Cursor(), []
        while True:
            rows, after = reader.follow_rows(cursor, step, options)
            found += [batch_from_rows(piece, options) for piece in rows]
            if after == cursor:
                return found
            cursor = after

    def files(self, options: bool = False) -> list[str]:
        return sorted(p.name for p in (self.directory / ("flows", "options")[options]).iterdir())

    def only_file(self) -> Path:
        (name,) = self.files()
        return self.directory / "flows" / name


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "flowlog")


@pytest.fixture
def new_log(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Log]:
    """Return what makes another empty log, for tests that need many."""
    return lambda: Log(tmp_path_factory.mktemp("log") / "flowlog")


@pytest.fixture
def records() -> Callable[[Iterable[FlowBatch]], list[tuple[Any, ...]]]:
    """Return what turns batches into comparable rows: every column and octets, one tuple a
    record."""

    def rows_of(batches: Iterable[FlowBatch]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for batch in batches:
            columns = [batch.column(column.name).tolist() for column in COLUMNS]
            octets = [
                [
                    (name, bytes(values[row]))
                    for name, values in sorted(batch.octets.items())
                    if bytes(values[row])
                ]
                for row in range(batch.n_records)
            ]
            rows += zip(*columns, map(tuple, octets), strict=True)
        return rows

    return rows_of


@pytest.fixture
def make_batch() -> Callable[..., FlowBatch]:
    """Return what makes n flows from 10.0.0.0/24 to 192.168.0.0/16, 100 octets and 1 packet
    each."""

    def make(n: int, seed: int = 0, at_ms: int = NOW_MS, **columns: Any) -> FlowBatch:
        random = np.random.default_rng(seed)
        made: dict[str, Any] = {
            "collection_time_milliseconds": np.full(n, at_ms, "i8"),
            "exporter_address_hi": np.broadcast_to(np.uint64(0), (n,)),
            "exporter_address_lo": np.broadcast_to(np.uint64(V4_MAPPED | 0xC0000201), (n,)),
            "source_address_hi": np.broadcast_to(np.uint64(0), (n,)),
            "source_address_lo": random.integers(0, 256, n).astype("u8") | V4_MAPPED | 0x0A000000,
            "destination_address_hi": np.broadcast_to(np.uint64(0), (n,)),
            "destination_address_lo": random.integers(0, 65536, n).astype("u8")
            | V4_MAPPED
            | 0xC0A80000,
            "source_transport_port": random.integers(1024, 65536, n).astype("u2"),
            "destination_transport_port": np.full(n, 443, "u2"),
            "protocol_identifier": np.full(n, 6, "u1"),
            "octet_delta_count": np.full(n, 100, "u8"),
            "packet_delta_count": np.full(n, 1, "u8"),
            "flow_id": np.arange(n, dtype="u8") + seed * 10**6,
        }
        for name, values in columns.items():
            if values is None:
                made.pop(name, None)
            else:
                made[name] = np.broadcast_to(values, (n,))
        return FlowBatch(n, made)

    return make
