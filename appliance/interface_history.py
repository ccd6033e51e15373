"""Names, speeds and counters of exporters' interfaces that flows do not tell, with their times.

One SQLite file in the data directory. What polls devices writes it (`register_pollers`), people's
names for interfaces are in it, and answers read it. An ifIndex can mean another interface after a
restart of the device (RFC 2863 section 3.1.5): a name is valid from one moment to another, and an
answer shows the names of its own time.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from appliance.counter_history import FILE as COUNTERS_FILE
from appliance.counter_history import CounterHistory, CounterReading, as_signed, as_unsigned
from appliance.errors import StorageError
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings
from appliance.sqlite_file import SqliteFile

log = RateLimited(logging.getLogger(__name__))

FILE = "interfaces.sqlite"
"""In the data directory."""

MAX_ROWS = 20_000
"""Names of one exporter, past ones included; beyond, the oldest past ones go."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (exporter TEXT, valid_from INTEGER, valid_until INTEGER,
    name TEXT, description TEXT, PRIMARY KEY (exporter, valid_from)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS interface (exporter TEXT, if_index INTEGER, valid_from INTEGER,
    valid_until INTEGER, name TEXT, alias TEXT, speed INTEGER,
    PRIMARY KEY (exporter, if_index, valid_from)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own_name (exporter TEXT, if_index INTEGER, name TEXT,
    PRIMARY KEY (exporter, if_index)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS poll (exporter TEXT, time_ms INTEGER, uptime_ms INTEGER,
    PRIMARY KEY (exporter, time_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (exporter TEXT, time_ms INTEGER, if_index INTEGER,
    in_octets INTEGER, out_octets INTEGER,
    PRIMARY KEY (exporter, time_ms, if_index)) WITHOUT ROWID;
"""

InterfaceKey = tuple[str, int]
"""Address of the exporter, and ifIndex."""


class InterfaceReading(NamedTuple):
    """What a device says of one interface.

    Attributes
    ----------
    speed
        Bits a second; 0 where it does not say.
    in_octets, out_octets
        Counters of 64 bits since the device's start; None where it has none.
    """

    if_index: int
    name: str
    alias: str
    speed: int
    in_octets: int | None
    out_octets: int | None


class DeviceReading(NamedTuple):
    """What a device says of itself at one moment.

    Attributes
    ----------
    exporter
        Its address, as flows have it.
    time_ms, uptime_ms
        Milliseconds UTC, and since the device's start.
    """

    exporter: str
    time_ms: int
    uptime_ms: int
    name: str
    description: str
    interfaces: Sequence[InterfaceReading]


class InterfaceNames(NamedTuple):
    """How an interface is called in a range of time, the newest name first.

    Attributes
    ----------
    own
        What people call it; goes before all others.
    """

    own: str
    names: tuple[str, ...]
    aliases: tuple[str, ...]
    speed: int


class InterfaceSpeed(NamedTuple):
    """The speed of an interface in bits a second."""

    exporter: str
    number: int
    speed: int


class _Period(NamedTuple):
    """The name of an interface from one moment to another, seconds UTC; None: until now."""

    valid_from: int
    valid_until: int | None
    name: str
    alias: str
    speed: int


class InterfaceHistory:
    """Reads and writes the file of one data directory; a file that is not there is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, _SCHEMA)

    def record(self, readings: Iterable[DeviceReading]) -> None:
        """Keep what devices say; a name that is as before goes on.

        Raises
        ------
        StorageError
            It cannot be written. A damaged file is set aside, and the next call begins anew.
        """
        with self._file.writing() as connection:
            for reading in readings:
                _record_device(connection, reading)
                _record_interfaces(connection, reading)
                _record_counters(connection, reading)

    def expire_counters(self, before_ms: int) -> None:
        """Delete counters from before a moment.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        with self._file.writing() as connection:
            # By their key, as a look at every counter would take seconds.
            sql = """DELETE FROM counter WHERE (exporter, time_ms) IN
                (SELECT exporter, time_ms FROM poll WHERE time_ms < ?)"""
            connection.execute(sql, (before_ms,))
            connection.execute("DELETE FROM poll WHERE time_ms < ?", (before_ms,))

    def set_own_name(self, key: InterfaceKey, name: str) -> None:
        """Keep what people call an interface; an empty name takes theirs away.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        with self._file.writing() as connection:
            if name:
                sql = "INSERT OR REPLACE INTO own_name VALUES (?, ?, ?)"
                connection.execute(sql, (*key, name))
            else:
                sql = "DELETE FROM own_name WHERE exporter = ? AND if_index = ?"
                connection.execute(sql, key)

    def interface_names(
        self, keys: Collection[InterfaceKey], since_ms: int, until_ms: int
    ) -> dict[InterfaceKey, InterfaceNames]:
        """Return the names of interfaces in a range of time; those that have some.

        Where nothing was known in that range, the name that is nearest in time counts.
        """
        numbers: dict[str, list[int]] = defaultdict(list)
        for exporter, if_index in keys:
            numbers[exporter].append(if_index)
        names: dict[InterfaceKey, InterfaceNames] = {}
        for exporter, its_numbers in numbers.items():
            names |= self._names_of(exporter, its_numbers, since_ms // 1000, -(-until_ms // 1000))
        return names

    def interfaces_named(self, name: str) -> list[InterfaceKey]:
        """Return the interfaces that have, or once had, a name; upper and lower case are the same.

        What people call it counts, else what the device does.
        """
        sql = """SELECT exporter, if_index FROM own_name WHERE lower(name) = lower(:name)
            UNION SELECT exporter, if_index FROM interface WHERE lower(name) = lower(:name)
            ORDER BY 1, 2"""
        return [(str(row[0]), int(row[1])) for row in self._rows(sql, {"name": name})]

    def all_names(self, limit: int) -> list[tuple[str, str, int]]:
        """Return name, exporter and ifIndex of interfaces that have a name now."""
        sql = """SELECT name, exporter, if_index FROM own_name
            UNION SELECT name, exporter, if_index FROM interface
            WHERE valid_until IS NULL AND name <> '' ORDER BY 1, 2, 3 LIMIT :limit"""
        rows = self._rows(sql, {"limit": limit})
        return [(str(name), str(exporter), int(number)) for name, exporter, number in rows]

    def interfaces_with_speed(self) -> list[InterfaceSpeed]:
        """Return the interfaces whose speed is known now, in order of exporter and ifIndex.

        What was polled goes before what the exporter sends by itself.
        """
        sql = """SELECT exporter, if_index, speed FROM interface
            WHERE valid_until IS NULL AND speed > 0"""
        speeds = CounterHistory(self.path.with_name(COUNTERS_FILE)).speeds()
        speeds |= {(str(row[0]), int(row[1])): int(row[2]) for row in self._rows(sql, {})}
        return [InterfaceSpeed(*key, speed) for key, speed in sorted(speeds.items())]

    def device_names(self) -> dict[str, str]:
        """Return what devices call themselves now, by address of the exporter."""
        sql = "SELECT exporter, name FROM device WHERE valid_until IS NULL AND name <> ''"
        return {str(exporter): str(name) for exporter, name in self._rows(sql, {})}

    def exporters(self) -> list[str]:
        """Return the addresses of the exporters that were ever read."""
        rows = self._rows("SELECT DISTINCT exporter FROM device ORDER BY 1", {})
        return [str(row[0]) for row in rows]

    def last_poll_ms(self, exporter: str) -> int | None:
        """Return when an exporter answered last; None: never, or too long ago."""
        sql = "SELECT max(time_ms) FROM poll WHERE exporter = :exporter"
        rows = self._rows(sql, {"exporter": exporter})
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    def interfaces_of(self, exporter: str) -> list[int]:
        """Return the ifIndex of every interface that an exporter has now."""
        sql = """SELECT if_index FROM interface WHERE exporter = :exporter AND valid_until IS NULL
            ORDER BY 1"""
        return [int(row[0]) for row in self._rows(sql, {"exporter": exporter})]

    def counters(
        self, exporter: str, since_ms: int, until_ms: int
    ) -> Mapping[int, list[CounterReading]]:
        """Return the counters of an exporter's interfaces in a range, by ifIndex, in order."""
        sql = """SELECT if_index, time_ms, uptime_ms, in_octets, out_octets
            FROM counter JOIN poll USING (exporter, time_ms)
            WHERE exporter = :exporter AND time_ms BETWEEN :since AND :until ORDER BY time_ms"""
        readings: dict[int, list[CounterReading]] = defaultdict(list)
        facts = {"exporter": exporter, "since": since_ms, "until": until_ms}
        for if_index, time_ms, uptime_ms, received, sent in self._rows(sql, facts):
            counters = (as_unsigned(received), as_unsigned(sent))
            readings[if_index].append(CounterReading(time_ms, uptime_ms, *counters))
        return readings

    def _names_of(
        self, exporter: str, numbers: Sequence[int], since: int, until: int
    ) -> Iterator[tuple[InterfaceKey, InterfaceNames]]:
        facts = {"exporter": exporter, "numbers": json.dumps(numbers)}
        where = "exporter = :exporter AND if_index IN (SELECT value FROM json_each(:numbers))"
        own_sql = f"SELECT if_index, name FROM own_name WHERE {where}"  # noqa: S608
        own = {int(number): str(name) for number, name in self._rows(own_sql, facts)}
        sql = f"""SELECT if_index, valid_from, valid_until, name, alias, speed FROM interface
            WHERE {where} ORDER BY valid_from DESC"""  # noqa: S608
        periods: dict[int, list[_Period]] = defaultdict(list)
        for number, *row in self._rows(sql, facts):
            periods[number].append(_Period(*row))
        for number in {*own, *periods}:
            valid = _valid_periods(periods.get(number, []), since, until)
            names = _distinct(period.name for period in valid)
            aliases = _distinct(period.alias for period in valid)
            speed = valid[0].speed if valid else 0
            yield (exporter, number), InterfaceNames(own.get(number, ""), names, aliases, speed)

    def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return the rows of a question; none where the file cannot be read, which is logged.

        Names are an addition: without them answers show numbers.
        """
        try:
            return self._file.rows(sql, parameters)
        except StorageError as error:
            log.warning("interfaces are shown without names: %s", error)
            return []


def interface_history(settings: Settings) -> InterfaceHistory:
    """Return the history in the data directory of an appliance."""
    return InterfaceHistory(Path(settings["data_directory"]) / FILE)


def history_beside(flow_log: Path) -> InterfaceHistory:
    """Return the history in the data directory that a flow log is in."""
    return InterfaceHistory(flow_log.parent / FILE)


def _record_device(connection: sqlite3.Connection, reading: DeviceReading) -> None:
    at, facts = reading.time_ms // 1000, (reading.name, reading.description)
    sql = "SELECT name, description FROM device WHERE exporter = ? AND valid_until IS NULL"
    if connection.execute(sql, (reading.exporter,)).fetchone() == facts:
        return
    sql = "UPDATE device SET valid_until = ? WHERE exporter = ? AND valid_until IS NULL"
    connection.execute(sql, (at, reading.exporter))
    sql = "INSERT OR REPLACE INTO device VALUES (?, ?, NULL, ?, ?)"
    connection.execute(sql, (reading.exporter, at, *facts))
    _forget_oldest(connection, "device", reading.exporter)


def _record_interfaces(connection: sqlite3.Connection, reading: DeviceReading) -> None:
    """End the names that are no longer so, and begin those that are new."""
    exporter, at = reading.exporter, reading.time_ms // 1000
    sql = """SELECT if_index, name, alias, speed FROM interface
        WHERE exporter = ? AND valid_until IS NULL"""
    before = {row[0]: row[1:] for row in connection.execute(sql, (exporter,))}
    now = {one.if_index: (one.name, one.alias, one.speed) for one in reading.interfaces}
    ended = [(at, exporter, number) for number, facts in before.items() if now.get(number) != facts]
    begun = [
        (exporter, number, at, *facts)
        for number, facts in now.items()
        if before.get(number) != facts
    ]
    sql = """UPDATE interface SET valid_until = ?
        WHERE exporter = ? AND if_index = ? AND valid_until IS NULL"""
    connection.executemany(sql, ended)
    sql = "INSERT OR REPLACE INTO interface VALUES (?, ?, ?, NULL, ?, ?, ?)"
    connection.executemany(sql, begun)
    if ended:
        _forget_oldest(connection, "interface", exporter)


def _forget_oldest(connection: sqlite3.Connection, table: str, exporter: str) -> None:
    """Delete past names beyond `MAX_ROWS`, so that a device that changes them always ends there."""
    sql = f"""DELETE FROM {table} WHERE exporter = :exporter AND valid_until <= (
        SELECT valid_until FROM {table} WHERE exporter = :exporter AND valid_until IS NOT NULL
        ORDER BY valid_until DESC LIMIT 1 OFFSET {MAX_ROWS})"""  # noqa: S608
    connection.execute(sql, {"exporter": exporter})


def _record_counters(connection: sqlite3.Connection, reading: DeviceReading) -> None:
    key = (reading.exporter, reading.time_ms)
    sql = "INSERT OR REPLACE INTO poll VALUES (?, ?, ?)"
    connection.execute(sql, (*key, reading.uptime_ms))
    sql = "INSERT OR REPLACE INTO counter VALUES (?, ?, ?, ?, ?)"
    connection.executemany(
        sql,
        [
            (*key, one.if_index, as_signed(one.in_octets), as_signed(one.out_octets))
            for one in reading.interfaces
        ],
    )


def _valid_periods(periods: Sequence[_Period], since: int, until: int) -> Sequence[_Period]:
    """Return what was valid in a range, newest first, or the period nearest to it."""
    valid = [p for p in periods if p.valid_from < until and (p.valid_until or until) > since]
    later = [period for period in periods if period.valid_from >= until]
    return valid or later[-1:] or periods[:1]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
