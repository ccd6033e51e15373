"""What was measured now, compared with what is usual and who was there before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from appliance.plugins.alerts.baseline_store import AGAIN_SECONDS, BaselineStore, Known
from appliance.plugins.alerts.baselines import HOUR_SECONDS, NEW_GROUPS, Usual, usual_text
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.tracking import Measured, keys_of, subject_of
from appliance.plugins.alerts.windows import GroupValues, places_of

MAX_LOOKED_AT = 1000
"""The largest groups that may be new at a time."""

Keys = tuple[int, ...]


class History:
    """What a rule knows of the weeks before, read again each hour and as it grows."""

    def __init__(self, rule: Rule, store: BaselineStore) -> None:
        self.rule, self._store = rule, store
        self._known: Known | None = None
        self._usual: dict[Keys, Usual] = {}
        self._read_at = 0.0

    def measured(
        self, found: GroupValues, open_keys: Sequence[Keys], now: float, is_whole: bool
    ) -> list[Measured]:
        """Return the groups that may be in alert, the worst first.

        Parameters
        ----------
        is_whole
            The window is full: what it lacks is missing.
        """
        known = self._read(now)
        if self.rule.condition == "new":
            return list(self._new(known, found, open_keys))
        values = self._values(found)
        compared = [self._compared(keys, values.get(keys, 0.0), is_whole) for keys in self._usual]
        return sorted((one for one in compared if one), key=lambda one: -one.value)

    def _read(self, now: float) -> Known:
        is_same_hour = now // HOUR_SECONDS == self._read_at // HOUR_SECONDS
        if self._known is None or not is_same_hour or now >= self._read_at + AGAIN_SECONDS:
            self._known, self._read_at = self._store.known(self.rule, now), now
            usual = self._known.usual.items()
            self._usual = {keys_of(self.rule, subject): one for subject, one in usual}
        return self._known

    def _values(self, found: GroupValues) -> dict[Keys, float]:
        """Return the values of the groups of which something is known."""
        if not self.rule.by:
            return dict.fromkeys([()], float(found.values.sum()))
        places = places_of(found, list(self._usual))
        keys = map(tuple, found.keys[places].tolist())
        return dict(zip(keys, found.values[places].tolist(), strict=True))

    def _compared(self, keys: Keys, value: float, is_whole: bool) -> Measured | None:
        usual, is_above = self._usual[keys], self.rule.condition == "above_baseline"
        matters = value if is_above else usual.median
        if matters < self.rule.least or not (is_above or is_whole):
            return None
        deviations = usual.deviations(value) * (1 if is_above else -1)
        return Measured(keys, deviations, usual_text(self.rule, value, usual))

    def _new(
        self, known: Known, found: GroupValues, open_keys: Sequence[Keys]
    ) -> Iterator[Measured]:
        """Yield the largest groups that were not among the largest, and those in alert."""
        above = np.flatnonzero(found.values >= self.rule.clear_at)
        largest = above[np.argsort(-found.values[above])][:MAX_LOOKED_AT]
        in_alert = frozenset(places_of(found, open_keys).tolist())
        facts = new_text(known.hours)
        for place in dict.fromkeys([*largest.tolist(), *in_alert]):
            keys = found.keys[place].tolist()
            is_new = not known.problem and subject_of(self.rule, keys) not in known.seen
            if is_new or place in in_alert:
                yield Measured(keys, float(found.values[place]), facts)


def new_text(hours: int) -> str:
    """Return what tells that somebody is new."""
    return f"not among the {NEW_GROUPS} largest of any of the {hours} hours known before"
