"""Do the flows tell the truth? Octets by flows beside the counters of each interface.

Both are put into bins of five minutes: a flow by the time that it lasted, as in every series,
counters by `counter_bins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance import Settings
from appliance.collector.exporter_rows import ASSUMED, exporter_rows, mapping
from appliance.collector.exporter_rows import number as status_number
from appliance.collector.status import STATUS_FILE, read_status
from appliance.flowlog.conditions import Condition
from appliance.interface_history import InterfaceNames, interface_history
from appliance.plugins.names.snmp.counter_bins import (
    STEP_MS,
    ExporterCounters,
    Floats,
    counted_octets,
    exporter_counters,
)
from appliance.plugins.names.snmp.reasons import MIN_OCTETS, Facts, Reason, likely_reason
from appliance.query.engine import QueryEngine, engine_from_settings
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import MAX_SERIES, Method, Provenance, Question, SeriesAnswer

DIRECTIONS = ("in", "out")
NO_NAMES = InterfaceNames("", (), (), 0)
NOT_READ = "no counters of this time: SNMP read none, and the exporter sent none"
_DIMENSIONS = {"in": "ingress_interface", "out": "egress_interface"}


class Range(NamedTuple):
    """Whole bins, milliseconds UTC, half open."""

    since_ms: int
    until_ms: int

    @property
    def starts_ms(self) -> NDArray[np.int64]:
        """The start of each bin."""
        return np.arange(self.since_ms, self.until_ms, STEP_MS, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class DirectionTruth:
    """One direction of an interface.

    Attributes
    ----------
    flow_octets, counter_octets
        float64, shape (n_bins,); counters are NaN where there are none.
    total_flow_octets, total_counter_octets
        Over the bins with both.
    ratio
        Flows to counters; None where there is too little of either.
    sources
        Where its counters come from.
    """

    flow_octets: Floats
    counter_octets: Floats
    total_flow_octets: float
    total_counter_octets: float
    ratio: float | None
    reason: Reason
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InterfaceTruth:
    """One interface of an exporter, with its name in the range.

    Attributes
    ----------
    is_up
        What the exporter itself said last; None where it does not.
    """

    exporter: str
    number: int
    name: str
    description: str
    speed: int
    directions: Mapping[str, DirectionTruth]
    is_up: bool | None = None


class ExporterTruth(NamedTuple):
    """The interfaces of an exporter; how exact its flows are, and what is left out as damaged."""

    interfaces: list[InterfaceTruth]
    method: Method
    left_out: tuple[str, ...]


class ExporterFacts(NamedTuple):
    """What the collector knows of an exporter: its sampling and its losses.

    Attributes
    ----------
    record_rate
        Of one of its last flows; None where that is not known.
    """

    sampling_rate: float | None
    is_sampling_assumed: bool
    lost_share: float
    record_rate: float | None = None


class _Flows(NamedTuple):
    """Flows of one direction: octets and packets by bin, by ifIndex.

    Attributes
    ----------
    is_cut
        There are more interfaces than these.
    """

    by_interface: Mapping[int, tuple[Floats, Floats]]
    is_cut: bool
    provenance: Provenance


class _Sums(NamedTuple):
    """Of one interface and direction: octets and packets by flows, octets by counters, by bin."""

    octets: Floats
    packets: Floats
    counters: Floats
    sources: tuple[str, ...] = ()

    def totals(self) -> tuple[float, float, float]:
        """Return the sums over the bins that have counters."""
        known = ~np.isnan(self.counters)
        octets, packets, counted = (float(values[known].sum()) for values in self[:3])
        return octets, packets, counted


def whole_bins(since: int, until: int, now: float) -> Range:
    """Return the whole bins in a range of seconds, of those that are over."""
    step = STEP_MS // 1000
    return Range(-(-since // step) * STEP_MS, min(until, int(now)) // step * STEP_MS)


def exporter_truth(
    exporter: str, bins: Range, settings: Settings, number: int | None = None
) -> ExporterTruth:
    """Compare flows and counters of one interface, or of every one that has counters or flows.

    Of an exporter with more than `MAX_SERIES` interfaces those with most octets by flows.

    Parameters
    ----------
    bins
        At least one.

    Raises
    ------
    QueryError, StorageError
        The flow log cannot be read.
    """
    counters = exporter_counters(exporter, *bins, settings, number)
    engine = engine_from_settings(settings)
    flows = {name: _flows(engine, (exporter, number), bins, name) for name in DIRECTIONS}
    with_flows = {one for direction in flows.values() for one in direction.by_interface}
    numbers = [] if number is None else [number]
    if number is None:
        numbers = _comparable({*counters.readings, *with_flows}, flows)
    keys = [(exporter, one) for one in numbers]
    names = interface_history(settings).interface_names(keys, *bins)
    facts = exporter_facts(exporter, settings)
    truths = []
    for key in keys:
        one = key[1]
        sums = _sums_of(one, counters, flows, bins)
        has_other_flows = number is not None or bool(with_flows - {one})
        sides = _compare(sums, facts, has_other_flows)
        known, state = names.get(key, NO_NAMES), counters.state(one)
        truths.append(
            InterfaceTruth(
                *(*key, known.own or " / ".join(known.names), " / ".join(known.aliases)),
                *(known.speed or state.speed, sides, state.is_up),
            )
        )
    provenances = [flows[name].provenance for name in DIRECTIONS]
    method: Method = "sampled" if "sampled" in (p.method for p in provenances) else "exact"
    left_out = dict.fromkeys(text for one in provenances for text in one.left_out)
    return ExporterTruth(truths, method, tuple(left_out))


def _comparable(numbers: set[int], flows: Mapping[str, _Flows]) -> list[int]:
    """Return the interfaces in order; where a list of flows is cut, only those that are in it."""
    in_lists = [set(direction.by_interface) for direction in flows.values() if direction.is_cut]
    return sorted(numbers.intersection(*in_lists))


def exporter_facts(exporter: str, settings: Settings) -> ExporterFacts:
    """Return what the collector knows of an exporter."""
    status = read_status(settings["data_directory"] / STATUS_FILE) or {}
    rows = [row for row in exporter_rows(status, settings) if row.exporter == exporter]
    lost = max((row.lost_percent or 0 for row in rows), default=0.0) / 100
    if not rows:
        return ExporterFacts(1, True, 0.0)
    is_assumed = rows[0].sampling_source == ASSUMED
    return ExporterFacts(rows[0].sampling, is_assumed, lost, _record_rate(exporter, status))


def _record_rate(exporter: str, status: Mapping[str, Any]) -> float | None:
    """Return the sampling rate of one of the exporter's last flows; of several the largest."""
    facts = mapping(mapping(status.get("exporters")).get(exporter))
    sessions = map(mapping, mapping(facts.get("sessions")).values())
    return max((status_number(session, "sampling_rate") for session in sessions), default=0) or None


def _flows(
    engine: QueryEngine, interface: tuple[str, int | None], bins: Range, direction: str
) -> _Flows:
    """Return octets and packets by bin, by ifIndex, of one or of the largest interfaces."""
    exporter, number = interface
    words = [f"exporter={exporter}"]
    words += [] if number is None else [f"{_DIMENSIONS[direction]}={number}"]
    conditions = parse_conditions(words)
    octets, packets = (
        _series(engine, conditions, bins, _DIMENSIONS[direction], order)
        for order in ("octets", "packets")
    )
    packets_of = _by_interface(packets, _DIMENSIONS[direction])
    nothing = np.zeros(len(bins.starts_ms))
    return _Flows(
        {
            one: (values, packets_of.get(one, nothing))
            for one, values in _by_interface(octets, _DIMENSIONS[direction]).items()
        },
        any(row.is_other for row in octets.rows),
        octets.provenance,
    )


def _series(
    engine: QueryEngine,
    conditions: tuple[Condition, ...],
    bins: Range,
    dimension: str,
    order: str,
) -> SeriesAnswer:
    question = Question(
        (dimension,),
        order=order,
        conditions=conditions,
        since_ms=bins.since_ms,
        until_ms=bins.until_ms,
        step_ms=STEP_MS,
        limit=MAX_SERIES,
    )
    return engine.series(question, bins.until_ms)


def _by_interface(answer: SeriesAnswer, dimension: str) -> dict[int, Floats]:
    return {
        int(row.keys[dimension]): np.array(row.values)
        for row in answer.rows
        if not row.is_other and row.keys[dimension]
    }


def _sums_of(
    if_index: int, counters: ExporterCounters, flows: Mapping[str, _Flows], bins: Range
) -> dict[str, _Sums]:
    """Return the sums of both directions of an interface."""
    nothing = np.zeros(len(bins.starts_ms))
    readings = counters.readings.get(if_index, ())
    return {
        name: _Sums(
            *flows[name].by_interface.get(if_index, (nothing, nothing)),
            *counted_octets(readings, name, bins.starts_ms),
        )
        for name in DIRECTIONS
    }


def _compare(
    sums: Mapping[str, _Sums], exporter: ExporterFacts, has_other_flows: bool
) -> dict[str, DirectionTruth]:
    """Return both directions with their likely reasons."""
    totals = {name: sums[name].totals() for name in DIRECTIONS}
    ratios = {
        name: octets / counted if counted >= MIN_OCTETS else None
        for name, (octets, _, counted) in totals.items()
    }
    truths = {}
    for name, other in zip(DIRECTIONS, reversed(DIRECTIONS), strict=True):
        octets, packets, counted = totals[name]
        facts = Facts(
            name,
            *(octets, packets, counted),
            other_ratio=ratios[other],
            sampling_rate=exporter.sampling_rate,
            is_sampling_assumed=exporter.is_sampling_assumed,
            lost_share=exporter.lost_share,
            record_rate=exporter.record_rate,
            has_other_flows=has_other_flows,
        )
        reason = likely_reason(facts)
        if np.isnan(sums[name].counters).all():
            reason = Reason("not_read", NOT_READ)
        truths[name] = DirectionTruth(
            *(sums[name].octets, sums[name].counters, octets, counted),
            ratios[name],
            reason,
            sums[name].sources,
        )
    return truths
