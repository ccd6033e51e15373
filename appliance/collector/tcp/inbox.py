"""Messages between the thread that reads connections and the collector's, by exporter.

What is here is bounded: an exporter whose part is full is not read any more, so that its own send
buffer fills and TCP slows it down. Nothing is dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.results import Exporter
from appliance.decoding.templates.timeline import Session

EXPORTER_OCTETS = 1_000_000
"""With so much of one exporter waiting it is not read; what one read adds comes on top."""

ALL_OCTETS = 16_000_000
"""The same of all exporters."""

BLOCK_OCTETS = 4_000_000
"""The largest block, rows padded to the longest."""

_OVERHEAD_OCTETS = 400
"""What a waiting message takes beside its octets; as in `fair_share`."""


class Message(NamedTuple):
    """A message of a connection; without octets: the connection is over.

    Attributes
    ----------
    number
        Of the connection's session.
    """

    number: int
    octets: bytes | None
    received_ms: int

    @property
    def cost(self) -> int:
        """Octets that it takes while it waits."""
        return _OVERHEAD_OCTETS + (len(self.octets) if self.octets is not None else 0)


class Delivery(NamedTuple):
    """What the collector gets: a block of messages, and connections that end with it."""

    block: DatagramBlock | None
    ended: list[Session]


@dataclass(slots=True)
class _Queue:
    messages: deque[Message] = field(default_factory=deque)
    octets: int = 0


@dataclass(slots=True)
class _Block:
    """A block that is being gathered."""

    messages: list[tuple[Exporter, Message]] = field(default_factory=list)
    ended: list[Session] = field(default_factory=list)
    longest: int = 1

    def has_room(self, octets: bytes) -> bool:
        longest = max(self.longest, len(octets))
        return not self.messages or (len(self.messages) + 1) * longest <= BLOCK_OCTETS

    def add(self, exporter: Exporter, message: Message) -> None:
        if message.octets is None:
            self.ended.append((*exporter, message.number))
            return
        self.messages.append((exporter, message))
        self.longest = max(self.longest, len(message.octets))


class Inbox:
    """Queues of messages; one thread puts, another takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: OrderedDict[Exporter, _Queue] = OrderedDict()
        self._octets = 0

    @property
    def octets(self) -> int:
        """What waits, with what keeping it takes."""
        return self._octets

    def has_room(self, exporter: Exporter) -> bool:
        """Tell whether an exporter may be read."""
        queue = self._queues.get(exporter)
        return self._octets < ALL_OCTETS and (queue is None or queue.octets < EXPORTER_OCTETS)

    def put(self, exporter: Exporter, messages: Sequence[Message]) -> None:
        """Add what an exporter sent."""
        octets = sum(len(message.octets) for message in messages if message.octets)
        cost = octets + _OVERHEAD_OCTETS * len(messages)
        with self._lock:
            queue = self._queues.setdefault(exporter, _Queue())
            queue.messages.extend(messages)
            queue.octets += cost
            self._octets += cost

    def take(self, is_behind: Callable[[Exporter], bool]) -> Delivery:
        """Take the oldest messages of exporters, as many as fit a block.

        Parameters
        ----------
        is_behind
            Whether an exporter's messages are to wait here.
        """
        block = _Block()
        with self._lock:
            for exporter in list(self._queues):
                if is_behind(exporter):
                    continue
                is_full = self._take_from(exporter, block)
                if self._queues[exporter].messages:
                    self._queues.move_to_end(exporter)
                else:
                    del self._queues[exporter]
                if is_full:
                    break
        return Delivery(_datagrams(block) if block.messages else None, block.ended)

    def drop_all(self) -> int:
        """Give up what waits; return how many messages that are."""
        with self._lock:
            n = sum(
                message.octets is not None
                for queue in self._queues.values()
                for message in queue.messages
            )
            self._queues.clear()
            self._octets = 0
        return n

    def _take_from(self, exporter: Exporter, block: _Block) -> bool:
        """Move messages of an exporter to a block; return whether that is full."""
        queue, cost = self._queues[exporter], 0
        is_full = False
        while queue.messages and cost < EXPORTER_OCTETS:
            octets = queue.messages[0].octets
            is_full = octets is not None and not block.has_room(octets)
            if is_full:
                break
            message = queue.messages.popleft()
            cost += message.cost
            block.add(exporter, message)
        queue.octets -= cost
        self._octets -= cost
        return is_full


def _datagrams(block: _Block) -> DatagramBlock:
    """Lay messages into a block; its memory is its own."""
    n = len(block.messages)
    payloads = [message.octets or b"" for _, message in block.messages]
    padded = b"".join([octets.ljust(block.longest, b"\0") for octets in payloads])
    return DatagramBlock(
        np.frombuffer(padded, np.uint8).reshape(n, block.longest),
        np.fromiter(map(len, payloads), np.int64, n),
        np.fromiter((exporter[0] for exporter, _ in block.messages), np.uint64, n),
        np.fromiter((exporter[1] for exporter, _ in block.messages), np.uint64, n),
        np.fromiter((message.number for _, message in block.messages), np.uint64, n),
        np.fromiter((message.received_ms for _, message in block.messages), np.int64, n),
    )
