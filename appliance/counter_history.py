"""Counters, speeds and states of interfaces as exporters send them by themselves, with their times.

One SQLite file in the data directory, beside that of `interface_history`, which has what SNMP says.
A sink of counters writes it (`register_counter_sinks`), and answers read it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from appliance.errors import StorageError
from appliance.export_protocols import SHORT_NAMES
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings
from appliance.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from appliance.contracts import ExportedCounters

log = RateLimited(logging.getLogger(__name__))

FILE = "counters.sqlite"
"""In the data directory."""

MAX_INTERFACES = 16_384
"""Interfaces of one exporter whose speed and state are kept; beyond, the oldest go."""

COUNTER_RANGE = 1 << 64
_SIGNED = 1 << 63
_SCHEMA = """
CREATE TABLE IF NOT EXISTS counter (exporter TEXT, time_ms INTEGER, if_index INTEGER,
    domain INTEGER, uptime_ms INTEGER, in_octets INTEGER, out_octets INTEGER,
    PRIMARY KEY (exporter, time_ms, if_index, domain)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS interface (exporter TEXT, if_index INTEGER, time_ms INTEGER,
    version INTEGER, speed INTEGER, is_up INTEGER,
    PRIMARY KEY (exporter, if_index)) WITHOUT ROWID;
"""


class CounterReading(NamedTuple):
    """Counters of an interface at one moment; `uptime_ms` tells restarts of the device."""

    time_ms: int
    uptime_ms: int
    in_octets: int | None
    out_octets: int | None


class InterfaceState(NamedTuple):
    """What an exporter said last of an interface.

    Attributes
    ----------
    version
        The protocol that it came by, as `export_protocol_version` has it.
    speed
        Bits a second; 0 where it is not told.
    is_up
        None where that is not told.
    """

    time_ms: int
    version: int
    speed: int
    is_up: bool | None

    @property
    def source(self) -> str:
        """What it came by, for people."""
        return SHORT_NAMES.get(self.version, "exporter")


class CounterHistory:
    """Reads and writes the file of one data directory; a file that is not there is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, _SCHEMA)

    def record(self, counters: Sequence[ExportedCounters]) -> None:
        """Keep what exporters sent.

        Raises
        ------
        StorageError
            It cannot be written. A damaged file is set aside, and the next call begins anew.
        """
        with self._file.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO counter VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(one.exporter, one.time_ms, one.if_index, one.domain, one.uptime_ms),
                        *map(as_signed, (one.in_octets, one.out_octets)),
                    )
                    for one in counters
                ],
            )
            connection.executemany(
                """INSERT INTO interface VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
                SET (time_ms, version, speed, is_up)
                    = (excluded.time_ms, excluded.version, excluded.speed, excluded.is_up)
                WHERE excluded.time_ms >= time_ms""",
                [
                    (one.exporter, one.if_index, one.time_ms, one.version, one.speed, one.is_up)
                    for one in counters
                ],
            )

    def expire(self, before_ms: int) -> None:
        """Delete what is from before a moment, and interfaces beyond `MAX_INTERFACES`.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        with self._file.writing() as connection:
            exporters = connection.execute("SELECT DISTINCT exporter FROM interface").fetchall()
            # By their key, as a look at every counter would take seconds.
            sql = "DELETE FROM counter WHERE exporter = ? AND time_ms < ?"
            connection.executemany(sql, [(exporter, before_ms) for (exporter,) in exporters])
            connection.execute("DELETE FROM interface WHERE time_ms < ?", (before_ms,))
            sql = f"""DELETE FROM interface WHERE exporter = :exporter AND time_ms <= (
                SELECT time_ms FROM interface WHERE exporter = :exporter
                ORDER BY time_ms DESC LIMIT 1 OFFSET {MAX_INTERFACES})"""  # noqa: S608
            connection.executemany(sql, [{"exporter": exporter} for (exporter,) in exporters])

    def readings(
        self, exporter: str, since_ms: int, until_ms: int, number: int | None = None
    ) -> Mapping[int, list[CounterReading]]:
        """Return the counters of one or all interfaces in a range, by ifIndex, in order.

        Where several observation domains count one interface, those of the one with most readings:
        each counts from a beginning of its own.
        """
        sql = """SELECT if_index, domain, time_ms, uptime_ms, in_octets, out_octets FROM counter
            WHERE exporter = :exporter AND time_ms BETWEEN :since AND :until
            AND (:number IS NULL OR if_index = :number) ORDER BY domain, time_ms"""
        facts = {"exporter": exporter, "since": since_ms, "until": until_ms, "number": number}
        by_domain: dict[int, dict[int, list[CounterReading]]] = defaultdict(dict)
        for if_index, domain, time_ms, uptime_ms, received, sent in self._rows(sql, facts):
            octets = (as_unsigned(received), as_unsigned(sent))
            reading = CounterReading(time_ms, uptime_ms, *octets)
            by_domain[if_index].setdefault(domain, []).append(reading)
        return {number: max(of.values(), key=len) for number, of in by_domain.items()}

    def interfaces(self, exporter: str) -> dict[int, InterfaceState]:
        """Return what an exporter said last of its interfaces, by ifIndex."""
        sql = """SELECT if_index, time_ms, version, speed, is_up FROM interface
            WHERE exporter = :exporter ORDER BY 1"""
        return {
            if_index: InterfaceState(time_ms, version, speed, None if up is None else bool(up))
            for if_index, time_ms, version, speed, up in self._rows(sql, {"exporter": exporter})
        }

    def speeds(self) -> dict[tuple[str, int], int]:
        """Return the speeds that are told, by exporter and ifIndex."""
        sql = "SELECT exporter, if_index, speed FROM interface WHERE speed > 0"
        return {(str(row[0]), int(row[1])): int(row[2]) for row in self._rows(sql, {})}

    def exporters(self) -> list[str]:
        """Return the addresses of the exporters that sent counters."""
        rows = self._rows("SELECT DISTINCT exporter FROM interface ORDER BY 1", {})
        return [str(row[0]) for row in rows]

    def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return the rows of a question; none where the file cannot be read, which is logged."""
        try:
            return self._file.rows(sql, parameters)
        except StorageError as error:
            log.warning("interfaces are shown without counters that exporters send: %s", error)
            return []


def counter_history(settings: Settings) -> CounterHistory:
    """Return the history in the data directory of an appliance."""
    return CounterHistory(Path(settings["data_directory"]) / FILE)


def as_signed(counter: int | None) -> int | None:
    """Return a counter of 64 bits as SQLite has it, whose numbers are signed."""
    return counter - COUNTER_RANGE if counter is not None and counter >= _SIGNED else counter


def as_unsigned(value: object) -> int | None:
    """Return a counter of 64 bits from SQLite."""
    return value % COUNTER_RANGE if isinstance(value, int) else None
