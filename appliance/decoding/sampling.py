"""The sampling rate of each record of a group, from whatever its exporter told.

The first that says something counts: the record itself, its sampler or selector, its interface, its
observation domain, the exporter, the setting for the exporter, the default. 0: not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.groups import RecordGroup, spread
from appliance.decoding.results import DecodeOptions, Exporter
from appliance.wire.options import SELECTOR_ELEMENTS, Sampling, sampling_rates
from appliance.wire.timeline import Scope

Int = NDArray[np.int64]
Rates = NDArray[np.float64]


@dataclass
class SamplingTimelines:
    """What is known of each exporter's sampling over the course of a block.

    Attributes
    ----------
    known
        For each exporter, (order, value) pairs; a value holds for Sets of that order and later.
    """

    options: DecodeOptions
    known: dict[Exporter, list[tuple[int, Sampling]]] = field(default_factory=dict)

    def current(self, exporter: Exporter) -> Sampling:
        """Return the newest value."""
        return self.known[exporter][-1][1]

    def fallback(self, exporter: Exporter) -> float:
        """Return the rate from the settings."""
        return self.options.rates.get(exporter, self.options.default_rate)


@dataclass(frozen=True, slots=True)
class SetContext:
    """For the Sets of a group: their scope's index and their order; shape (n_sets,) each."""

    scopes: Sequence[Scope]
    scope: Int
    order: Int


def record_rates(
    group: RecordGroup, context: SetContext, timelines: SamplingTimelines
) -> Rates | None:
    """Return the rate of each record, shape (n_records,); None when it is known of none."""
    own = sampling_rates(group.plan, group.records)
    rates = _from_exporters(group, context, timelines)
    if own is None or rates is None:
        return rates if own is None else own
    return np.where(own > 0, own, rates)


def boot_times(group: RecordGroup, context: SetContext, timelines: SamplingTimelines) -> Int | None:
    """Return each record's system boot time as options records told it; None when some did not."""
    values, of_set = _values_of_sets(context, timelines)
    found = [sampling.init_ms.get(scope.domain) for sampling, scope in values]
    if not len(of_set) or any(found[i] is None for i in np.unique(of_set).tolist()):
        return None
    times = np.array([time or 0 for time in found], np.int64)
    return spread(times[of_set], group.counts, group.n_records)


_Value = tuple[Sampling, Scope]


def _values_of_sets(
    context: SetContext, timelines: SamplingTimelines
) -> tuple[list[_Value], NDArray[np.intp]]:
    """Return the distinct values that hold for the Sets, and the index of each Set's."""
    values: list[_Value] = []
    numbers, inverse = np.unique(context.scope, return_inverse=True)
    exporters = [context.scopes[number].exporter for number in numbers.tolist()]
    if all(len(timelines.known[exporter]) == 1 for exporter in exporters):
        scopes = (context.scopes[number] for number in numbers.tolist())
        return [(timelines.known[s.exporter][0][1], s) for s in scopes], inverse
    of_set = np.zeros(len(inverse), np.intp)
    for i, number in enumerate(numbers.tolist()):
        scope = context.scopes[number]
        known = timelines.known[scope.exporter]
        rows = inverse == i
        since = np.array([order for order, _ in known])
        of_set[rows] = len(values) + np.searchsorted(since, context.order[rows], "right") - 1
        values += [(sampling, scope) for _, sampling in known]
    return values, of_set


def _from_exporters(
    group: RecordGroup, context: SetContext, timelines: SamplingTimelines
) -> Rates | None:
    values, of_set = _values_of_sets(context, timelines)
    base = np.array([sampling.base_rate(scope.domain) for sampling, scope in values])
    fallback = np.array([timelines.fallback(scope.exporter) for _, scope in values])
    finer = [i for i, (s, _) in enumerate(values) if s.by_selector or s.by_interface]
    if not finer:
        rate = np.where(base > 0, base, fallback)
        return spread(rate[of_set], group.counts, group.n_records) if rate.any() else None
    of_record = np.repeat(of_set, group.counts)
    rates = base[of_record]
    for i in finer:
        rows = np.flatnonzero(of_record == i)
        for element, lookup in _lookups(*values[i]):
            _fill(group, (rows, rates), element, lookup)
    return np.where(rates > 0, rates, fallback[of_record])


_Lookup = Callable[[int], float]


def _lookups(sampling: Sampling, scope: Scope) -> list[tuple[int, _Lookup]]:
    """Return elements and how to look them up, the most wanted last."""

    def by_interface(number: int) -> float:
        return sampling.by_interface.get((scope.domain, number), 0.0)

    def by_selector(number: int) -> float:
        return sampling.selector(scope.domain, number)

    interfaces = [(e, by_interface) for e in (14, 10)] if sampling.by_interface else []
    selectors = [(e, by_selector) for e in SELECTOR_ELEMENTS] if sampling.by_selector else []
    return [*interfaces, *selectors]


def _fill(
    group: RecordGroup, target: tuple[NDArray[np.intp], Rates], element: int, lookup: _Lookup
) -> None:
    """Look an element of these records up; what is not found keeps its rate."""
    rows, rates = target
    numbers = group.unsigned(element)
    if numbers is None or not len(rows):
        return
    distinct, inverse = np.unique(numbers[rows], return_inverse=True)
    found = np.array([lookup(number) for number in distinct.tolist()])[inverse]
    rates[rows] = np.where(found > 0, found, rates[rows])
