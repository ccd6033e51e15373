"""One configuration and one capture through real nfacctd and through the appliance."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from appliance.app import build_app
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.collector.service import exporter_limits, flow_log_limits
from appliance.decoding.messages.block import block_of
from appliance.flowlog import FlowLogWriter
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables.loader import PmacctLoader
from appliance.settings.file import SettingsFile
from appliance.traffic.captures import CaptureReader, blocks_of
from tests.plugins.pmacct.world import plain
from tests.sql.mariadb import MariaDb

DATA = Path(__file__).parents[2] / "data" / "nfacctd"
TABLES = {"target": ("netflow", "apptable"), "plain": ("acct_v9", "acct_v9 in SQLite")}
NOT_COMPARED = {"stamp_updated"}

Row = tuple[tuple[str, Any], ...]


@dataclass
class Side:
    """Where one of the two writes: its configuration, a database and a SQLite file."""

    folder: Path
    kind: str
    capture: Path
    server: MariaDb
    database: str

    @property
    def config(self) -> Path:
        return self.folder / "c.conf"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True)
        for name in ("primitives.lst", "repeated.lst", "pretag.map"):
            shutil.copy(DATA / name, self.folder)
        text = (DATA / f"{self.kind}.conf").read_text()
        values = {
            "PCAP": self.capture,
            "PORT": self.server.port,
            "DB": self.database,
            "LITE": self.folder / "lite.db",
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        # nfacctd looks for files where it was started.
        text = text.replace(": primitives", f": {self.folder}/primitives")
        text = text.replace(": repeated", f": {self.folder}/repeated")
        self.config.write_text(text.replace(": pretag", f": {self.folder}/pretag"))
        schema = (DATA / "schema.sql").read_text()
        sqlite = sqlite3.connect(self.folder / "lite.db")
        sqlite.executescript(schema)
        sqlite.close()
        use = f"USE {self.database}"
        self.server.run(use, *(part for part in schema.split(";") if part.strip()))

    def run_nfacctd(self) -> None:
        """Let nfacctd read the capture; it purges everything and ends."""
        run_nfacctd(self.config)

    def run_appliance(self) -> None:
        """Import the capture into a flow log, and let the loader fill the tables."""
        fill_tables(self.folder, self.config, self.capture)

    def rows(self, table: str) -> Counter[Row]:
        """Return the rows of a table as (column, value) pairs."""
        name, _, lite = table.partition(" in ")
        if lite:
            connection: Any = sqlite3.connect(self.folder / "lite.db")
        else:
            connection = pymysql.connect(
                unix_socket=f"{self.server.folder}/socket", user="root", database=self.database
            )
        cursor = connection.cursor()
        cursor.execute(f"SELECT * FROM {name}")
        names = [entry[0] for entry in cursor.description]
        found = Counter(
            tuple((n, plain(v)) for n, v in zip(names, row, strict=True) if n not in NOT_COMPARED)
            for row in cursor.fetchall()
        )
        connection.close()
        return found


def run_nfacctd(config: Path) -> None:
    """Let nfacctd read the capture that its configuration names; it purges everything and ends."""
    subprocess.run(
        ["nfacctd", "-f", str(config)],
        check=False,
        capture_output=True,
        timeout=60,
        # nfacctd looks for files where it was started.
        cwd=config.parent,
        env={"TZ": "UTC", **os.environ},
    )


def fill_tables(folder: Path, config: Path, capture: Path) -> PmacctLoader:
    """Import a capture into a flow log in a folder, and let the loader write what is asked for.

    Returns the loader, whose programs may still run.
    """
    tree = {"data_directory": str(folder), "collector": {"config": str(config)}}
    app = build_app(build_plugin_manager(entry_points=()), SettingsFile(None, folder, tree))
    settings = app.settings
    states = ExporterStates(exporter_limits(settings))
    limits = flow_log_limits(settings)
    writer = FlowLogWriter(folder / "flowlog", limits, settings["collector.raw_elements"])
    pipeline = Pipeline(app.decoders, states, writer, app.enrichers)
    writer.start()
    for datagrams in blocks_of(found.datagram for found in CaptureReader(capture)):
        now_ms = datagrams[-1].received_ms
        pipeline.take(block_of(datagrams), now_ms)
        writer.flush({}, now_ms)
    writer.close()
    loader = PmacctLoader(read_effective(config), folder / "flowlog")
    loader.load_once(time.time())
    loader.finish(time.time())
    loader.close()
    return loader


def without(rows: Counter[Row], columns: tuple[str, ...]) -> Counter[Row]:
    """Leave columns out of rows."""
    found: Counter[Row] = Counter()
    for row, n in rows.items():
        found[tuple(pair for pair in row if pair[0] not in columns)] += n
    return found
