"""Named reports, what was made of them, and what is to be sent: one SQLite file of the data
directory.

The loader process makes and sends, the web process and the command line change reports. Each step
of a delivery is a transaction, so that a process that begins anew knows what was sent. What is kept
is bounded: the oldest go.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from appliance import Settings
from appliance.plugins.reports.named_reports import NamedReport, ReportError, report_from_values
from appliance.plugins.reports.periods import Period
from appliance.plugins.reports.report_settings import KEPT
from appliance.sqlite_file import SqliteFile

FILE = "reports.sqlite"
MAX_REPORTS = 100

WAITING, DONE, GIVEN_UP = "waiting", "done", "given up"
STATES = (WAITING, DONE, GIVEN_UP)
COUNTERS = ("made", "sent", "failed", "refused", "given_up")
"""Since the file was begun: reports made, mails taken by a server, tries that failed, recipients
refused for good, deliveries given up."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS report (name TEXT PRIMARY KEY, content TEXT, since REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (report TEXT, since INTEGER, until INTEGER, before INTEGER,
    kind TEXT, state TEXT, pending TEXT, tries INTEGER, begun REAL, next_at REAL, problem TEXT,
    PRIMARY KEY (report, since)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (report TEXT, since INTEGER, until INTEGER, period TEXT, made REAL,
    content BLOB, PRIMARY KEY (report, since));
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
"""


class Delivery(NamedTuple):
    """The report on one period on its way.

    Attributes
    ----------
    since, until, before
        Of the period, seconds UTC; see `Period`.
    pending
        Recipients that do not have it yet.
    tries
        How often it failed.
    begun, next_at
        When it was due, and when it is tried next, seconds UTC.
    problem
        Why it was not sent to all; empty where it was.
    """

    report: str
    since: int
    until: int
    before: int
    kind: str
    state: str
    pending: tuple[str, ...]
    tries: int
    begun: float
    next_at: float
    problem: str

    @property
    def period(self) -> Period:
        """Which it is about."""
        return Period(self.kind, self.before, self.since, self.until)


class KeptReport(NamedTuple):
    """A report that was made, without what it says."""

    report: str
    since: int
    until: int
    period: str
    made: float

    @property
    def date(self) -> str:
        """A day in it, by the zone of the report, such as 2026-01-31."""
        return self.period[:10] if len(self.period) > len("2026-01") else f"{self.period}-01"


_COLUMNS = ", ".join(Delivery._fields)


class ReportStore:
    """Reads and writes the file of one data directory.

    Parameters
    ----------
    most_kept
        Of each named report.
    """

    def __init__(self, path: Path, most_kept: int) -> None:
        self.path, self.most_kept = path, most_kept
        self._file = SqliteFile(path, _SCHEMA)

    def reports(self) -> dict[str, tuple[NamedReport, float]]:
        """Return each named report by name, and since when it is as on or off as it is.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        known = {}
        for name, content, since in self._file.rows("SELECT * FROM report ORDER BY name"):
            try:
                known[str(name)] = report_from_values(json.loads(content)), float(since)
            except (ReportError, ValueError):
                continue  # of a later version, or by a column of a plugin that is gone
        return known

    def report(self, name: str) -> NamedReport:
        """Return one report.

        Raises
        ------
        ReportError
            There is none of that name.
        """
        known = self.reports()
        if name not in known:
            raise ReportError(f"no report is called {name!r}")
        return known[name][0]

    def report_with(self, name: str, changes: Mapping[str, Any]) -> NamedReport:
        """Return what a report is with changes, or a new one of that name; it is not kept.

        Raises
        ------
        ReportError
            A value does not fit.
        """
        known = self.reports()
        values = known[name][0].as_dict() if name in known else {"name": name}
        return report_from_values({**values, **changes})

    def put(self, report: NamedReport, now: float | None = None) -> None:
        """Add a report, or change the one of its name. What was due before is not made up for.

        Raises
        ------
        ReportError
            There are too many.
        """
        now = time.time() if now is None else now
        before = self.reports().get(report.name)
        is_same_plan = before is not None and _plan(before[0]) == _plan(report)
        since = before[1] if before is not None and is_same_plan else now
        with self._writing() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM report WHERE name <> ?", (report.name,)
            ).fetchone()
            if count >= MAX_REPORTS:
                raise ReportError(f"there are {MAX_REPORTS} reports already")
            content = json.dumps(report.as_dict())
            sql = "INSERT OR REPLACE INTO report VALUES (?, ?, ?)"
            connection.execute(sql, (report.name, content, since))

    def switch(self, name: str, is_on: bool) -> NamedReport:
        """Switch a report on or off, and return it."""
        report = replace(self.report(name), is_on=is_on)
        self.put(report)
        return report

    def delete(self, name: str) -> None:
        """Delete a report with all that was kept of it."""
        self.report(name)
        with self._writing() as connection:
            connection.execute("DELETE FROM report WHERE name = ?", (name,))
            connection.execute("DELETE FROM delivery WHERE report = ?", (name,))
            connection.execute("DELETE FROM kept WHERE report = ?", (name,))

    def plan(self, report: NamedReport, period: Period, now: float) -> bool:
        """Begin the delivery of a period, once; return whether it was begun now.

        What still waits of an earlier period is given up: two at once help nobody.
        """
        with self._writing() as connection:
            facts = (report.name, period.since, period.until, period.before, period.kind, WAITING)
            pending = json.dumps(list(report.to))
            cursor = connection.execute(
                "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, '')",
                (*facts, pending, now, now),
            )
            if not cursor.rowcount:
                return False
            given_up = connection.execute(
                "UPDATE delivery SET state = ? WHERE report = ? AND since < ? AND state = ?",
                (GIVEN_UP, report.name, period.since, WAITING),
            ).rowcount
            _count(connection, given_up=given_up)
            self._forget(connection, "delivery", report.name)
            return True

    def next_waiting(self, now: float) -> Delivery | None:
        """Return the delivery that waits longest for its next try; None: there is none."""
        sql = f"""SELECT {_COLUMNS} FROM delivery WHERE state = ? AND next_at <= ?
            ORDER BY next_at, report LIMIT 1"""  # noqa: S608 - our own columns
        rows = self._file.rows(sql, (WAITING, now))
        return _delivery(rows[0]) if rows else None

    def update(self, delivery: Delivery, **counts: int) -> None:
        """Keep how far a delivery is, and add to counters."""
        with self._writing() as connection:
            connection.execute(
                """UPDATE delivery SET state = ?, pending = ?, tries = ?, next_at = ?, problem = ?
                    WHERE report = ? AND since = ?""",
                (
                    *(delivery.state, json.dumps(list(delivery.pending)), delivery.tries),
                    *(delivery.next_at, delivery.problem, delivery.report, delivery.since),
                ),
            )
            _count(connection, **counts)

    def deliveries(self) -> dict[str, Delivery]:
        """Return the newest delivery of each report."""
        sql = f"SELECT {_COLUMNS} FROM delivery ORDER BY since"  # noqa: S608 - our own columns
        return {str(row[0]): _delivery(row) for row in self._file.rows(sql)}

    def keep(self, name: str, period: Period, content: Mapping[str, Any], made: float) -> None:
        """Keep a report that was made; the oldest beyond `most_kept` go."""
        octets = zlib.compress(json.dumps(content).encode())
        with self._writing() as connection:
            facts = (name, period.since, period.until, content["period"], made, octets)
            connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)", facts)
            self._forget(connection, "kept", name)
            _count(connection, made=1)

    def kept(self, name: str, since: int) -> dict[str, Any] | None:
        """Return a report that was kept; None: there is none.

        Parameters
        ----------
        since
            The start of its period, seconds UTC.
        """
        sql = "SELECT content FROM kept WHERE report = ? AND since = ?"
        rows = self._file.rows(sql, (name, since))
        return dict(json.loads(zlib.decompress(rows[0][0]))) if rows else None

    def all_kept(self, name: str | None = None, limit: int = -1) -> list[KeptReport]:
        """Return what is kept, the newest first."""
        where, values = ("WHERE report = ?", [name]) if name is not None else ("", [])
        sql = f"""SELECT report, since, until, period, made FROM kept {where}
            ORDER BY since DESC, report LIMIT ?"""  # noqa: S608 - no text from outside
        return [KeptReport(*row) for row in self._file.rows(sql, [*values, limit])]

    def counts(self) -> dict[str, int]:
        """Return every counter."""
        rows = self._file.rows("SELECT name, value FROM counter")
        return dict.fromkeys(COUNTERS, 0) | {str(name): int(value) for name, value in rows}

    def _forget(self, connection: Connection, table: str, name: str) -> None:
        connection.execute(
            f"""DELETE FROM {table} WHERE report = ? AND since <= (SELECT since FROM {table}
                WHERE report = ? ORDER BY since DESC LIMIT 1 OFFSET ?)""",  # noqa: S608
            (name, name, self.most_kept),
        )

    def _writing(self) -> AbstractContextManager[Connection]:
        # Reports may be set before the appliance was ever started.
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return self._file.writing()


def _plan(report: NamedReport) -> Sequence[object]:
    """Return what says when a report is due."""
    return report.kind, report.hour, report.zone, report.is_on


def _count(connection: Connection, **counts: int) -> None:
    for name, value in counts.items():
        connection.execute(
            """INSERT INTO counter VALUES (?, ?)
                ON CONFLICT (name) DO UPDATE SET value = value + excluded.value""",
            (name, value),
        )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    delivery = Delivery(*row)
    return delivery._replace(pending=tuple(json.loads(str(delivery.pending))))


def report_store(settings: Settings) -> ReportStore:
    """Return the store in the data directory of an appliance."""
    return ReportStore(Path(settings["data_directory"]) / FILE, settings[KEPT.name])
