"""Configurations and tables of a real nfacctd."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.collector.running import RunningCollector
from tests.sql.mariadb import MariaDb

NFACCTD = shutil.which("nfacctd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
KEYS = (
    "peer_src_ip, src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, in_iface,"
    " out_iface, flows"
)
SCHEMA = """
CREATE TABLE acct (
    peer_ip_src CHAR(45) NOT NULL DEFAULT '', ip_src CHAR(45) NOT NULL DEFAULT '',
    ip_dst CHAR(45) NOT NULL DEFAULT '', port_src INT NOT NULL DEFAULT 0,
    port_dst INT NOT NULL DEFAULT 0, ip_proto CHAR(16) NOT NULL DEFAULT '',
    tos INT NOT NULL DEFAULT 0, tcp_flags INT NOT NULL DEFAULT 0,
    iface_in BIGINT NOT NULL DEFAULT 0, iface_out BIGINT NOT NULL DEFAULT 0,
    packets BIGINT NOT NULL DEFAULT 0, bytes BIGINT NOT NULL DEFAULT 0,
    flows BIGINT NOT NULL DEFAULT 0, stamp_inserted DATETIME NOT NULL, stamp_updated DATETIME)
"""


def configuration(database: Path, extra: str = "") -> str:
    """Return a configuration that fills a table of a SQLite file every two seconds."""
    return (
        "daemonize: true\nplugins: sqlite3[lite]\nsql_table_version[lite]: 9\n"
        "sql_optimize_clauses: true\nsql_history: 1m\nsql_history_roundoff: m\n"
        f"sql_refresh_time: 2\naggregate[lite]: {KEYS}\nsql_db[lite]: {database}\n"
        f"sql_table[lite]: acct\n{extra}"
    )


def make_table(database: Path, schema: str = SCHEMA) -> None:
    """Make the table."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(schema)
        connection.commit()


def use_nfacctd(running: RunningCollector, server: MariaDb | None = None) -> Path:
    """Make nfacctd the engine of a configuration; return the SQLite file that it fills.

    With a server, a new database there is filled instead.
    """
    running.ready_pattern = "  reads |^reading "
    database = running.folder / "pmacct.sqlite"
    make_table(database)
    listen = f"nfacctd_ip: 127.0.0.1\nnfacctd_port: {running.port}\n"
    text = configuration(database, listen)
    if server is not None:
        name = server.new_database().rpartition("/")[2]
        server.run(f"USE `{name}`", SCHEMA)
        text = text.replace("sqlite3", "mysql").replace(str(database), name) + (
            f"sql_host: 127.0.0.1\nsql_port: {server.port}\n"
            "sql_user: appliance\nsql_passwd: sec@ret\n"
        )
    (running.conf / "nfacctd.conf").write_text(text)
    file = running.conf / "appliance.yml"
    file.write_text(
        file.read_text().replace(
            "collector:\n", "collector:\n  engine: nfacctd\n  config: nfacctd.conf\n"
        )
    )
    return database
