"""When a rule would have been in alert, by what is stored: before it is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.interface_history import interface_history
from appliance.plugins.alerts.rules import Rule, RuleError
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.query.question import MAX_BINS, MAX_SERIES, Question, SeriesAnswer

MOST_QUESTIONS = 8
"""So many series one test asks for; a longer range has longer steps."""

_SUMS = {"bps": ("octets", 8), "pps": ("packets", 1), "fps": ("flows", 1), "share": ("octets", 1)}


class PastAlert(NamedTuple):
    """A time at which a rule would have been in alert; seconds UTC.

    Attributes
    ----------
    facts
        What the peak was compared with, of conditions that need history.
    """

    subject: str
    began: float
    ended: float
    peak: float
    facts: str


class RuleTest(NamedTuple):
    """What a rule would have done.

    Attributes
    ----------
    step
        Seconds: the rule was tried on means over as many.
    complete_from
        Before, no flows are stored.
    problem
        What could not be tried, and why; empty when everything was.
    """

    alerts: Sequence[PastAlert]
    step: int
    complete_from: float
    problem: str = ""


@dataclass(slots=True)
class PastSeries:
    """Means of groups over steps.

    Attributes
    ----------
    starts
        Of the steps that are complete, seconds UTC, in order.
    cut
        Those of them in which there were more groups than were answered.
    rates
        By group and start; what is not there had nothing, or was cut.
    """

    step: int
    complete_from: float
    starts: list[int] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    rates: dict[str, dict[int, float]] = field(default_factory=dict)


def try_rule(rule: Rule, since: float, until: float, flows: VisibleFlows, now: float) -> RuleTest:
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
            f"a rule about {rule.measure} cannot be tried on the past, only bps, pps, fps and share"
        )
    if rule.needs_history:
        from appliance.plugins.alerts.past_baselines import try_with_history

        return try_with_history(rule, since, until, flows, now)
    n_bins = (MAX_BINS - 1) * MOST_QUESTIONS
    step = max(rule.window, int(-(-(until - since) // n_bins)))
    series = past_series(rule, step, (since, until), flows, now)
    scale = _limits(rule, flows)
    alerts = [
        alert
        for subject, bins in series.rates.items()
        for alert in runs(rule, subject, {at: v * scale(subject) for at, v in bins.items()}, step)
    ]
    return RuleTest(sorted(alerts, key=lambda one: one.began), step, series.complete_from)


def past_series(
    rule: Rule, step: int, span: tuple[float, float], flows: VisibleFlows, now: float
) -> PastSeries:
    """Return what a rule measures over a span of the past, in the unit of the measure."""
    engine = flows.engine()
    conditions = flows.rule_conditions(rule.filter)
    dimensions = (rule.by,) if rule.by else ()
    series = PastSeries(step, span[0])
    for start, end in _parts(*span, step * (MAX_BINS - 1)):
        question = Question(
            dimensions, (), series_order(rule), conditions,
            int(start * 1000), int(end * 1000), step * 1000, MAX_SERIES,
        )  # fmt: skip
        answer = engine.series(question, int(now * 1000))
        answer.provenance.check_complete("the test of a rule")
        rates = group_rates(answer, rate_factor(rule) / step)
        if rule.measure == "share":
            every = Question((), (), "octets", (), *_range_of(question), step * 1000, 1)
            totals = group_rates(engine.series(every, int(now * 1000)), 1 / step).get("", {})
            rates = {name: _shares(bins, totals) for name, bins in rates.items()}
        _add_part(series, answer, rates, is_cut=len(rates) >= MAX_SERIES)
        series.complete_from = max(series.complete_from, min(answer.complete_from_ms / 1000, end))
    return series


def series_order(rule: Rule) -> str:
    """Return which sum a rule measures."""
    return _SUMS[rule.measure][0]


def rate_factor(rule: Rule) -> int:
    """Return what a sum a second is multiplied by."""
    return _SUMS[rule.measure][1]


def group_rates(answer: SeriesAnswer, scale: float) -> dict[str, dict[int, float]]:
    """Return the complete bins of each group by their start in seconds, scaled."""
    rates = {}
    for row in answer.rows:
        if row.is_other:
            continue
        keys = [str(v) for n, v in row.keys.items() if not n.endswith(("_name", "_description"))]
        bins = zip(answer.starts_ms, row.values, strict=True)
        rates["/".join(keys)] = {
            start // 1000: value * scale for start, value in bins if answer.is_complete(start)
        }
    return rates


def runs(
    rule: Rule,
    subject: str,
    bins: Mapping[int, float],
    step: int,
    facts_at: Callable[[str, int], str] = lambda _subject, _at: "",
) -> Iterator[PastAlert]:
    """Yield the times in which the bins of a group are in alert."""
    began: int | None = None
    since: int | None = None
    peak_at = 0
    worse = min if rule.condition == "below" else max

    def alert(began: int, ended: int) -> PastAlert:
        return PastAlert(subject, began, ended, bins[peak_at], facts_at(subject, peak_at))

    for start in sorted(bins):
        value = bins[start]
        if began is None:
            since = (start if since is None else since) if rule.is_breached(value) else None
            if since is not None and start + step - since >= rule.hold:
                began, peak_at = since, start
        elif rule.is_over(value):
            yield alert(began, start)
            began = since = None
        else:
            peak_at = worse(peak_at, start, key=bins.__getitem__)
    if began is not None:
        yield alert(began, max(bins) + step)


def _add_part(
    series: PastSeries, answer: SeriesAnswer, rates: Mapping[str, dict[int, float]], is_cut: bool
) -> None:
    starts = [start // 1000 for start in answer.starts_ms if answer.is_complete(start)]
    series.starts += [start for start in starts if start > (series.starts or [-1])[-1]]
    series.cut |= set(starts) if is_cut else set()
    for subject, bins in rates.items():
        series.rates.setdefault(subject, {}).update(bins)


def _parts(since: float, until: float, seconds: float) -> Iterator[tuple[float, float]]:
    while since < until:
        yield since, min(since + seconds, until)
        since += seconds


def _range_of(question: Question) -> tuple[int, int]:
    return question.since_ms, question.until_ms


def _shares(bins: Mapping[int, float], totals: Mapping[int, float]) -> dict[int, float]:
    return {at: 100 * value / max(totals.get(at, 0.0), value, 1e-9) for at, value in bins.items()}


def _limits(rule: Rule, flows: VisibleFlows) -> Callable[[str], float]:
    """Return what gives the factor from a rate to the unit of the limit, by group."""
    if rule.condition != "utilisation":
        return lambda _: 1.0
    known = interface_history(flows.settings).interfaces_with_speed()
    speeds: Mapping[str, int] = {f"{one.exporter}/{one.number}": one.speed for one in known}
    return lambda subject: 100 / speeds[subject] if subject in speeds else 0.0
