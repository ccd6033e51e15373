"""When a rule would have been in alert, by what is stored: before it is switched on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from appliance import Settings
from appliance.interface_history import interface_history
from appliance.plugins.alerts.filters import filter_of
from appliance.plugins.alerts.rules import Rule, RuleError
from appliance.query.engine import engine_from_settings
from appliance.query.language.duckdb import filter_conditions
from appliance.query.question import MAX_BINS, MAX_SERIES, Question, SeriesAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_QUESTIONS = 8
"""So many series one test asks for; a longer range has longer steps."""

_SUMS = {"bps": ("octets", 8), "pps": ("packets", 1), "fps": ("flows", 1)}


class PastAlert(NamedTuple):
    """A time at which a rule would have been in alert; seconds UTC."""

    subject: str
    began: float
    ended: float
    peak: float


class RuleTest(NamedTuple):
    """What a rule would have done.

    Attributes
    ----------
    step
        Seconds: the rule was tried on means over as many.
    complete_from
        Before, no flows are stored.
    """

    alerts: Sequence[PastAlert]
    step: int
    complete_from: float


def try_rule(rule: Rule, since: float, until: float, settings: Settings, now: float) -> RuleTest:
    """Try a rule on stored flows.

    Raises
    ------
    RuleError
        It measures what series do not tell.
    QueryError
        The filter is not understood, or a limit was reached.
    """
    if rule.measure not in _SUMS:
        raise RuleError(
            f"a rule about {rule.measure} cannot be tried on the past, only bps, pps, fps"
        )
    order, factor = _SUMS[rule.measure]
    n_bins = (MAX_BINS - 1) * MOST_QUESTIONS
    step = max(rule.window, int(-(-(until - since) // n_bins)))
    conditions = filter_conditions(filter_of(rule.filter, settings))
    engine = engine_from_settings(settings)
    limit_of = _limits(rule, settings)
    series: dict[str, dict[int, float]] = {}
    complete_from = since
    for start, end in _parts(since, until, step * (MAX_BINS - 1)):
        question = Question(
            (rule.by,) if rule.by else (), (), order, conditions,
            int(start * 1000), int(end * 1000), step * 1000, MAX_SERIES,
        )  # fmt: skip
        answer = engine.series(question, int(now * 1000))
        complete_from = max(complete_from, min(answer.complete_from_ms / 1000, end))
        for subject, bins in _rates(answer, factor, step, limit_of):
            series.setdefault(subject, {}).update(bins)
    alerts = [
        alert for subject, bins in series.items() for alert in _runs(rule, subject, bins, step)
    ]
    return RuleTest(sorted(alerts, key=lambda one: one.began), step, complete_from)


def _parts(since: float, until: float, seconds: float) -> Iterator[tuple[float, float]]:
    while since < until:
        yield since, min(since + seconds, until)
        since += seconds


def _limits(rule: Rule, settings: Settings) -> Callable[[str], float]:
    """Return what gives the factor from a rate to the unit of the limit, by group."""
    if rule.condition != "utilisation":
        return lambda _: 1.0
    known = interface_history(settings).interfaces_with_speed()
    speeds: Mapping[str, int] = {f"{one.exporter}/{one.number}": one.speed for one in known}
    return lambda subject: 100 / speeds[subject] if subject in speeds else 0.0


def _rates(
    answer: SeriesAnswer, factor: int, step: int, limit_of: Callable[[str], float]
) -> Iterator[tuple[str, dict[int, float]]]:
    for row in answer.rows:
        if row.is_other:
            continue
        keys = [str(v) for n, v in row.keys.items() if not n.endswith(("_name", "_description"))]
        subject = "/".join(keys)
        scale = factor / step * limit_of(subject)
        starts = [start // 1000 for start in answer.starts_ms]
        whole = [
            (start, value * scale)
            for start, value in zip(starts, row.values, strict=True)
            if answer.complete_from_ms <= start * 1000 < answer.complete_until_ms
        ]
        yield subject, dict(whole)


def _runs(rule: Rule, subject: str, bins: Mapping[int, float], step: int) -> Iterator[PastAlert]:
    """Yield the times in which the bins of a group are in alert."""
    began: int | None = None
    since: int | None = None
    peak = 0.0
    worse = min if rule.condition == "below" else max
    for start in sorted(bins):
        value = bins[start]
        if began is None:
            since = (start if since is None else since) if rule.is_breached(value) else None
            if since is not None and start + step - since >= rule.hold:
                began, peak = since, value
        elif rule.is_over(value):
            yield PastAlert(subject, began, start, peak)
            began = since = None
        else:
            peak = worse(peak, value)
    if began is not None:
        yield PastAlert(subject, began, max(bins) + step, peak)
