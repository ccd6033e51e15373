"""The latest counters of interfaces that exporters send by themselves.

Exporters send them twice a minute and more; what compares them with flows needs one reading of an
interface in five minutes. Nothing here touches a file: `counter_handover` takes what is due.
Whatever a sender can grow has a limit here and a counter for what happens there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import ExportedCounters
from appliance.decoding.interface_counters import NOT_COUNTED, STATE_UNKNOWN, UP, InterfaceCounters
from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import Exporter
from appliance.flows import address_text

MAX_INTERFACES = 32_768
"""Interfaces of all exporters; more are refused. One takes about 600 octets."""

MAX_OF_SENDER = 8192
"""Of one sender, which may speak for many devices."""

STEP_MS = 300_000
"""Of each interface the first reading of so long is handed on: SNMP asks as often."""

SILENT_MS = 900_000
"""An interface that nothing is heard of for so long is forgotten."""

OVERTAKEN_MS = 10_000
"""A datagram whose uptime is behind by less was overtaken; by more, the exporter started again."""

_LOOK_MS = 60_000
"""Between two looks for those."""

MAX_DUE = 4096
"""Readings that are handed on at a time, so that the collector's loop turns."""

_COUNTS = (
    "interface_counters",
    "interface_counters_refused",
    "interface_counters_of_newcomers",
    "interface_counters_of_another_sender",
    "interface_counters_overtaken",
)

_Key = tuple[int, int, int, int]
"""Halves of the device's address, ifIndex, observation domain."""

_Facts = tuple[int, int, int, int, int]
"""Uptime, speed, state, octets in and out."""


@dataclass(slots=True)
class _Held:
    """The latest counters of an interface, who sends them, and which step was handed on."""

    sender: Exporter
    version: int
    time_ms: int
    facts: _Facts
    step: int = -1


class CounterTable:
    """The latest counters of each interface, used by the collector's thread.

    Attributes
    ----------
    counts
        Readings that came, and those that were not kept, by fixed words.
    """

    def __init__(self, is_known: Callable[[Exporter], bool]) -> None:
        """Hold nothing yet.

        Parameters
        ----------
        is_known
            Whether a sender is more than a newcomer, whom anybody could have invented.
        """
        self.counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        self._is_known = is_known
        self._held: dict[_Key, _Held] = {}
        # In the order in which they became due; what is silent need not be looked at.
        self._due: dict[_Key, None] = {}
        self._of_sender: Counter[Exporter] = Counter()
        self._next_look_ms = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, counters: InterfaceCounters, arrivals: Arrivals) -> None:
        """Take over what a block said; of an interface that is there twice the later counts."""
        self.counts["interface_counters"] += len(counters)
        for sender, key, time_ms, facts in _latest(counters, arrivals):
            held = self._held.get(key)
            if held is None:
                self._begin(key, _Held(sender, counters.version, time_ms, facts))
            elif held.sender != sender:
                self.counts["interface_counters_of_another_sender"] += 1
            elif 0 < held.facts[0] - facts[0] < OVERTAKEN_MS:
                self.counts["interface_counters_overtaken"] += 1
            else:
                held.time_ms, held.facts = time_ms, facts
                if time_ms // STEP_MS != held.step:
                    self._due[key] = None

    def _begin(self, key: _Key, held: _Held) -> None:
        sender = held.sender
        if not self._is_known(sender):
            self.counts["interface_counters_of_newcomers"] += 1
        elif len(self._held) >= MAX_INTERFACES or self._of_sender[sender] >= MAX_OF_SENDER:
            self.counts["interface_counters_refused"] += 1
        else:
            self._held[key] = held
            self._due[key] = None
            self._of_sender[sender] += 1

    def due(self, now_ms: int) -> list[ExportedCounters]:
        """Return readings that are to be kept, and forget interfaces that are silent."""
        if now_ms >= self._next_look_ms:
            self._next_look_ms = now_ms + _LOOK_MS
            self._forget_silent(now_ms - SILENT_MS)
        readings = []
        for key in list(islice(self._due, MAX_DUE)):
            del self._due[key]
            held = self._held[key]
            held.step = held.time_ms // STEP_MS
            readings.append(_reading(key, held))
        return readings

    def _forget_silent(self, since_ms: int) -> None:
        for key in [key for key, held in self._held.items() if held.time_ms < since_ms]:
            sender = self._held.pop(key).sender
            self._due.pop(key, None)
            self._of_sender[sender] -= 1
            if not self._of_sender[sender]:
                del self._of_sender[sender]


def _latest(
    counters: InterfaceCounters, arrivals: Arrivals
) -> Iterator[tuple[Exporter, _Key, int, _Facts]]:
    """Yield of each sender and interface what it said last."""
    rows = counters.datagram
    columns: list[NDArray[np.uint64] | NDArray[np.int64]] = [
        *(arrivals.address_hi[rows], arrivals.address_lo[rows]),
        *(counters.exporter_hi, counters.exporter_lo, counters.if_index, arrivals.domain[rows]),
    ]
    # Stable, so that of equal ones the last is the one that came last.
    order = np.lexsort(columns)
    is_last = np.zeros(len(order), np.bool_)
    is_last[-1:] = True
    for column in columns:
        is_last[:-1] |= np.diff(column[order].astype(np.uint64)) != 0
    chosen = np.sort(order[is_last])
    of = rows[chosen]
    yield from zip(
        zip(*(column[chosen].tolist() for column in columns[:2]), strict=True),
        zip(*(column[chosen].tolist() for column in columns[2:]), strict=True),
        arrivals.received_ms[of].tolist(),
        zip(
            arrivals.uptime_ms[of].tolist(),
            *(
                values[chosen].tolist()
                for values in (
                    *(counters.speed, counters.state),
                    *(counters.in_octets, counters.out_octets),
                )
            ),
            strict=True,
        ),
        strict=True,
    )


def _reading(key: _Key, held: _Held) -> ExportedCounters:
    hi, lo, if_index, domain = key
    uptime_ms, speed, state, received, sent = held.facts
    return ExportedCounters(
        *(address_text(hi, lo), if_index, domain, held.version, held.time_ms, uptime_ms, speed),
        is_up=None if state == STATE_UNKNOWN else state == UP,
        in_octets=None if received == NOT_COUNTED else received,
        out_octets=None if sent == NOT_COUNTED else sent,
    )
