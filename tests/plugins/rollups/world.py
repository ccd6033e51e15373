"""A small world around a store: a flow log, a clock and a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import Selection
from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    Maintainer,
    batch_from_rows,
)
from appliance.flows import COLUMN, FlowBatch, address_halves
from appliance.plugins.rollups.configuration import SETTINGS, StoreLimits
from appliance.plugins.rollups.dimensions import CAPPED, OF_PLUGINS
from appliance.plugins.rollups.store import SqlStore
from appliance.settings.file import SettingsFile
from tests.plugins.rollups.records import plain_records

START = 1_801_429_200
"""2027-01-31 21:00 UTC: three hours on, a day and a month end."""
HOUR = 3600

Key = tuple[Any, ...]


@dataclass
class World:
    """A flow log, a store that follows it, and a clock that only the test moves."""

    folder: Path
    url: str
    now: float = START
    limits: StoreLimits = field(
        default_factory=lambda: StoreLimits(top=20, top_per_exporter=5, provisional_seconds=0)
    )
    seed: int = 0
    networks: list[Any] = field(default_factory=list)
    _records: list[dict[str, Any]] = field(default_factory=list)
    _read: Cursor = Cursor()  # noqa: RUF009 - a value
    _store: SqlStore | None = None
    _writer: FlowLogWriter | None = None

    @property
    def log(self) -> Path:
        return self.folder / "flowlog"

    @property
    def settings(self) -> Any:
        tree: dict[str, Any] = {"data_directory": str(self.folder), "networks": self.networks}
        tree["flows"] = {"database": self.url}
        if self.url.startswith("mysql"):
            tree["database"] = self.url
        return SettingsFile(None, self.folder / "conf", tree).settings(SETTINGS)

    @property
    def store(self) -> SqlStore:
        if self._store is None:
            self._store = SqlStore(self.url, self.settings, self.limits, clock=lambda: self.now)
        return self._store

    @property
    def writer(self) -> FlowLogWriter:
        if self._writer is None:
            limits = FlowLogLimits(minimum_free_octets=0, segment_seconds=10**9)
            self._writer = FlowLogWriter(self.log, limits)
            self._writer.start()
        return self._writer

    def restart(self) -> None:
        """Let go of the store as a crash would; the next use opens another."""
        if self._store is not None:
            self._store.close()
        self._store = None

    def limit(self, **changes: Any) -> None:
        self.limits = replace(self.limits, **changes)
        self.restart()

    def write(self, *batches: FlowBatch) -> None:
        for batch in batches:
            self.writer.append(batch)
        assert self.writer.flush({}, int(self.now * 1000)) == 0

    def seal(self, keep: bool = True) -> None:
        """Close the segment and seal it."""
        self.writer._close_segment()
        limits = FlowLogLimits(retention_seconds=0)
        Maintainer(self.log, limits).run_once(int(self.now * 1000))

    def load(self, now: float | None = None) -> int:
        """Load until nothing is left; return the number of rows."""
        self.now = self.now if now is None else now
        rows = 0
        while True:
            report = self.store.load_once(self.now)
            rows += report.rows
            if not report.busy:
                return rows

    def flows(
        self, n: int, at: float | None = None, sources: int = 15, **columns: Any
    ) -> FlowBatch:
        """Make n flows of two exporters, received at a moment (now, when None)."""
        self.seed += 1
        random = np.random.default_rng(self.seed)
        local, foreign = address_halves("10.0.0.0")[1], address_halves("198.51.100.0")[1]
        made: dict[str, Any] = {
            "collection_time_milliseconds": int((self.now if at is None else at) * 1000),
            "exporter_address_hi": np.uint64(0),
            "exporter_address_lo": address_halves("192.0.2.0")[1] + random.integers(1, 3, n),
            "source_address_hi": np.uint64(0),
            "source_address_lo": foreign + random.integers(0, sources, n),
            "destination_address_hi": np.uint64(0),
            "destination_address_lo": local + random.integers(0, 15, n),
            "source_transport_port": random.integers(50_000, 50_005, n),
            "destination_transport_port": random.choice([22, 53, 80, 443], n),
            "protocol_identifier": random.choice([6, 17], n),
            "octet_delta_count": random.integers(40, 100_000, n),
            "packet_delta_count": random.integers(1, 100, n),
            **columns,
        }
        kept = {
            name: np.broadcast_to(np.asarray(values).astype(COLUMN[name].dtype), (n,))
            for name, values in made.items()
            if values is not None
        }
        return FlowBatch(n, kept)

    def fill_hours(self, hours: int, per_hour: int = 12) -> None:
        """Write and load some hours of flows, now and then sealing the log."""
        for hour in range(hours):
            for part in range(per_hour):
                at = START + hour * HOUR + part * (HOUR // per_hour)
                self.write(self.flows(10, at + self.seed % 7))
                if hour % 3 == 2 and part == per_hour // 2:
                    self.seal()
            self.load(START + (hour + 1) * HOUR - 1)
        self.load(START + hours * HOUR)

    def records(self) -> list[dict[str, Any]]:
        """Read what is new in the log record by record, the plain way; return all."""
        while True:
            pieces, after = FlowLogReader(self.log).follow_rows(self._read, 10**9)
            for piece in pieces:
                self._records += plain_records(batch_from_rows(piece))
            if after == self._read:
                return self._records
            self._read = after

    def expected(
        self, by: Callable[[dict[str, Any]], Any], since: float = 0, until: float = 10**12
    ) -> dict[Any, tuple[int, int, int]]:
        """Sum up the log, record by record."""
        sums: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
        for record in self.records():
            if since <= record["time"] < until:
                found = sums[by(record)]
                for place, name in enumerate(("octets", "packets", "flows")):
                    found[place] += record[name]
        return {key: tuple(values) for key, values in sums.items()}  # type: ignore[misc]

    def stored(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.store.flows.transaction():
            rows = self.store.flows.rows(sql, parameters)
        return [tuple(v if isinstance(v, str) else int(v) for v in row) for row in rows]

    def check(self, largest: bool = True) -> None:
        """Compare everything that is stored with the log; rows + other = total everywhere."""
        ids = {record.address: record.id for record in self.store.exporters()}
        for size, step in enumerate((60, 900, 3600, 86400)):
            wanted: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
            for r in self.records():
                start = int(r["time"]) // step * step
                names = ((0, ""), (1, str(r["protocol"])), (2, r["application"]))
                for dimension, name in names:
                    for exporter in (0, ids[r["exporter"]]):
                        sums = wanted[dimension, exporter, r["direction"], start, name]
                        for place, measure in enumerate(("octets", "packets", "flows")):
                            sums[place] += r[measure]
            found = {
                row[:5]: list(row[5:])
                for row in self.stored(
                    "SELECT dimension, exporter, direction, bin_start, name, octets, packets, flows"
                    " FROM appliance_rollup WHERE dimension < 3 AND size = ?",
                    size,
                )
            }
            assert found == dict(wanted)
        if largest:
            self.check_sums()

    def check_sums(self) -> None:
        """Rows + other = total, for each bin of the largest names that is stored; of sums that are
        kept since the whole bin after they began, never more."""
        sums = self.stored(
            "SELECT dimension, size, exporter, direction, bin_start, SUM(octets), SUM(packets),"
            " SUM(flows) FROM appliance_rollup WHERE dimension >= 3 AND flags < 16"
            " GROUP BY dimension, size, exporter, direction, bin_start"
        )
        totals = {
            row[:4]: row[4:]
            for row in self.stored(
                "SELECT size, exporter, direction, bin_start, octets, packets, flows"
                " FROM appliance_rollup WHERE dimension = 0"
            )
        }
        assert sums
        for dimension, *cell, octets, packets, flows in sums:
            total, found = totals[tuple(cell)], (octets, packets, flows)
            if dimension in CAPPED or dimension in OF_PLUGINS:
                assert all(part <= whole for part, whole in zip(found, total, strict=True))
            else:
                assert found == total, (dimension, cell, found, total)
        minutes = {row[1:5] for row in sums if row[1] == 0}
        assert len([row for row in sums if row[1] == 0]) == 3 * len(minutes)

    def check_error(self, by: Any, exporter: int | None, direction: Any) -> None:
        """Compare an answer with the log: no name lacks more than the error that is told."""
        address = {record.id: record.address for record in self.store.exporters()}
        expected = self.expected(
            lambda r: (
                exporter is None or address[exporter] == r["exporter"],
                direction is None or direction == r["direction"],
                r["source"],
            )
        )
        wanted = {key[2]: sums for key, sums in expected.items() if key[0] and key[1]}
        found = self.top("source", by, exporter=exporter, direction=direction)
        rows = {row.key: tuple(row[1:]) for row in found.rows}
        assert "" not in rows
        for name, sums in wanted.items():
            shown = rows.get(name, (0, 0, 0))
            for measure in range(3):
                bound = found.error[measure] + found.pending[measure]
                assert 0 <= sums[measure] - shown[measure] <= bound
        total = tuple(sum(sums[m] for sums in wanted.values()) for m in range(3))
        assert tuple(found.total) == total
        assert all(
            sum(row[m + 1] for row in found.rows) + found.other[m] == total[m] for m in range(3)
        )

    def top(self, dimension: Any, by: Any = "octets", **selection: Any) -> Any:
        return self.store.top(dimension, Selection(**selection), by)


def check_command_line(world: World, dimension: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that `top` shows the same from roll-ups as from every flow, and says so."""
    conf = world.folder / "conf"
    conf.mkdir()
    (conf / "appliance.yml").write_text(f"data_directory: ..\nflows:\n  database: {world.url}\n")
    command = ["--conf-path", f"{conf}/", "top", dimension, "--from", str(START)]
    assert run_command_line(group, command) == 0
    sums = capsys.readouterr().out.splitlines()
    assert run_command_line(group, [*command, "--exact"]) == 0
    assert sums == [*capsys.readouterr().out.splitlines(), "exact, from roll-ups"]
