"""A flow log that the tests write, and what ClickHouse has of it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flowlog import (
    FLOW_LOG_FOLDER,
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    Maintainer,
)
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.http import Access, HostPort, Server
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.writer import ClickHouseLoader

START = 1_801_429_200
"""A whole hour, seconds UTC."""

BATCH_ROWS = 100
_NUMBERS = itertools.count(1)
_PATIENCE_SECONDS = 60.0
LIMITS = FlowLogLimits(minimum_free_octets=0)


class LogOfFlows:
    """A flow log in a folder, and flows of one's own choice in it."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder / FLOW_LOG_FOLDER
        self.random = np.random.default_rng(seed)
        self.writer = FlowLogWriter(self.folder, LIMITS)
        self.writer.start()

    def write(self, n: int, second: int = START, **columns: Any) -> None:
        """Write flows that were received within a minute of this second, in order."""
        times = np.sort(self.random.integers(0, 60_000, n)) + second * 1000
        draw = self.random.integers
        batch = FlowBatch(
            n,
            {
                "collection_time_milliseconds": times,
                "exporter_address_hi": np.zeros(n, np.uint64),
                "exporter_address_lo": draw(1, 4, n).astype(np.uint64) | np.uint64(V4_MAPPED),
                "source_address_hi": np.zeros(n, np.uint64),
                "source_address_lo": draw(1, 99, n).astype(np.uint64) | np.uint64(V4_MAPPED),
                "protocol_identifier": draw(0, 256, n).astype(np.uint8),
                "octet_delta_count": draw(1, 1 << 40, n).astype(np.uint64),
                "packet_delta_count": draw(1, 1 << 20, n).astype(np.uint64),
                "ingress_interface": draw(0, 5, n).astype(np.uint32),
                "sampling_rate": draw(0, 3, n) * 100.0,
                "record_kind": (draw(0, 9, n) == 0).astype(np.uint8),
                **columns,
            },
        )
        self.writer.append(batch)
        self.writer.flush({}, int(times[-1]))

    def seal(self) -> None:
        """Close the journal and make Parquet of it."""
        self.writer.close(START * 1000)
        Maintainer(self.folder, LIMITS, lambda: None).run_once(START * 1000, patient=False)
        self.writer = FlowLogWriter(self.folder, LIMITS)
        self.writer.start()

    def sums(self) -> tuple[int, int, int]:
        """Return rows, octets as exported, and octets of flows scaled by sampling."""
        columns = ("octet_delta_count", "sampling_rate", "record_kind")
        rows, _ = FlowLogReader(self.folder).follow(Cursor(), 100_000_000, False, columns)
        n = octets = scaled = 0
        for table in rows:
            counts = table["octet_delta_count"].to_numpy().astype(object)
            rates = np.maximum(table["sampling_rate"].to_numpy(), 1).astype(int)
            kinds = table["record_kind"].to_numpy()
            n, octets = n + table.num_rows, octets + int(counts.sum())
            scaled += int((counts * rates.astype(object) * (kinds == 0)).sum())
        return n, octets, scaled


def place_of_kind(request: pytest.FixtureRequest) -> Place:
    """Return a new database of what a fixture is asked for: single, cluster or current."""
    name = {"single": "single_server", "cluster": "cluster", "current": "current_engine"}
    server = request.getfixturevalue(name[request.param])
    if request.param == "cluster":
        return Place(server.addresses, server.name)
    return Place([server if request.param == "current" else server.address])


def server_at(address: str, database: str) -> Server:
    """Return a client for host:port."""
    host, _, port = address.rpartition(":")
    return Server(HostPort(host, int(port)), Access(database))


class Place:
    """Where a log is written to: servers, the name of their cluster, and a database of its own."""

    def __init__(self, addresses: list[str], cluster: str = "", database: str = "") -> None:
        self.addresses, self.cluster = addresses, cluster
        self.database = database or f"netflow_{next(_NUMBERS)}"

    def server(self, number: int = 0) -> Server:
        """Return a client of one of the servers."""
        return server_at(self.addresses[number], self.database)

    def wait_for_replicas(self) -> None:
        """Wait until every server has what others were told."""
        end = time.monotonic() + _PATIENCE_SECONDS
        for number in range(len(self.addresses) if self.cluster else 0):
            for table in ("flows_local", "sums_local", "samples_local", "day_samples_local"):
                while not self._synchronised(number, table):
                    assert time.monotonic() < end
                    time.sleep(0.1)

    def _synchronised(self, number: int, table: str) -> bool:
        try:
            self.server(number).command(f"SYSTEM SYNC REPLICA {self.database}.{table}", 20)
        except StorageError:
            return False
        return True

    def loader(
        self, folder: Path, name: str = "one", servers: list[Server] | None = None, **rest: Any
    ) -> ClickHouseLoader:
        """Return a writer of the log in a folder, which takes small batches without waiting."""
        servers = servers or [server_at(address, self.database) for address in self.addresses]
        target = Cluster(servers, Layout(self.database, self.cluster))
        loader = ClickHouseLoader(target, name, folder / FLOW_LOG_FOLDER, **rest)
        loader.batch_rows, loader.batch_seconds = BATCH_ROWS, 0.0
        return loader


def load_all(loader: ClickHouseLoader) -> int:
    """Load until there is nothing more; return how many rows."""
    rows = 0
    while True:
        report = loader.load_once(time.time())
        rows += report.rows
        if not report.rows and not report.busy:
            return rows


def stored_sums(server: Server, *collectors: str) -> tuple[int, int, int]:
    """Return what `LogOfFlows.sums` does, of tables in ClickHouse; rows are equal in both."""
    where = " OR ".join(f"collector = '{name}'" for name in collectors) or "1"
    ((rows, octets),) = server.rows(
        f"SELECT count(), sum(octet_delta_count) FROM flows WHERE {where}"
    )
    ((sum_rows, scaled),) = server.rows(f"SELECT sum(rows), sum(octets) FROM sums WHERE {where}")
    assert rows == sum_rows
    for table in ("samples", "day_samples"):
        ((drawn_from,),) = server.rows(f"SELECT sum(drawn_from) FROM {table} WHERE {where}")
        assert rows == drawn_from
    return int(rows), int(octets or 0), int(scaled)
