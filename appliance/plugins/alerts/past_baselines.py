"""When a rule that compares with the weeks before would have been in alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

import numpy as np

from appliance.flows import AnyArray
from appliance.plugins.alerts.baselines import (
    HOUR_SECONDS,
    LEAST_WEEKS,
    NEW_GROUPS,
    NEW_LEAST_HOURS,
    STEPS_SECONDS,
    WEEK_SECONDS,
    WEEKS,
    Usual,
    hours_before,
    median_and_mad,
    step_seconds,
    usual_text,
)
from appliance.plugins.alerts.comparing import new_text
from appliance.plugins.alerts.history import (
    MOST_QUESTIONS,
    PastAlert,
    PastSeries,
    RuleTest,
    past_series,
    runs,
)
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.query.question import MAX_BINS
from appliance.web.times import local_zone


def try_with_history(
    rule: Rule, since: float, until: float, flows: VisibleFlows, now: float
) -> RuleTest:
    """Try a rule on stored flows; see `history.try_rule`."""
    step = _step(rule, until - since)
    first = since // step * step
    span = (first - WEEKS * WEEK_SECONDS - HOUR_SECONDS, until)
    series = past_series(rule, step, span, flows, now)
    compare = _compare_new if rule.condition == "new" else _Comparison(rule, flows).compare
    alerts, n_hours, n_known = compare(rule, series, int(first))
    problem = ""
    if n_known < n_hours:
        problem = f"no baseline for {n_hours - n_known} of {n_hours} hours: too little history"
    alerts.sort(key=lambda one: one.began)
    return RuleTest(alerts, step, series.complete_from, problem)


_Compared = tuple[list[PastAlert], int, int]
"""The alerts, how many hours were looked at, and of how many there is a baseline."""


class _Comparison:
    """Each hour against the same hour of the weeks before it."""

    def __init__(self, rule: Rule, flows: VisibleFlows) -> None:
        self.rule = rule
        self._zone: tzinfo = local_zone(flows.settings["timezone"])
        self._usual: dict[tuple[str, int], tuple[float, Usual]] = {}

    def compare(self, rule: Rule, series: PastSeries, first: int) -> _Compared:
        subjects = sorted(series.rates) if rule.by else [""]
        matrix = _matrix(series, subjects)
        places = {start: place for place, start in enumerate(series.starts)}
        tried = [start for start in series.starts if start >= first]
        bins: dict[str, dict[int, float]] = {subject: {} for subject in subjects}
        hours: dict[int, list[int]] = {}
        for start in tried:
            hours.setdefault(start // HOUR_SECONDS * HOUR_SECONDS, []).append(start)
        n_known = 0
        for hour, starts in hours.items():
            weeks = [_hour_places(series.step, places, at) for at in self._weeks(hour)]
            weeks = [week for week in weeks if week]
            if len(weeks) < LEAST_WEEKS:
                continue
            n_known += 1
            now = matrix[:, [places[start] for start in starts]]
            self._add_hour(bins, subjects, (starts, now), [matrix[:, week] for week in weeks])
        found = (runs(rule, name, own, series.step, self._facts) for name, own in bins.items())
        return [alert for alerts in found for alert in alerts], len(hours), n_known

    def _weeks(self, hour: int) -> list[int]:
        return hours_before(hour, self._zone)

    def _add_hour(
        self,
        bins: dict[str, dict[int, float]],
        subjects: list[str],
        now: tuple[list[int], AnyArray],
        weeks: list[AnyArray],
    ) -> None:
        medians, mads = median_and_mad(np.concatenate(weeks, axis=1))
        n_weeks = np.sum([np.isfinite(week).any(axis=1) for week in weeks], axis=0)
        sign = 1 if self.rule.condition == "above_baseline" else -1
        for row in np.flatnonzero(n_weeks >= LEAST_WEEKS).tolist():
            usual = Usual(float(medians[row]), float(mads[row]), int(n_weeks[row]))
            for start, value in zip(now[0], now[1][row].tolist(), strict=True):
                matters = value if sign > 0 else usual.median
                # What was cut had little; it ends an alert.
                is_little = np.isnan(value) or matters < self.rule.least
                deviations = 0.0 if is_little else sign * usual.deviations(value)
                bins[subjects[row]][start] = deviations
                if deviations >= self.rule.limit:
                    self._usual[subjects[row], start] = (value, usual)

    def _facts(self, subject: str, at: int) -> str:
        return usual_text(self.rule, *self._usual[subject, at])


def _compare_new(rule: Rule, series: PastSeries, first: int) -> _Compared:
    """Look for groups that are large and were not among the largest of an hour before."""
    subjects = sorted(series.rates)
    matrix = np.nan_to_num(_matrix(series, subjects))
    hours = np.array(series.starts, np.int64) // HOUR_SECONDS
    known, edges = np.unique(hours, return_index=True)
    sums = np.add.reduceat(matrix, edges, axis=1) if len(edges) and subjects else matrix[:, :0]
    n_known = np.minimum(np.arange(len(known)), WEEKS * 7 * 24)
    is_tried = known >= first // HOUR_SECONDS
    is_enough = n_known >= NEW_LEAST_HOURS
    alerts: list[PastAlert] = []
    if subjects and len(known):
        seen, places = _last_seen(sums, known), np.searchsorted(known, hours)

        def facts_at(_subject: str, at: int) -> str:
            return new_text(int(n_known[np.searchsorted(known, at // HOUR_SECONDS)]))

        for row, subject in enumerate(subjects):
            gap = hours - seen[row, places]
            is_new = (gap > WEEKS * 7 * 24) & is_enough[places] & is_tried[places]
            own = _while_new(rule, series.starts, matrix[row], is_new)
            alerts += runs(rule, subject, own, series.step, facts_at)
    return alerts, int(is_tried.sum()), int((is_tried & is_enough).sum())


def _last_seen(sums: AnyArray, hours: AnyArray) -> AnyArray:
    """Return, for each group and hour, the last hour before in which it was among the largest."""
    largest = np.argsort(-sums, axis=0)[:NEW_GROUPS]
    seen = np.full((sums.shape[0], sums.shape[1] + 1), -(2**40), np.int64)
    for place in range(sums.shape[1]):
        rows = largest[:, place][sums[largest[:, place], place] > 0]
        seen[:, place + 1] = seen[:, place]
        seen[rows, place + 1] = hours[place]
    return seen[:, :-1]


def _while_new(
    rule: Rule, starts: list[int], values: AnyArray, is_new: AnyArray
) -> dict[int, float]:
    """Return values, and zero where a group is not new; it stays new while it is in alert."""
    own: dict[int, float] = {}
    goes_on = False
    for start, value, new in zip(starts, values.tolist(), is_new.tolist(), strict=True):
        goes_on = (new and rule.is_breached(value)) or (goes_on and not rule.is_over(value))
        own[start] = value if new or goes_on else 0.0
    return own


def _matrix(series: PastSeries, subjects: list[str]) -> AnyArray:
    """Return the means of each group: zeros where there was nothing, NaN where it was cut."""
    empty = [np.nan if start in series.cut else 0.0 for start in series.starts]
    matrix = np.tile(np.array(empty, np.float64), (len(subjects), 1))
    for row, subject in enumerate(subjects):
        bins: Mapping[int, float] = series.rates.get(subject, {})
        matrix[row] = [
            bins.get(start, rest) for start, rest in zip(series.starts, empty, strict=True)
        ]
    return matrix


def _hour_places(step: int, places: Mapping[int, int], hour: int) -> list[int]:
    starts = range(hour, hour + HOUR_SECONDS, step)
    return [places[start] for start in starts if start in places]


def _step(rule: Rule, seconds: float) -> int:
    """Return the length of the means: that of the rule, or what the range is short enough for."""
    n_bins = (MAX_BINS - 1) * MOST_QUESTIONS
    least = max(step_seconds(rule) if rule.condition != "new" else 300, rule.window)
    whole = seconds + WEEKS * WEEK_SECONDS + HOUR_SECONDS
    fitting = [step for step in STEPS_SECONDS if step >= least and whole / step <= n_bins]
    return fitting[0] if fitting else HOUR_SECONDS
