"""Rules and alerts as they are kept: one SQLite file in the data directory.

The loader process writes alerts, the web process and the command line rules and comments. What is
kept is bounded: the oldest alerts that are over go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from types import MappingProxyType
from typing import Any, NamedTuple

from appliance import Settings
from appliance.plugins.alerts.ready_made import READY_MADE
from appliance.plugins.alerts.rules import Rule, RuleError, rule_from_values
from appliance.sqlite_file import SqliteFile

FILE = "alerts.sqlite"
MAX_RULES = 200
MAX_WITH_HISTORY = 20
"""Rules that are on and need hours kept."""

MAX_ALERTS = 20_000
MAX_COMMENT = 500

SCHEMA = """
CREATE TABLE IF NOT EXISTS rule (name TEXT PRIMARY KEY, content TEXT, changed REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert (id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT, subject TEXT,
    severity TEXT, keys TEXT, began REAL, ended REAL, peak REAL, sentence TEXT, evidence TEXT,
    acknowledged_by TEXT, acknowledged_at REAL, comment TEXT);
CREATE INDEX IF NOT EXISTS alert_ended ON alert (ended);
"""


class StoreLimits(NamedTuple):
    """How much is kept in one file.

    Attributes
    ----------
    rules
        Own ones, and ready-made ones that were changed.
    with_history
        Rules that are on and need hours kept.
    alerts
        The newest.
    """

    rules: int = MAX_RULES
    with_history: int = MAX_WITH_HISTORY
    alerts: int = MAX_ALERTS


class Alert(NamedTuple):
    """What a rule has found.

    Attributes
    ----------
    subject
        The group, as text; empty where the rule has none.
    keys
        The group, as numbers of the columns of `GROUPS`.
    began, ended
        Seconds UTC; None: it goes on.
    peak
        The largest value, of `below` the smallest, in the unit of the rule.
    sentence
        What the rule said then.
    evidence
        The largest flows at its beginning, as JSON objects.
    """

    id: int
    rule: str
    subject: str
    severity: str
    keys: Sequence[int]
    began: float
    ended: float | None
    peak: float
    sentence: str
    evidence: Sequence[dict[str, Any]]
    acknowledged_by: str | None
    acknowledged_at: float | None
    comment: str | None


_COLUMNS = ", ".join(Alert._fields)
_WRITTEN = ("rule", "subject", "severity", "keys", "began", "peak", "sentence", "evidence")


class AlertStore:
    """Reads and writes one file: that of the appliance, or of a user.

    Parameters
    ----------
    facts
        By column: what each new alert has, and whatever is read or acknowledged.
    """

    def __init__(
        self,
        path: Path,
        limits: StoreLimits | None = None,
        ready_made: Sequence[Rule] = READY_MADE,
        facts: Mapping[str, str] = MappingProxyType({}),
        schema: str = SCHEMA,
    ) -> None:
        self.path = path
        self._limits, self._ready_made, self._facts = limits or StoreLimits(), ready_made, facts
        self._file = SqliteFile(path, schema)

    def rules(self) -> list[Rule]:
        """Return all rules by name: the ready-made ones as people changed them, and theirs.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        known = {rule.name: rule for rule in self._ready_made}
        for (content,) in self._file.rows("SELECT content FROM rule"):
            try:
                rule = rule_from_values(json.loads(content))
            except (RuleError, ValueError):
                continue  # of a later version
            known[rule.name] = rule
        return sorted(known.values(), key=lambda rule: rule.name)

    def rule(self, name: str) -> Rule:
        """Return one rule.

        Raises
        ------
        RuleError
            There is none of that name.
        """
        found = [rule for rule in self.rules() if rule.name == name]
        if not found:
            raise RuleError(f"no rule is called {name!r}")
        return found[0]

    def put_rule(self, rule: Rule) -> None:
        """Add a rule, or change the one of its name.

        Raises
        ------
        RuleError
            There are too many.
        """
        if rule.is_on and rule.needs_history:
            others = [one for one in self.rules() if one.is_on and one.name != rule.name]
            most = self._limits.with_history
            if sum(one.needs_history for one in others) >= most:
                raise RuleError(f"{most} rules with history are on already")
        with self._writing() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM rule WHERE name <> ?", (rule.name,)
            ).fetchone()
            if count >= self._limits.rules:
                raise RuleError(f"{self._limits.rules} rules are the most, and all are there")
            sql = "INSERT OR REPLACE INTO rule VALUES (?, ?, ?)"
            connection.execute(sql, (rule.name, json.dumps(rule.as_dict()), time.time()))

    def switch_rule(self, name: str, is_on: bool) -> Rule:
        """Switch a rule on or off, and return it."""
        rule = replace(self.rule(name), is_on=is_on)
        self.put_rule(rule)
        return rule

    def delete_rule(self, name: str) -> None:
        """Delete a rule; a ready-made one is as it came, and off."""
        self.rule(name)
        with self._writing() as connection:
            connection.execute("DELETE FROM rule WHERE name = ?", (name,))

    def rule_with(self, name: str, changes: Mapping[str, Any]) -> Rule:
        """Return what a rule is with changes, or a new rule of that name; it is not kept.

        Raises
        ------
        RuleError
            A value does not fit.
        """
        known = {rule.name: rule.as_dict() for rule in self.rules()}
        return rule_from_values({**known.get(name, {"name": name}), **changes})

    def alerts(
        self, *, only_open: bool = False, before: int | None = None, limit: int = 100
    ) -> list[Alert]:
        """Return alerts, the newest first.

        Parameters
        ----------
        before
            Only those with a smaller id.
        """
        conditions = ["id < ?"] if before is not None else []
        conditions += ["ended IS NULL"] if only_open else []
        where, facts = self._where(*conditions)
        values = [before] if before is not None else []
        sql = f"SELECT {_COLUMNS} FROM alert {where} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [_alert(row) for row in self._file.rows(sql, [*values, *facts, limit])]

    def open_by_severity(self) -> dict[str, int]:
        """Return how many alerts go on."""
        where, facts = self._where("ended IS NULL")
        sql = f"SELECT severity, count(*) FROM alert {where} GROUP BY severity"  # noqa: S608
        return {str(severity): int(count) for severity, count in self._file.rows(sql, facts)}

    def is_ready_made(self, name: str) -> bool:
        """Tell whether a rule came with the appliance."""
        return any(rule.name == name for rule in self._ready_made)

    def open_alert(self, alert: Alert) -> int:
        """Keep a new alert, and return its id."""
        with self._writing() as connection:
            columns = ", ".join((*_WRITTEN, *self._facts))
            marks = ", ".join("?" * (len(_WRITTEN) + len(self._facts)))
            sql = f"INSERT INTO alert ({columns}) VALUES ({marks})"  # noqa: S608 - ours
            keys, evidence = json.dumps(list(alert.keys)), json.dumps(list(alert.evidence))
            facts = (*alert[1:4], keys, alert.began, alert.peak, alert.sentence, evidence)
            number = connection.execute(sql, (*facts, *self._facts.values())).lastrowid
            connection.execute(
                """DELETE FROM alert WHERE ended IS NOT NULL AND id <= (SELECT id FROM alert
                    ORDER BY id DESC LIMIT 1 OFFSET ?)""",
                (self._limits.alerts,),
            )
            return int(number or 0)

    def end_others(self, now: float) -> None:
        """End open alerts that nothing looks at any more: those without the facts; without facts
        all.
        """
        columns = " OR ".join(f"{name} IS NOT ?" for name in self._facts)
        where = f"ended IS NULL AND ({columns})" if columns else "ended IS NULL"
        values = [*self._facts.values()]
        open_ = f"SELECT 1 FROM alert WHERE {where} LIMIT 1"  # noqa: S608 - our own columns
        if self._file.rows(open_, values):
            with self._writing() as connection:
                sql = f"UPDATE alert SET ended = ? WHERE {where}"  # noqa: S608 - our own columns
                connection.execute(sql, [now, *values])

    def update_alert(self, number: int, peak: float, ended: float | None) -> None:
        """Keep the peak of an alert, and that it is over."""
        with self._writing() as connection:
            sql = "UPDATE alert SET peak = ?, ended = ? WHERE id = ?"
            connection.execute(sql, (peak, ended, number))

    def acknowledge(self, number: int, who: str, comment: str) -> Alert:
        """Note that somebody has seen an alert, and what they say.

        Raises
        ------
        RuleError
            There is no such alert, or too long a comment.
        """
        if len(comment) > MAX_COMMENT:
            raise RuleError(f"comment: at most {MAX_COMMENT} characters")
        where, facts = self._where("id = ?")
        # Nobody's alerts need no file.
        if not self._file.rows(f"SELECT 1 FROM alert {where}", [number, *facts]):  # noqa: S608
            raise RuleError(f"no alert has the number {number}")
        with self._writing() as connection:
            sql = f"""UPDATE alert SET acknowledged_by = ?, acknowledged_at = ?, comment = ?
                {where}"""  # noqa: S608 - our own columns
            said = (who, time.time(), comment)
            found = connection.execute(sql, (*said, number, *facts)).rowcount
        if not found:
            raise RuleError(f"no alert has the number {number}")
        sql = f"SELECT {_COLUMNS} FROM alert {where}"  # noqa: S608 - our own columns
        return _alert(self._file.rows(sql, [number, *facts])[0])

    def _where(self, *conditions: str) -> tuple[str, list[str]]:
        """Return the clause of conditions and of the facts, and the values of the facts."""
        every = [*conditions, *(f"{name} = ?" for name in self._facts)]
        return f"WHERE {' AND '.join(every)}" if every else "", [*self._facts.values()]

    def _writing(self) -> AbstractContextManager[Connection]:
        # Rules may be set before the appliance was ever started.
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return self._file.writing()


def _alert(row: tuple[Any, ...]) -> Alert:
    alert = Alert(*row)
    keys, evidence = json.loads(str(alert.keys)), json.loads(str(alert.evidence))
    return alert._replace(keys=keys, evidence=evidence)


def alert_store(settings: Settings) -> AlertStore:
    """Return the store in the data directory of an appliance."""
    return AlertStore(Path(settings["data_directory"]) / FILE)
