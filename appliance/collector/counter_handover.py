"""Hands counters of interfaces from the collector's loop to what keeps them, in a thread.

The loop only puts a list into a queue; whoever writes to a file does so in the thread. While it is
behind, nothing is taken out of the table, which holds the latest counters of each interface.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from typing import NamedTuple

from appliance.collector.counter_table import CounterTable
from appliance.contracts import CounterSink, ExportedCounters
from appliance.errors import ApplianceError
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

INTERVAL_MS = 10_000
STOP_SECONDS = 2.0


class _Turn(NamedTuple):
    """What is handed on at once, and when, seconds since 1970."""

    counters: Sequence[ExportedCounters]
    now: float


class CounterHandover:
    """Brings what is due in a table to sinks; does nothing where there is no sink.

    Attributes
    ----------
    table
        None without a sink: then nothing need be put there.
    """

    def __init__(self, table: CounterTable, sinks: Sequence[CounterSink]) -> None:
        self.table = table if sinks else None
        self._sinks = sinks
        self._turns: queue.Queue[_Turn | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._work, name="counters", daemon=True)
        self._next_ms = 0
        self._n_kept = self._n_lost = 0

    def start(self) -> None:
        """Begin."""
        if self._sinks:
            self._thread.start()

    def turn(self, now_ms: int) -> None:
        """Hand on what is due, if it is time and the thread is not behind; never waits."""
        if self.table is None or now_ms < self._next_ms or self._turns.full():
            return
        self._next_ms = now_ms + INTERVAL_MS
        # The loop is the only one that puts something in.
        self._turns.put_nowait(_Turn(self.table.due(now_ms), now_ms / 1000))

    def stop(self, now_ms: int) -> None:
        """Hand on the rest, and wait for the thread a moment."""
        if self.table is None or not self._thread.is_alive():
            return
        rest: list[ExportedCounters] = []
        while due := self.table.due(now_ms):
            rest += due
        with contextlib.suppress(queue.Full):
            self._turns.put(_Turn(rest, now_ms / 1000), timeout=STOP_SECONDS)
            self._turns.put(None, timeout=STOP_SECONDS)
            self._thread.join(STOP_SECONDS)

    def figures(self) -> dict[str, int]:
        """Return what came, and what became of it, by fixed words."""
        if self.table is None:
            return {}
        kept = {
            "interface_counters_kept": self._n_kept,
            "interface_counters_lost": self._n_lost,
        }
        return {word: n for word, n in {**self.table.counts, **kept}.items() if n}

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            for sink in self._sinks:
                self._keep(sink, turn)

    def _keep(self, sink: CounterSink, turn: _Turn) -> None:
        try:
            sink.keep(turn.counters, turn.now)
        except ApplianceError as error:
            self._n_lost += len(turn.counters)
            log.warning("counters of interfaces are not kept: %s", error)
        else:
            self._n_kept += len(turn.counters)
