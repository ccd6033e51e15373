"""A flow log, a collector configuration and the database that it names, for tests."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pymysql

from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import COLUMN, FlowBatch, RecordKind, address_halves, octets_column
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables.loader import PmacctLoader
from tests.sql.mariadb import MariaDb

START = 1_801_429_260
"""2027-01-31 21:01 UTC."""

PRIMITIVES = """\
name=dscp field_type=195 len=1 semantics=u_int
name=appid field_type=95 len=4 semantics=raw
name=appname field_type=96 len=24 semantics=str
name=user field_type=9:1000 len=vlen semantics=str
name=code field_type=9:1001 len=4 semantics=hex
"""
ELEMENTS = (
    *((0, 195), (0, 95), (0, 96), (9, 1000), (9, 1001)),
    *((0, 256), (0, 244), (0, 351), (0, 70), (0, 232)),
)


@dataclass
class PmacctWorld:
    """Everything around a loader; time is what the test says."""

    folder: Path
    mariadb: MariaDb | None = None
    user: str = "appliance"
    now: float = START
    warnings: list[str] = field(default_factory=list)
    _loader: PmacctLoader | None = None
    _writer: FlowLogWriter | None = None
    _text: str = ""

    def __post_init__(self) -> None:
        self.database = "" if self.mariadb is None else self.mariadb.new_database().split("/")[-1]

    @property
    def kind(self) -> str:
        return "sqlite3" if self.mariadb is None else "mysql"

    @property
    def where(self) -> str:
        if self.mariadb is None:
            return f"sql_db: {self.folder}/pmacct.db\n"
        return (
            f"sql_db: {self.database}\nsql_host: 127.0.0.1\nsql_port: {self.mariadb.port}\n"
            f"sql_user: {self.user}\nsql_passwd: sec@ret\n"
        )

    @property
    def log(self) -> Path:
        return self.folder / "flowlog"

    def configure(self, text: str, plugins: str = "KIND[p]") -> None:
        """Write the configuration; a loader that was there is gone."""
        (self.folder / "primitives.lst").write_text(PRIMITIVES)
        plugins = plugins.replace("KIND", self.kind)
        self._text = f"plugins: {plugins}\n{self.where}aggregate_primitives: primitives.lst\n{text}"
        (self.folder / "c.conf").write_text(self._text)
        self.restart()

    @property
    def loader(self) -> PmacctLoader:
        if self._loader is None:
            self._loader = PmacctLoader(read_effective(self.folder / "c.conf"), self.log)
        return self._loader

    def restart(self) -> None:
        """Let go of the loader as a crash would."""
        if self._loader is not None:
            self._loader.close()
        self._loader = None

    @property
    def writer(self) -> FlowLogWriter:
        if self._writer is None:
            limits = FlowLogLimits(minimum_free_octets=0, segment_seconds=10**9)
            self._writer = FlowLogWriter(self.log, limits, ELEMENTS)
            self._writer.start()
        return self._writer

    def close(self) -> None:
        self.restart()
        if self._writer is not None:
            self._writer.close()

    def load(self, after: float = 0.0) -> None:
        """Let time pass and load until nothing is left."""
        self.now += after
        while True:
            report = self.loader.load_once(self.now)
            self.warnings += report.warnings
            if not report.busy:
                return

    def purge(self) -> None:
        """Write everything, as at the end of the process."""
        self.load()
        self.warnings += self.loader.finish(self.now)

    def flows(
        self, n: int = 1, octets: Mapping[tuple[int, int], Any] | None = None, **columns: Any
    ) -> None:
        """Write flows to the log; columns may be one value or one each."""
        given = {
            "collection_time_milliseconds": int(self.now * 1000),
            "exporter_address_lo": address_halves("192.0.2.1")[1],
            "source_address_lo": address_halves("10.0.0.1")[1],
            "destination_address_lo": address_halves("198.51.100.1")[1],
            "source_transport_port": 50_000,
            "destination_transport_port": 443,
            "protocol_identifier": 6,
            "export_protocol_version": 9,
            "octet_delta_count": 100,
            "packet_delta_count": 2,
            **columns,
        }
        self._write(FlowBatch(n, _columns(given, n), _octets(octets or {}, n)))

    def options(self, n: int = 1, octets: Mapping[tuple[int, int], Any] | None = None) -> None:
        """Write options records to the log."""
        given = {
            "collection_time_milliseconds": int(self.now * 1000),
            "exporter_address_lo": address_halves("192.0.2.1")[1],
            "record_kind": RecordKind.OPTION,
        }
        self._write(FlowBatch(n, _columns(given, n), _octets(octets or {}, n), options=True))

    def _write(self, batch: FlowBatch) -> None:
        self.writer.append(batch)
        assert self.writer.flush({}, int(self.now * 1000)) == 0

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement beside the loader."""
        if self.mariadb is None:
            connection: Any = sqlite3.connect(self.folder / "pmacct.db")
        else:
            connection = pymysql.connect(
                unix_socket=f"{self.mariadb.folder}/socket", user="root", database=self.database
            )
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            found = cursor.fetchall()
            connection.commit()
        finally:
            connection.close()
        return sorted(tuple(map(plain, row)) for row in found)

    def rows(self, columns: str, table: str = "acct") -> list[tuple[Any, ...]]:
        return self.sql(f"SELECT {columns} FROM {table}")


def plain(value: Any) -> Any:
    """Make values of both databases the same: moments are text."""
    if hasattr(value, "isoformat"):
        return value.isoformat(" ")
    return int(value) if type(value).__name__ == "Decimal" else value


def local(second: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _columns(given: Mapping[str, Any], n: int) -> dict[str, Any]:
    return {
        name: np.broadcast_to(np.asarray(value).astype(COLUMN[name].dtype), (n,))
        for name, value in given.items()
    }


def _octets(given: Mapping[tuple[int, int], Any], n: int) -> dict[str, Any]:
    found = {}
    for element, value in given.items():
        values = [value] * n if isinstance(value, bytes) else list(value)
        found[octets_column(*element)] = np.array([*values, None], object)[:-1]
    return found
