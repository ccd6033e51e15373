"""Sends the flows of a generator to a collector, at a rate and for as long as asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from appliance.settings.types import ListenAddress
from appliance.traffic.generator.exporters import (
    BLOCK_FLOWS,
    GeneratedBlock,
    Generator,
    Sums,
)
from appliance.traffic.generator.profiles import ExporterProfile
from appliance.traffic.generator.traffic import rhythm
from appliance.traffic.source_sockets import SourceSockets

SHORTEST_TICK_SECONDS = 0.02
LONGEST_TICK_SECONDS = 0.5
_FLOWS_PER_DATAGRAM = 25


@dataclass(frozen=True, slots=True)
class Order:
    """How much to send.

    Attributes
    ----------
    rate
        Flows a second; None sends as fast as possible.
    flows
        Stop after so many; None goes on.
    seconds
        Stop after so long; None goes on.
    daily_rhythm
        Let the rate follow the local hour; `rate` is then that of the busiest.
    """

    rate: float | None = None
    flows: int | None = None
    seconds: float | None = None
    daily_rhythm: bool = False


class Transmission:
    """One run of a generator; `run` does it.

    Attributes
    ----------
    sums
        What was sent so far, by exporter.
    refused
        How often the target said that nobody listens there.
    seconds
        Since the start.
    """

    def __init__(self, generator: Generator, target: ListenAddress, order: Order) -> None:
        self._generator, self._target, self._order = generator, target, order
        self._due = 0.0
        self._stopped = False
        self.sums = [Sums() for _ in generator.profiles]
        self.refused = 0
        self.seconds = 0.0

    @property
    def profiles(self) -> tuple[ExporterProfile, ...]:
        """The exporters, in the order of `sums`."""
        return self._generator.profiles

    @property
    def total(self) -> Sums:
        """What all exporters together have sent."""
        total = Sums()
        for sums in self.sums:
            total.add(sums)
        return total

    def stop(self) -> None:
        """Let `run` return soon, with the sums true; safe in a signal handler."""
        self._stopped = True

    def run(self, progress: Callable[[Transmission], None] | None = None) -> Sums:
        """Send as ordered and return what was sent.

        Parameters
        ----------
        progress
            Called now and then, from this thread.

        Raises
        ------
        TargetError
            The network does not take the datagrams.
        """
        limit = math.inf if self._order.seconds is None else self._order.seconds
        start = time.monotonic()
        sent = 0
        with SourceSockets(self._target) as sockets:
            while (left := self._flows_left(sent)) > 0 and self.seconds < limit:
                before, self.seconds = self.seconds, min(time.monotonic() - start, limit)
                n = int(min(self._newly_due(self.seconds - before), left))
                for block in self._generator.datagrams(n):
                    self._send(sockets, block)
                sent += n
                if progress is not None:
                    progress(self)
                if self._order.rate is not None and self.seconds < limit:
                    time.sleep(self._tick_seconds())
        self.seconds = time.monotonic() - start
        return self.total

    def _flows_left(self, sent: int) -> float:
        if self._stopped:
            return 0
        return math.inf if self._order.flows is None else self._order.flows - sent

    def _newly_due(self, seconds: float) -> int:
        """Return the flows that have fallen due in so many seconds."""
        if self._order.rate is None:
            return BLOCK_FLOWS
        part = 1.0
        if self._order.daily_rhythm:
            local = datetime.now().astimezone()
            part = rhythm(local.hour + local.minute / 60)
        self._due += self._order.rate * part * seconds
        whole = int(self._due)
        self._due -= whole
        return whole

    def _tick_seconds(self) -> float:
        """Wait until each exporter has about a datagram's worth of flows."""
        worth = _FLOWS_PER_DATAGRAM * len(self.sums)
        tick = worth / (self._order.rate or math.inf)
        return min(max(tick, SHORTEST_TICK_SECONDS), LONGEST_TICK_SECONDS)

    def _send(self, sockets: SourceSockets, block: GeneratedBlock) -> None:
        sockets.send((block.exporter, 0), block.octets, block.lengths)
        self.sums[block.exporter].add(block.sums)
        self.refused = sockets.refused
