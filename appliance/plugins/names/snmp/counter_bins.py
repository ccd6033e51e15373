"""Counters of interfaces as octets by bins of five minutes, whoever told them.

What a counter grew by between two readings counts evenly over the time between them. A bin without
readings that reach over all of it, as after a restart of the device, has no counters. Where SNMP
has none of a bin, those count that the exporter sends by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance import Settings
from appliance.counter_history import (
    COUNTER_RANGE,
    CounterReading,
    InterfaceState,
    counter_history,
)
from appliance.interface_history import interface_history

STEP_MS = 300_000
LONGEST_GAP_MS = 3_600_000
"""Between two readings: beyond, nobody knows when in between the octets came."""

POLLED = "SNMP"
"""Where counters come from that were asked for."""

_NOT_TOLD = InterfaceState(0, 0, 0, None)

Floats = NDArray[np.float64]


class Readings(NamedTuple):
    """Counters of an interface in the order of their times, and where they come from."""

    source: str
    readings: Sequence[CounterReading]


class ExporterCounters(NamedTuple):
    """Counters of an exporter's interfaces by ifIndex, and what it said last of each."""

    readings: Mapping[int, Sequence[Readings]]
    states: Mapping[int, InterfaceState]

    def state(self, if_index: int) -> InterfaceState:
        """Return what the exporter said last of an interface."""
        return self.states.get(if_index, _NOT_TOLD)


def exporter_counters(
    exporter: str, since_ms: int, until_ms: int, settings: Settings, if_index: int | None
) -> ExporterCounters:
    """Return the counters of one or all interfaces that say something of a range.

    Of an interface those of SNMP come first.
    """
    around = (since_ms - LONGEST_GAP_MS, until_ms + LONGEST_GAP_MS)
    sent = counter_history(settings)
    states = sent.interfaces(exporter)
    readings: dict[int, list[Readings]] = defaultdict(list)
    for one, of_interface in interface_history(settings).counters(exporter, *around).items():
        readings[one].append(Readings(POLLED, of_interface))
    for one, of_interface in sent.readings(exporter, *around, if_index).items():
        readings[one].append(Readings(states.get(one, _NOT_TOLD).source, of_interface))
    return ExporterCounters(readings, states)


def counted_octets(
    readings: Sequence[Readings], direction: str, starts_ms: NDArray[np.int64]
) -> tuple[Floats, tuple[str, ...]]:
    """Return what an interface counted in each bin, NaN where nobody says, and who told it.

    Of a bin the first counters count that reach over it.
    """
    octets = np.full(len(starts_ms), np.nan)
    sources = []
    for source, of_source in readings:
        told = octets_by_bin(of_source, direction, starts_ms)
        is_new = np.isnan(octets) & ~np.isnan(told)
        octets[is_new] = told[is_new]
        sources += [source] if is_new.any() else []
    return octets, tuple(sources)


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
    growth = (new - old) % COUNTER_RANGE
    return growth if growth < COUNTER_RANGE // 2 else None
