"""The sampling rate of each record of a group, from whatever its exporter told.

The first that says something counts: the record itself, its sampler or selector, its interface, its
observation domain, another domain of its session, the setting for the exporter, the default. 0: not
known.

Elements of IANA: 34, 35, 48-50, 302, 304-306, 309-311 (packets), 396 and 397 (flows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup, spread
from appliance.decoding.results import DecodeOptions, Exporter
from appliance.decoding.sampling.knowledge import Learning, Subject
from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.decoding.templates.timeline import Session, SessionDomain

Int = NDArray[np.int64]
Rates = NDArray[np.float64]

NOT_TOLD = -1
"""Stands for the boot time of a record whose exporter told none."""

_RATE_ELEMENTS = frozenset((34, 50, 305, 306, 309, 310, 311, 396, 397))
SELECTOR_ELEMENTS = (48, 302)
_LOW = (1 << 64) - 1

_FINER = (("interface", (14, 10)), ("selector", SELECTOR_ELEMENTS))
"""What is sampled by itself, the most wanted last, with the elements that name it in a flow."""


@dataclass
class SamplingTimelines:
    """What sessions told over the course of a block; moments are orders of Sets."""

    options: DecodeOptions
    learning: dict[Session, Learning] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of which any session told; to be read when all is learned."""
        return frozenset().union(*(learning.kinds for learning in self.learning.values()))

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

    scopes: Sequence[SessionDomain]
    scope: Int
    order: Int
    turn: Int


@dataclass(frozen=True, slots=True)
class Moments:
    """At which moments some Sets are to be looked up, as few as will do.

    Attributes
    ----------
    pairs
        Distinct (scope, moment) pairs.
    rates
        float64, shape (n_pairs,): the sampling rate of each domain then, or of the settings.
    boot_ms
        int64, shape (n_pairs,): boot times, `NOT_TOLD` where none is known; None: of none.
    exporters
        uint64, shape (n_pairs,) each: halves of the addresses that the domains are of, 0 where
        options records name none; None: of none.
    of_set
        shape (n_sets,): index of each Set's pair.
    """

    pairs: list[tuple[SessionDomain, int]]
    rates: Rates
    boot_ms: Int | None
    exporters: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None
    of_set: NDArray[np.intp]

    def of_sets(self, sets: slice) -> Moments:
        """Return those of some of the Sets."""
        of_set = self.of_set[sets]
        return Moments(self.pairs, self.rates, self.boot_ms, self.exporters, of_set)


def sampling_rates(plan: DecodePlan, records: Records) -> NDArray[np.float64] | None:
    """Read the sampling rate that each record itself carries.

    Returns
    -------
    NDArray[float64] or None
        shape (n_records,), 0 where a record says nothing usable; None when the layout has no such
        element.

    Notes
    -----
    Counted in packets: one of `samplingInterval` or `samplerRandomInterval`;
    (interval + space) / interval (RFC 5477 section 8.2); population / size; 1 / probability.
    Counted in flows (396, 397): spacing / interval, since exporters that select one flow in N
    write N as the spacing; RFC 7014 would have N - 1.
    """
    index = plan.first_index
    if plan.elements.isdisjoint(_RATE_ELEMENTS):
        return None

    def number(element: int) -> NDArray[np.float64] | None:
        at = index.get((0, element))
        return None if at is None else records.unsigned(at).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for element in (34, 50):
            rate = number(element)
            if rate is not None:
                return _repair_byte_order(rate)
        interval, space = number(305), number(306)
        if interval is not None:
            return _without_unusable(interval if space is None else (interval + space) / interval)
        size, population = number(309), number(310)
        if size is not None and population is not None:
            return _without_unusable(population / size)
        if (0, 311) in index:
            return _without_unusable(1.0 / records.floating(index[0, 311]))
        interval, spacing = number(396), number(397)
        if interval is not None:
            return _without_unusable(interval if spacing is None else spacing / interval)
    return None


def _repair_byte_order(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo RouterOS 6, which sends the interval of four octets in the wrong byte order."""
    swapped = (rate >= 1 << 24) & (rate < 1 << 32) & (rate % (1 << 16) == 0)
    if swapped.any():
        rate[swapped] = rate[swapped].astype(np.uint32).byteswap()
    return rate


def _without_unusable(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(rate) & (rate >= 1), rate, 0.0)


def record_rates(
    group: RecordGroup, moments: Moments, timelines: SamplingTimelines
) -> tuple[Rates | None, NDArray[np.bool_] | None]:
    """Return the rate of each record, and whether it told that itself.

    Returns
    -------
    NDArray[float64] or None, NDArray[bool] or None
        shape (n_records,) each; None where it is known of none, and where none told it.
    """
    own = sampling_rates(group.plan, group.records)
    if own is not None and own.all():
        return own, np.broadcast_to(np.True_, own.shape)
    rates = _from_exporters(group, moments, timelines)
    if own is None:
        return rates, None
    return own if rates is None else np.where(own > 0, own, rates), own > 0


def boot_times(group: RecordGroup, moments: Moments) -> Int | None:
    """Return each record's boot time as options records told it, `NOT_TOLD` where they did not.

    None stands for an array of `NOT_TOLD` only.
    """
    if moments.boot_ms is None:
        return None
    return spread(moments.boot_ms[moments.of_set], group.counts, group.n_records)


def set_moments(context: SetContext, timelines: SamplingTimelines) -> Moments:
    """Return at which moments the Sets of a section are to be looked up."""
    changes = [bool(timelines.learning[scope.session].moments) for scope in context.scopes]
    # Where nothing was learned in the block, any moment tells the same.
    order = np.where(np.array(changes, np.bool_)[context.scope], context.order, 0)
    numbers, of_number = _distinct(context.scope)
    orders, of_order = _distinct(order)
    places, of_set = _distinct(of_number * len(orders) + of_order)
    pairs = [
        (context.scopes[numbers[place // len(orders)]], orders[place % len(orders)])
        for place in places
    ]
    rates = [_domain_rate(timelines, scope, moment) for scope, moment in pairs]
    boots, exporters = _boot_times(pairs, timelines), _exporters(pairs, timelines)
    return Moments(pairs, np.array(rates, np.float64), boots, exporters, of_set)


def _distinct(values: Int) -> tuple[list[int], NDArray[np.intp]]:
    """Return the distinct values, ascending, and the place of each value among them."""
    if len(values) and (values == values[0]).all():
        return values[:1].tolist(), np.zeros(len(values), np.intp)
    distinct, places = np.unique(values, return_inverse=True)
    return distinct.tolist(), places


def _domain_rate(timelines: SamplingTimelines, scope: SessionDomain, moment: int) -> float:
    rate = timelines.learning[scope.session].value(Subject("domain", scope.domain), moment) or 0.0
    return rate if rate > 0 else timelines.fallback(scope.exporter)


def _boot_times(pairs: list[tuple[SessionDomain, int]], timelines: SamplingTimelines) -> Int | None:
    if "init" not in timelines.kinds:
        return None
    times = [
        timelines.learning[scope.session].value(Subject("init", scope.domain), moment)
        for scope, moment in pairs
    ]
    return np.array([NOT_TOLD if time is None else int(time) for time in times], np.int64)


def _exporters(
    pairs: list[tuple[SessionDomain, int]], timelines: SamplingTimelines
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    if "exporter" not in timelines.kinds:
        return None
    numbers = [
        int(timelines.learning[scope.session].of_domain("exporter", scope.domain, moment) or 0)
        for scope, moment in pairs
    ]
    hi = np.array([number >> 64 for number in numbers], np.uint64)
    return hi, np.array([number & _LOW for number in numbers], np.uint64)


def _from_exporters(
    group: RecordGroup, moments: Moments, timelines: SamplingTimelines
) -> Rates | None:
    finer = [
        (kind, numbers)
        for kind, elements in _FINER
        if kind in timelines.kinds
        for element in elements
        if (numbers := group.unsigned(element)) is not None
    ]
    of_set = moments.rates[moments.of_set]
    if not finer:
        return spread(of_set, group.counts, group.n_records) if of_set.any() else None
    of_record = np.repeat(moments.of_set, group.counts)
    rates = moments.rates[of_record]
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


def fill_rates(
    rates: Rates, senders: tuple[NDArray[np.uint64], NDArray[np.uint64]], options: DecodeOptions
) -> None:
    """Put what the settings say of an exporter where a rate is 0.

    Parameters
    ----------
    senders
        Halves of the address that each is from, shape (n,).
    """
    if options.rates or options.default_rate:
        unknown = np.flatnonzero(rates == 0)
        exporters = zip(*(half[unknown].tolist() for half in senders), strict=True)
        default = options.default_rate
        rates[unknown] = [options.rates.get(exporter, default) for exporter in exporters]
