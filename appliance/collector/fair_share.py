"""Whose datagrams are decoded now, and whose wait: the cost of decoding is shared by exporter.

Almost always a block is decoded whole and nothing waits. A block that costs too much is divided:
the exporters that cost least go first, those heard of for longer before newcomers, and whoever does
not fit waits here, in a bounded queue of its own, for the time that the others leave. From then on
all that this exporter sends goes through its queue, so that its datagrams keep their order.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.costs import MAX_BLOCK_SECONDS, Seconds
from appliance.decoding.messages.block import Datagram, DatagramBlock, block_of
from appliance.decoding.results import Exporter

QUEUE_OCTETS = 2_000_000
"""What may wait of one exporter; more is dropped and counted."""

ROOM_OCTETS = 32_000_000
"""What may wait of all known exporters together, and of all newcomers."""

TURN_SECONDS = MAX_BLOCK_SECONDS / 2
"""What one exporter that waits may cost before it is the next one's turn."""

MAX_NAMED = 64
"""Throttled exporters that are named; the one throttled longest ago gives way."""

_OVERHEAD_OCTETS = 400
"""What a waiting datagram takes beside its octets."""

_NEWCOMERS_TURN = 4
"""Of so many turns one is a newcomer's, however many known exporters wait."""


@dataclass(slots=True)
class Throttled:
    """What happened to an exporter that cost more than its share.

    Attributes
    ----------
    waited, dropped
        Its datagrams that had to wait, and those for which the queue had no room.
    last_ms
        When it last happened, milliseconds UTC.
    """

    waited: int = 0
    dropped: int = 0
    last_ms: int = 0


@dataclass(slots=True)
class _Queue:
    """The datagrams of one exporter that wait, each with its cost; the first is the oldest.

    Attributes
    ----------
    seconds
        What one of its datagrams cost when that was last known.
    """

    datagrams: deque[tuple[Datagram, float]] = field(default_factory=deque)
    octets: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Room:
    """The queues of known exporters, or of newcomers; the first is the next one's turn."""

    queues: OrderedDict[Exporter, _Queue] = field(default_factory=OrderedDict)
    octets: int = 0

    def octets_left(self, exporter: Exporter) -> int:
        """Return for how many octets of an exporter there is room."""
        queue = self.queues.get(exporter)
        return min(QUEUE_OCTETS - (queue.octets if queue else 0), ROOM_OCTETS - self.octets)

    def put(self, exporter: Exporter, datagram: Datagram, seconds: float | None) -> None:
        queue = self.queues.setdefault(exporter, _Queue())
        queue.seconds = queue.seconds if seconds is None else seconds
        queue.datagrams.append((datagram, queue.seconds))
        self._grow(queue, _octets(datagram))

    def put_back(self, exporter: Exporter, datagram: Datagram, seconds: float) -> None:
        queue = self.queues.setdefault(exporter, _Queue())
        queue.seconds = seconds
        queue.datagrams.appendleft((datagram, seconds))
        self._grow(queue, _octets(datagram))

    def take_turn(self) -> list[Datagram]:
        """Take what may be decoded at once of the exporter whose turn it is."""
        exporter, queue = self.queues.popitem(last=False)
        part: list[Datagram] = []
        cost = 0.0
        while queue.datagrams and (not part or cost + queue.datagrams[0][1] <= TURN_SECONDS):
            datagram, seconds = queue.datagrams.popleft()
            part.append(datagram)
            cost += seconds
            self._grow(queue, -_octets(datagram))
        if queue.datagrams:
            self.queues[exporter] = queue
        return part

    def _grow(self, queue: _Queue, octets: int) -> None:
        queue.octets += octets
        self.octets += octets


class FairShare:
    """Divides blocks that cost too much, and keeps what waits.

    Parameters
    ----------
    is_known
        Whether an exporter is more than a newcomer, whom anybody could have invented.

    Attributes
    ----------
    throttled
        The exporters that cost more than their share, the last one at the end.
    waited, dropped
        Datagrams of all exporters that had to wait, and those for which there was no room.
    """

    def __init__(self, is_known: Callable[[Exporter], bool]) -> None:
        self._is_known = is_known
        self._known, self._newcomers = _Room(), _Room()
        self._turns = 0
        self.throttled: OrderedDict[Exporter, Throttled] = OrderedDict()
        self.waited = self.dropped = 0

    @property
    def waits(self) -> bool:
        """Whether any datagram waits."""
        return bool(self._known.queues or self._newcomers.queues)

    def is_queued(self, exporter: Exporter) -> bool:
        """Tell whether datagrams of an exporter wait."""
        return exporter in self._known.queues or exporter in self._newcomers.queues

    def is_behind(self, exporter: Exporter) -> bool:
        """Tell whether more of an exporter would have to wait, and might find no room."""
        room = self._room(exporter)
        return exporter in room.queues or room.octets_left(exporter) < QUEUE_OCTETS

    def admit(self, block: DatagramBlock) -> DatagramBlock:
        """Return the datagrams of a block that need not wait behind others of their exporter."""
        if not self.waits:
            return block
        now = np.ones(len(block), np.bool_)
        for exporter, rows in _by_exporter(block):
            if self.is_queued(exporter):
                now[rows] = False
                self._put(block, exporter, rows, None)
        return block.take(np.flatnonzero(now))

    def divide(self, block: DatagramBlock, seconds: Seconds) -> DatagramBlock:
        """Let the costliest exporters of a block wait; return the datagrams of the others.

        Parameters
        ----------
        seconds
            Shape (n,): what each datagram costs.
        """
        of_exporter = dict(_by_exporter(block))
        costs = {exporter: float(seconds[rows].sum()) for exporter, rows in of_exporter.items()}
        now, left = np.zeros(len(block), np.bool_), MAX_BLOCK_SECONDS
        for exporter in sorted(costs, key=lambda e: (not self._is_known(e), costs[e])):
            left -= costs[exporter]
            if left >= 0:
                now[of_exporter[exporter]] = True
            else:
                self._put(block, exporter, of_exporter[exporter], seconds)
        return block.take(np.flatnonzero(now))

    def postpone(self, block: DatagramBlock) -> None:
        """Let all datagrams of a block wait."""
        for exporter, rows in _by_exporter(block):
            self._put(block, exporter, rows, None)

    def next_block(self) -> DatagramBlock | None:
        """Take a few datagrams of the exporter whose turn it is; None when nothing waits."""
        self._turns += 1
        rooms = [self._known, self._newcomers]
        if not self._turns % _NEWCOMERS_TURN:
            rooms.reverse()
        room = next((room for room in rooms if room.queues), None)
        return None if room is None else block_of(room.take_turn())

    def put_back(self, block: DatagramBlock, seconds: Seconds) -> DatagramBlock:
        """Let a block from `next_block`, which costs more than was known, wait before the others
        of its exporter; return the rest, which is empty."""
        for row in range(len(block) - 1, -1, -1):
            datagram = _datagram(block, row)
            exporter = (datagram.address_hi, datagram.address_lo)
            self._room(exporter).put_back(exporter, datagram, float(seconds[row]))
        return block.take(slice(0))

    def drop_all(self) -> None:
        """Give up what waits, and count it."""
        for room in (self._known, self._newcomers):
            for exporter, queue in room.queues.items():
                self._note(exporter, 0, dropped=len(queue.datagrams))
        self._known, self._newcomers = _Room(), _Room()

    def _room(self, exporter: Exporter) -> _Room:
        """Return where an exporter waits; a newcomer that became known meanwhile stays there."""
        if exporter in self._newcomers.queues:
            return self._newcomers
        if exporter in self._known.queues or self._is_known(exporter):
            return self._known
        return self._newcomers

    def _put(
        self,
        block: DatagramBlock,
        exporter: Exporter,
        rows: NDArray[np.intp],
        seconds: Seconds | None,
    ) -> None:
        """Let datagrams of an exporter wait, as far as there is room."""
        room = self._room(exporter)
        ends = np.cumsum(block.lengths[rows] + _OVERHEAD_OCTETS)
        fitting = int(np.searchsorted(ends, room.octets_left(exporter), "right"))
        for row in rows[:fitting].tolist():
            cost = None if seconds is None else float(seconds[row])
            room.put(exporter, _datagram(block, row), cost)
        now_ms = int(block.received_ms[rows[-1]])
        self._note(exporter, now_ms, waited=fitting, dropped=len(rows) - fitting)

    def _note(self, exporter: Exporter, now_ms: int, *, waited: int = 0, dropped: int = 0) -> None:
        note = self.throttled.setdefault(exporter, Throttled())
        self.throttled.move_to_end(exporter)
        if len(self.throttled) > MAX_NAMED:
            self.throttled.popitem(last=False)
        note.waited += waited
        note.dropped += dropped
        note.last_ms = max(note.last_ms, now_ms)
        self.waited += waited
        self.dropped += dropped


def _by_exporter(block: DatagramBlock) -> list[tuple[Exporter, NDArray[np.intp]]]:
    """Return the exporters of a block with the rows of their datagrams, ascending."""
    if not len(block):
        return []
    hi, lo = block.address_hi, block.address_lo
    order = np.lexsort((lo, hi))
    hi, lo = hi[order], lo[order]
    starts = np.flatnonzero(np.append(True, (hi[1:] != hi[:-1]) | (lo[1:] != lo[:-1])))
    exporters = zip(hi[starts].tolist(), lo[starts].tolist(), strict=True)
    return list(zip(exporters, np.split(order, starts[1:]), strict=True))


def _datagram(block: DatagramBlock, row: int) -> Datagram:
    return Datagram(
        block.payload(row),
        int(block.address_hi[row]),
        int(block.address_lo[row]),
        int(block.port[row]),
        int(block.received_ms[row]),
    )


def _octets(datagram: Datagram) -> int:
    return len(datagram.payload) + _OVERHEAD_OCTETS
