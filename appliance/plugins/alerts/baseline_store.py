"""The hours of which baselines are made, as they are kept: in the file of the alerts."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

import numpy as np

from appliance.plugins.alerts.baselines import (
    HOUR_SECONDS,
    LEAST_WEEKS,
    NEW_LEAST_HOURS,
    WEEK_SECONDS,
    WEEKS,
    KeptHour,
    Usual,
    baseline_key,
    hours_before,
    usual_values,
)
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import AlertStore
from appliance.sqlite_file import SqliteFile

AGAIN_SECONDS = 60.0
"""So often what is kept is read again within an hour: it may grow."""

MAX_HOURS = 50_000
"""Of all rules together; those that are on have more only while they need them."""

KEPT_SECONDS = WEEKS * WEEK_SECONDS + 2 * HOUR_SECONDS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS baseline_hour (key TEXT, hour INTEGER, is_cut INTEGER, n_bins INTEGER,
    subjects BLOB, hour_values BLOB, PRIMARY KEY (key, hour)) WITHOUT ROWID;
"""


class Known(NamedTuple):
    """What history says for a rule now.

    Attributes
    ----------
    usual
        By group, of rules about a baseline.
    seen
        The groups that were among the largest, of rules about new ones.
    hours
        How many were looked at.
    problem
        Why there is no alert yet; empty when there is enough history.
    """

    usual: Mapping[str, Usual]
    seen: frozenset[str]
    hours: int
    problem: str


class BaselineStore:
    """Reads and writes hours.

    Parameters
    ----------
    zone
        Of hours of the week.
    bound_to
        The filter that limits the hours, of a user's rules.
    """

    def __init__(self, store: AlertStore, zone: tzinfo, bound_to: str | None = None) -> None:
        self.zone, self.bound_to = zone, bound_to
        self.path = store.path
        self._file = SqliteFile(store.path, _SCHEMA)

    def key(self, rule: Rule) -> str:
        """Return the key of the hours of a rule."""
        return baseline_key(rule, self.bound_to)

    def hours_of(self, key: str) -> set[int]:
        """Return the hours that were looked at, those without any flows too."""
        sql = "SELECT hour FROM baseline_hour WHERE key = ?"
        return {int(hour) for (hour,) in self._rows(sql, [key])}

    def put(self, key: str, hour: KeptHour, keys: Collection[str]) -> None:
        """Keep an hour; with very many, forget those of keys that no rule has."""
        subjects = zlib.compress(json.dumps(list(hour.subjects)).encode())
        values = zlib.compress(np.ascontiguousarray(hour.values, "<f4").tobytes())
        row = (key, hour.hour, int(hour.is_cut), hour.values.shape[1], subjects, values)
        with self._file.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO baseline_hour VALUES (?,?,?,?,?,?)", row)
            connection.execute(
                """DELETE FROM baseline_hour WHERE key NOT IN (SELECT value FROM json_each(?))
                    AND (SELECT count(*) FROM baseline_hour) > ?""",
                (json.dumps([*keys]), MAX_HOURS),
            )

    def expire(self, now: float) -> None:
        """Forget hours that no baseline needs any more."""
        with self._file.writing() as connection:
            sql = "DELETE FROM baseline_hour WHERE hour < ?"
            connection.execute(sql, (int(now) - KEPT_SECONDS,))

    def known(self, rule: Rule, now: float) -> Known:
        """Return what history says for a rule.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        hour = int(now) // HOUR_SECONDS * HOUR_SECONDS
        if rule.condition == "new":
            since = hour - WEEKS * WEEK_SECONDS
            hours = self._hours(rule, range(since, hour, HOUR_SECONDS))
            seen = frozenset(name for one in hours for name in one.subjects)
            return Known({}, seen, len(hours), _problem(len(hours), NEW_LEAST_HOURS, "hours"))
        hours = self._hours(rule, hours_before(hour, self.zone))
        usual = usual_values(hours, () if rule.by else ("",))
        weeks = "weeks of this hour of the week"
        return Known(usual, frozenset(), len(hours), _problem(len(hours), LEAST_WEEKS, weeks))

    def _hours(self, rule: Rule, hours: Sequence[int]) -> list[KeptHour]:
        """Return those of the hours that have complete means."""
        sql = """SELECT hour, is_cut, n_bins, subjects, hour_values FROM baseline_hour
            WHERE key = ? AND hour BETWEEN ? AND ? AND n_bins > 0 ORDER BY hour"""
        wanted = frozenset(hours)
        rows = self._rows(sql, [self.key(rule), min(hours), max(hours)])
        return [_kept_hour(row) for row in rows if row[0] in wanted]

    def _rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        exists = "SELECT 1 FROM sqlite_master WHERE name = 'baseline_hour'"
        return self._file.rows(sql, parameters) if self._file.rows(exists) else []


def problem_of(rule: Rule, hours: BaselineStore, now: float) -> str:
    """Return why a rule has no baseline yet; empty when it has one, needs none or is off."""
    return hours.known(rule, now).problem if rule.is_on and rule.needs_history else ""


def _problem(known: int, least: int, what: str) -> str:
    return "" if known >= least else f"no baseline yet: {known} of at least {least} {what} known"


def _kept_hour(row: Sequence[Any]) -> KeptHour:
    hour, is_cut, n_bins, subjects, values = row
    names = json.loads(zlib.decompress(subjects))
    array = np.frombuffer(zlib.decompress(values), "<f4").reshape(len(names), n_bins)
    return KeptHour(hour, bool(is_cut), names, array)
