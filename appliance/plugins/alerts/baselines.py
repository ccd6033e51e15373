"""What is usual: median and MAD of the same hour of the week in the four weeks before.

Of each hour the means of the largest groups are kept, and of those four hours a baseline is made.
Nothing here asks anybody: `baseline_keeper` does, `baseline_store` keeps.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

import numpy as np

from appliance.flows import AnyArray
from appliance.plugins.alerts.rules import UNITS, Rule, short_number

WEEKS = 4
LEAST_WEEKS = 2
"""Of one week nobody knows what is usual."""

HOUR_SECONDS = 3600
WEEK_SECONDS = 7 * 86_400
BASELINE_GROUPS = 100
"""The largest groups of an hour that are kept."""

NEW_GROUPS = 10
"""Who was among as many of an hour is not new."""

NEW_LEAST_HOURS = 24
"""Before so many are known, everybody would be new."""

STEPS_SECONDS = (60, 300, 900, HOUR_SECONDS)
_MAD_TO_DEVIATION = 1.4826
"""Of normally distributed values the standard deviation is so many times the MAD."""

_LEAST_SHARE, _LEAST_DEVIATION = 0.1, 1.0
"""A deviation is a tenth of the median at least: where all weeks are alike, little is no alert."""


class KeptHour(NamedTuple):
    """The largest groups of an hour.

    Attributes
    ----------
    hour
        Its beginning, seconds UTC.
    is_cut
        There were more groups; otherwise one that is not there had nothing.
    values
        float32, shape (n_groups, n_bins): means over the bins that are complete.
    """

    hour: int
    is_cut: bool
    subjects: Sequence[str]
    values: AnyArray


class Usual(NamedTuple):
    """What is usual of one group at an hour of the week, in the unit of the measure."""

    median: float
    mad: float
    weeks: int

    def deviations(self, value: float) -> float:
        """Return how many deviations a value is above the median."""
        least = max(self.median * _LEAST_SHARE, _LEAST_DEVIATION)
        return (value - self.median) / max(self.mad * _MAD_TO_DEVIATION, least)


def hours_before(hour: int, zone: tzinfo) -> list[int]:
    """Return the same hour of the four weeks before, by the clock on the wall."""
    local = datetime.fromtimestamp(hour, zone)
    weeks = (local - timedelta(weeks=number) for number in range(1, WEEKS + 1))
    return [int(one.timestamp()) // HOUR_SECONDS * HOUR_SECONDS for one in weeks]


def step_seconds(rule: Rule) -> int:
    """Return the length of the means that a rule is compared with."""
    if rule.condition == "new":
        return HOUR_SECONDS
    return next(step for step in STEPS_SECONDS if step >= rule.window)


def baseline_key(rule: Rule, bound_to: str | None = None) -> str:
    """Return what rules have in common that can use the same hours.

    Parameters
    ----------
    bound_to
        The filter that limits the hours, of a user's rule.
    """
    facts = [rule.filter, rule.measure, rule.by, step_seconds(rule), rule.condition == "new"]
    facts += [] if bound_to is None else [bound_to]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def usual_values(hours: Sequence[KeptHour], subjects: Sequence[str] = ()) -> dict[str, Usual]:
    """Return what is usual of each group that is known of enough weeks.

    Parameters
    ----------
    hours
        The same hour of several weeks.
    subjects
        Groups that are there even without flows.
    """
    hours = [one for one in hours if one.values.shape[1]]
    names = list(dict.fromkeys([*subjects, *(name for one in hours for name in one.subjects)]))
    if len(hours) < LEAST_WEEKS or not names:
        return {}
    values = np.concatenate([_filled(one, names) for one in hours], axis=1)
    weeks = np.sum([_is_known(one, names) for one in hours], axis=0)
    medians, mads = median_and_mad(values)
    figures = zip(names, medians.tolist(), mads.tolist(), weeks.tolist(), strict=True)
    return {name: Usual(*figure) for name, *figure in figures if figure[2] >= LEAST_WEEKS}


def median_and_mad(values: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return both of each row; NaN are values that are not known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value
        medians = np.nanmedian(values, axis=1)
        return medians, np.nanmedian(np.abs(values - medians[:, None]), axis=1)


def usual_text(rule: Rule, value: float, usual: Usual) -> str:
    """Return what a group has, and what is usual."""
    number, median, mad = map(short_number, (value, usual.median, usual.mad))
    return (
        f"{number} {UNITS[rule.measure]}; usual at this hour of the week are {median}"
        f" (median of {usual.weeks} weeks, MAD {mad})"
    )


def _is_known(one: KeptHour, names: Sequence[str]) -> AnyArray:
    own = set(one.subjects)
    return np.array([not one.is_cut or name in own for name in names])


def _filled(one: KeptHour, names: Sequence[str]) -> AnyArray:
    """Return an hour with a row for each name: zeros, or NaN where it may have been cut."""
    rest = np.nan if one.is_cut else 0.0
    values = np.full((len(names), one.values.shape[1]), rest, np.float64)
    places: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    if one.subjects:
        values[[places[name] for name in one.subjects]] = one.values
    return values
