"""The tables of the flow database, as migrations (see `appliance.sql.migrations`).

appliance_rollup
    Sums by (dimension, size, exporter, direction, bin_start, flags, name); `exporter` 0 is all
    exporters together. In total, protocol and application, exact, `flags` is 0. In source,
    destination and port, `flags` says by which measures a row is among the largest, or that it is
    not about one name: see `tops`.
appliance_work
    Bins whose largest sources, destinations and ports are not final, and where in the flow log
    their records are.
appliance_rollup_progress
    One row of JSON: how far the log is stored, with the minutes that are still open.
appliance_application
    Names that exporters gave their applications before names were kept by session.
appliance_session_application
    Names that exporters gave their applications since, by session: see `application_names`.
appliance_rollup_column
    Which dimension sums by a column of a plugin have, and from when on they are whole: see
    `plugin_sums`.
appliance_known_exporter
    A copy of identifier and address of every exporter, should the appliance database be lost.
appliance_event
    What happened to this database: salvaged, rebuilt.
"""

from __future__ import annotations

from appliance.sql.migrations import Migration
from appliance.sql.table_names import (
    APPLICATION,
    EVENT,
    KNOWN_EXPORTER,
    ROLLUP,
    ROLLUP_COLUMN,
    ROLLUP_PROGRESS,
    SESSION_APPLICATION,
    WORK,
)

ROLLUP_KEY = ("dimension", "size", "exporter", "direction", "bin_start", "flags", "name")
NAME_CHARACTERS = 128

FLOW_MIGRATIONS: tuple[Migration, ...] = (
    (
        f"""CREATE TABLE IF NOT EXISTS {ROLLUP} (
            dimension TINYINT NOT NULL, size TINYINT NOT NULL, exporter INTEGER NOT NULL,
            direction TINYINT NOT NULL, bin_start BIGINT NOT NULL, flags TINYINT NOT NULL,
            name VARCHAR(128) NOT NULL, octets BIGINT NOT NULL, packets BIGINT NOT NULL,
            flows BIGINT NOT NULL,
            PRIMARY KEY (dimension, size, exporter, direction, bin_start, flags, name)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE IF NOT EXISTS {WORK} (
            size TINYINT NOT NULL, bin_start BIGINT NOT NULL, first_segment BIGINT NOT NULL,
            first_row BIGINT NOT NULL, last_segment BIGINT NOT NULL, last_row BIGINT NOT NULL,
            done TINYINT NOT NULL,
            PRIMARY KEY (size, bin_start)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE IF NOT EXISTS {ROLLUP_PROGRESS} (
            id INTEGER NOT NULL PRIMARY KEY, content MEDIUMTEXT NOT NULL
        )""",
        f"""CREATE TABLE IF NOT EXISTS {APPLICATION} (
            exporter VARCHAR(45) NOT NULL, application_id VARCHAR(20) NOT NULL,
            name VARCHAR(128) NOT NULL, PRIMARY KEY (exporter, application_id)
        ) WITHOUT ROWID""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {KNOWN_EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL UNIQUE
        )""",
        f"""CREATE TABLE IF NOT EXISTS {EVENT} (
            happened BIGINT NOT NULL, content VARCHAR(500) NOT NULL
        )""",
    ),
    (),  # The tables have their prefix: see `prefixing`.
    (
        f"""CREATE TABLE IF NOT EXISTS {SESSION_APPLICATION} (
            exporter VARCHAR(45) NOT NULL, port INTEGER NOT NULL, domain BIGINT NOT NULL,
            application_id VARCHAR(20) NOT NULL, name VARCHAR(128) NOT NULL,
            PRIMARY KEY (exporter, port, domain, application_id)
        ) WITHOUT ROWID""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {ROLLUP_COLUMN} (
            name VARCHAR(160) NOT NULL PRIMARY KEY, dimension INTEGER NOT NULL, since BIGINT
        ) WITHOUT ROWID""",
    ),
)
