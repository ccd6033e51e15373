"""The sampling rate of each record of a group, from whatever its exporter told.

The first that says something counts: the record itself, its sampler or selector, its interface, its
observation domain, another domain of its session, the setting for the exporter, the default. 0: not
known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.groups import RecordGroup, spread
from appliance.decoding.results import DecodeOptions, Exporter
from appliance.wire.options import SELECTOR_ELEMENTS, Learning, Subject, sampling_rates
from appliance.wire.timeline import Scope, Session

Int = NDArray[np.int64]
Rates = NDArray[np.float64]

NOT_TOLD = -1
"""Stands for the boot time of a record whose exporter told none."""

_FINER = (("interface", (14, 10)), ("selector", SELECTOR_ELEMENTS))
"""What is sampled by itself, the most wanted last, with the elements that name it in a flow."""


@dataclass
class SamplingTimelines:
    """What sessions told over the course of a block; moments are orders of Sets."""

    options: DecodeOptions
    learning: dict[Session, Learning] = field(default_factory=dict)

    def fallback(self, exporter: Exporter) -> float:
        """Return the rate from the settings."""
        return self.options.rates.get(exporter, self.options.default_rate)


@dataclass(frozen=True, slots=True)
class SetContext:
    """For the Sets of a group, shape (n_sets,) each.

    Attributes
    ----------
    scope
        Index of the Set's scope in `scopes`.
    order
        When it takes effect (see `Assignment.order`).
    turn
        When it arrived; decides among Sets of one order.
    """

    scopes: Sequence[Scope]
    scope: Int
    order: Int
    turn: Int


@dataclass(frozen=True, slots=True)
class Moments:
    """The distinct (scope, moment) pairs of a group's Sets, and the number of each Set's pair."""

    pairs: list[tuple[Scope, int]]
    of_set: NDArray[np.intp]


def record_rates(
    group: RecordGroup, context: SetContext, timelines: SamplingTimelines
) -> Rates | None:
    """Return the rate of each record, shape (n_records,); None when it is known of none."""
    own = sampling_rates(group.plan, group.records)
    if own is not None and own.all():
        return own
    rates = _from_exporters(group, context, timelines)
    if own is None or rates is None:
        return rates if own is None else own
    return np.where(own > 0, own, rates)


def boot_times(group: RecordGroup, context: SetContext, timelines: SamplingTimelines) -> Int | None:
    """Return each record's boot time as options records told it, `NOT_TOLD` where they did not.

    None stands for an array of `NOT_TOLD` only.
    """
    if not any(learning.has("init") for learning in timelines.learning.values()):
        return None
    moments = record_moments(context, timelines)
    found = [
        timelines.learning[scope.session].value(Subject("init", scope.domain), moment)
        for scope, moment in moments.pairs
    ]
    times = np.array([NOT_TOLD if time is None else int(time) for time in found], np.int64)
    return spread(times[moments.of_set], group.counts, group.n_records)


def record_moments(context: SetContext, timelines: SamplingTimelines) -> Moments:
    """Return at which moments the records of a group are to be looked up, as few as will do."""
    numbers, inverse = np.unique(context.scope, return_inverse=True)
    scopes = [context.scopes[number] for number in numbers.tolist()]
    changes = [timelines.learning[scope.session].moments for scope in scopes]
    if not any(changes):
        return Moments([(scope, 0) for scope in scopes], inverse)
    orders, of_order = np.unique(context.order, return_inverse=True)
    pairs, of_set = np.unique(inverse * len(orders) + of_order, return_inverse=True)
    found = [(scopes[p // len(orders)], int(orders[p % len(orders)])) for p in pairs.tolist()]
    return Moments(found, of_set)


def _from_exporters(
    group: RecordGroup, context: SetContext, timelines: SamplingTimelines
) -> Rates | None:
    moments = record_moments(context, timelines)
    fallback = np.array([timelines.fallback(scope.exporter) for scope, _ in moments.pairs])
    told = [
        timelines.learning[scope.session].value(Subject("domain", scope.domain), moment)
        for scope, moment in moments.pairs
    ]
    base = np.array([rate or 0.0 for rate in told])
    base = np.where(base > 0, base, fallback)
    sessions = {scope.session for scope, _ in moments.pairs}
    finer = [
        (kind, numbers)
        for kind, elements in _FINER
        for element in elements
        if (numbers := group.unsigned(element)) is not None
        and any(timelines.learning[session].has(kind) for session in sessions)
    ]
    if not finer:
        known = base.any()
        return spread(base[moments.of_set], group.counts, group.n_records) if known else None
    of_record = np.repeat(moments.of_set, group.counts)
    rates = base[of_record]
    for kind, numbers in finer:
        distinct, inverse = np.unique(numbers, return_inverse=True)
        pairs, of_pair = np.unique(of_record * len(distinct) + inverse, return_inverse=True)
        found = np.zeros(len(pairs))
        for i, pair in enumerate(pairs.tolist()):
            scope, moment = moments.pairs[pair // len(distinct)]
            subject = Subject(kind, scope.domain, int(distinct[pair % len(distinct)]))
            found[i] = timelines.learning[scope.session].value(subject, moment) or 0.0
        rates = np.where(found[of_pair] > 0, found[of_pair], rates)
    return rates
