"""One rule at work: which of its groups are in alert, since when, and what was said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from appliance.flows import address_halves, address_text
from appliance.plugins.alerts.rules import BASELINES, GROUPS, UNITS, Rule, short_number
from appliance.plugins.alerts.store import Alert, AlertStore

MAX_OPEN = 100
"""Alerts of one rule at a time; beyond, those that are largest when there is room."""

MAX_PENDING = 10_000
_PEAK_SECONDS = 30.0
"""So often the peak of an open alert is written."""

Evidence = Callable[[Sequence[int]], Sequence[dict[str, Any]]]
"""Returns the largest flows of a group now."""

Tell = Callable[[Rule, Alert], None]
"""Is told of an alert that begins or ends."""


class Measured(NamedTuple):
    """A group and its value, in the unit of the limit.

    Attributes
    ----------
    facts
        What it is compared with, of conditions that need history.
    """

    keys: Sequence[int]
    value: float
    facts: str = ""


class _Open(NamedTuple):
    alert: Alert
    written_at: float


class Tracker:
    """Begins and ends the alerts of a rule.

    Parameters
    ----------
    open_alerts
        Those of the rule that were open when the process before ended.
    """

    def __init__(
        self, rule: Rule, store: AlertStore, tell: Tell, open_alerts: Iterable[Alert] = ()
    ) -> None:
        self.rule, self._store, self._tell = rule, store, tell
        self._open = {alert.subject: _Open(alert, alert.began) for alert in open_alerts}
        self._pending: dict[str, float] = {}

    @property
    def open_keys(self) -> list[tuple[int, ...]]:
        """The groups that are in alert."""
        return [tuple(one.alert.keys) for one in self._open.values()]

    def judge(self, measured: Iterable[Measured], now: float, evidence: Evidence) -> None:
        """Begin and end alerts.

        Parameters
        ----------
        measured
            The groups that may be in alert, the worst first; a group that is not there is not in
            alert.

        Raises
        ------
        StorageError
            They cannot be kept.
        """
        current = {subject_of(self.rule, one.keys): one for one in measured}
        for subject in list(self._open):
            found = current.get(subject)
            if found is None or self.rule.is_over(found.value):
                self._end(subject, now)
            else:
                self._go_on(subject, found.value, now)
        breached = {s: one for s, one in current.items() if self.rule.is_breached(one.value)}
        pending: dict[str, float] = {}
        for subject, one in breached.items():
            if subject in self._open:
                continue
            since = self._pending.get(subject, now)
            if now - since >= self.rule.hold and len(self._open) < MAX_OPEN:
                self._begin(subject, one, now, evidence)
            elif len(pending) < MAX_PENDING:
                pending[subject] = since
        self._pending = pending

    def close_all(self, now: float) -> None:
        """End every alert: the rule is switched off or another one now."""
        for subject in list(self._open):
            self._end(subject, now)

    def _begin(self, subject: str, one: Measured, now: float, evidence: Evidence) -> None:
        rule = self.rule
        sentence = sentence_of(rule, subject, one.value, one.facts)
        rows = evidence(one.keys)
        facts = (rule.name, subject, rule.severity, one.keys, now, None, one.value, sentence, rows)
        alert = Alert(0, *facts, None, None, None)
        alert = alert._replace(id=self._store.open_alert(alert))
        self._open[subject] = _Open(alert, now)
        self._tell(rule, alert)

    def _go_on(self, subject: str, value: float, now: float) -> None:
        alert, written_at = self._open[subject]
        worse = min if self.rule.condition == "below" else max
        alert = alert._replace(peak=worse(alert.peak, value))
        if now - written_at >= _PEAK_SECONDS:
            self._store.update_alert(alert.id, alert.peak, None)
            written_at = now
        self._open[subject] = _Open(alert, written_at)

    def _end(self, subject: str, now: float) -> None:
        alert = self._open[subject].alert._replace(ended=now)
        self._store.update_alert(alert.id, alert.peak, now)
        del self._open[subject]
        self._tell(self.rule, alert)


def subject_of(rule: Rule, keys: Sequence[int]) -> str:
    """Return a group as text: an address, an interface as address and ifIndex, or a number."""
    columns = GROUPS[rule.by]
    texts = []
    place = 0
    while place < len(columns):
        if columns[place].endswith("_hi"):
            texts.append(address_text(int(keys[place]), int(keys[place + 1])))
            place += 2
        else:
            texts.append(str(int(keys[place])))
            place += 1
    return "/".join(texts)


def keys_of(rule: Rule, subject: str) -> tuple[int, ...]:
    """Return the numbers of a group from its text: what `subject_of` turns around."""
    texts = iter(subject.split("/"))
    keys: list[int] = []
    for column in GROUPS[rule.by]:
        if column.endswith("_hi"):
            keys += address_halves(next(texts))
        elif not column.endswith("_lo"):
            keys.append(int(next(texts)))
    return tuple(keys)


def sentence_of(rule: Rule, subject: str, value: float, facts: str = "") -> str:
    """Return what is the matter."""
    whose = f"{rule.by.replace('_', ' ')} {subject}" if rule.by else "all together"
    limit, number = short_number(rule.limit), short_number(value)
    if rule.condition in BASELINES:
        direction = rule.condition.removesuffix("_baseline")
        return f"{rule.name}: {whose}: {facts}, {number} deviations {direction} (limit {limit})"
    unit = "% of its speed" if rule.condition == "utilisation" else UNITS[rule.measure]
    side = "below" if rule.condition == "below" else "limit"
    told = f", {facts}" if facts else ""
    return f"{rule.name}: {whose}: {number} {unit} ({side} {limit}){told}"
