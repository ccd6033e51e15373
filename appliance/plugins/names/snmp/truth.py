"""Do the flows tell the truth? Octets by flows beside the counters of each interface.

Both are put into bins of five minutes: a flow by the time that it lasted, as in every series, and
what a counter grew by between two readings evenly over the time between them. A bin without
readings that reach over all of it, as after a restart of the device, has no counters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance import Settings
from appliance.collector.exporter_rows import ASSUMED, exporter_rows
from appliance.collector.status import STATUS_FILE, read_status
from appliance.flowlog.conditions import Condition
from appliance.interface_history import CounterReading, InterfaceNames, interface_history
from appliance.plugins.names.snmp.reasons import MIN_OCTETS, Facts, Reason, likely_reason
from appliance.query.engine import QueryEngine, engine_from_settings
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import MAX_SERIES, Method, Provenance, Question, SeriesAnswer

STEP_MS = 300_000
LONGEST_GAP_MS = 3_600_000
"""Between two readings: beyond, nobody knows when in between the octets came."""

DIRECTIONS = ("in", "out")
NO_NAMES = InterfaceNames("", (), (), 0)
_DIMENSIONS = {"in": "ingress_interface", "out": "egress_interface"}
_COUNTER_RANGE = 1 << 64

Floats = NDArray[np.float64]


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
    """

    flow_octets: Floats
    counter_octets: Floats
    total_flow_octets: float
    total_counter_octets: float
    ratio: float | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class InterfaceTruth:
    """One interface of an exporter, with its name in the range."""

    exporter: str
    number: int
    name: str
    description: str
    speed: int
    directions: Mapping[str, DirectionTruth]


class ExporterTruth(NamedTuple):
    """The interfaces of an exporter; how exact its flows are, and what is left out as damaged."""

    interfaces: list[InterfaceTruth]
    method: Method
    left_out: tuple[str, ...]


class ExporterFacts(NamedTuple):
    """What the collector knows of an exporter: its sampling and its losses."""

    sampling_rate: float | None
    is_sampling_assumed: bool
    lost_share: float


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

    def totals(self) -> tuple[float, float, float]:
        """Return the sums over the bins that have counters."""
        known = ~np.isnan(self.counters)
        octets, packets, counted = (float(values[known].sum()) for values in self)
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
    starts_ms = bins.starts_ms
    history = interface_history(settings)
    around = (bins.since_ms - LONGEST_GAP_MS, bins.until_ms + LONGEST_GAP_MS)
    readings = history.counters(exporter, *around)
    engine = engine_from_settings(settings)
    flows = {name: _flows(engine, (exporter, number), bins, name) for name in DIRECTIONS}
    with_flows = {one for direction in flows.values() for one in direction.by_interface}
    numbers = [number] if number is not None else _comparable({*readings, *with_flows}, flows)
    names = history.interface_names([(exporter, one) for one in numbers], *bins)
    facts = exporter_facts(exporter, settings)
    truths = []
    for one in numbers:
        known = names.get((exporter, one), NO_NAMES)
        sums = {
            name: _sums(flows[name].by_interface.get(one), readings.get(one, ()), name, starts_ms)
            for name in DIRECTIONS
        }
        has_other_flows = number is not None or bool(with_flows - {one})
        truths.append(
            InterfaceTruth(
                *(exporter, one, known.own or " / ".join(known.names)),
                *(" / ".join(known.aliases), known.speed),
                _compare(sums, facts, has_other_flows),
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
    return ExporterFacts(rows[0].sampling, rows[0].sampling_source == ASSUMED, lost)


def octets_by_bin(
    readings: Sequence[CounterReading], direction: str, starts_ms: NDArray[np.int64]
) -> Floats:
    """Return what a counter grew by in each bin; NaN where readings do not say.

    Parameters
    ----------
    readings
        In the order of their times.
    starts_ms
        Of bins that follow each other.
    """
    octets, covered_ms = np.zeros(len(starts_ms)), np.zeros(len(starts_ms))
    ends_ms = starts_ms + STEP_MS
    for before, after in pairwise(readings):
        growth = _growth(before, after, direction)
        if growth is None:
            continue
        first = np.maximum(starts_ms, before.time_ms)
        overlap_ms = np.maximum(np.minimum(ends_ms, after.time_ms) - first, 0)
        octets += growth * overlap_ms / (after.time_ms - before.time_ms)
        covered_ms += overlap_ms
    return np.where(covered_ms >= STEP_MS, octets, np.nan)


def _growth(before: CounterReading, after: CounterReading, direction: str) -> int | None:
    """Return what a counter grew by; None where the device restarted, or it jumped back."""
    old, new = (one.in_octets if direction == "in" else one.out_octets for one in (before, after))
    gap_ms = after.time_ms - before.time_ms
    if old is None or new is None or not 0 < gap_ms <= LONGEST_GAP_MS:
        return None
    if after.uptime_ms < before.uptime_ms:
        return None
    # RFC 2863 section 3.1.6: counters of 64 bits do not wrap within a lifetime; those that fall
    # were set back.
    growth = (new - old) % _COUNTER_RANGE
    return growth if growth < _COUNTER_RANGE // 2 else None


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


def _sums(
    flows: tuple[Floats, Floats] | None,
    readings: Sequence[CounterReading],
    direction: str,
    starts_ms: NDArray[np.int64],
) -> _Sums:
    counters = octets_by_bin(readings, direction, starts_ms)
    octets, packets = flows or (np.zeros(len(starts_ms)), np.zeros(len(starts_ms)))
    return _Sums(octets, packets, counters)


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
            has_other_flows=has_other_flows,
        )
        reason = likely_reason(facts)
        if np.isnan(sums[name].counters).all():
            reason = Reason("not_read", "no counters of this time: SNMP did not read any")
        truths[name] = DirectionTruth(
            *(sums[name].octets, sums[name].counters, octets, counted),
            ratios[name],
            reason,
        )
    return truths
