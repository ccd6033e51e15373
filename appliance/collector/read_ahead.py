"""Memory that datagrams are fetched into, and a thread that fetches while the collector is busy.

Where the kernel grants a small buffer, a block that takes a tenth of a second to decode is long
enough to lose datagrams of everybody. There, a thread empties the sockets into a second piece of
memory as soon as the collector has been away for longer than usual. On a machine that grants what
is asked for it does not exist.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

import numpy as np

from appliance.collector.recvmmsg import LoopReader, RecvmmsgReader, SlotReader, Slots

NEEDED_BELOW_OCTETS = 16_000_000
"""A granted buffer of this size outlasts whatever the collector does between two blocks."""

_PATIENCE_SECONDS = 0.02
_INTERVAL_SECONDS = 0.01


class FetchedDatagrams:
    """Slots, the first `n` of which hold datagrams.

    Attributes
    ----------
    received_ms
        int64, shape (slots,): when each was fetched, milliseconds UTC.
    truncated
        Datagrams that the kernel cut off.
    """

    def __init__(self, n_slots: int, *, plain_loop: bool) -> None:
        self.slots = Slots(n_slots)
        self.received_ms = np.zeros(n_slots, np.int64)
        self._reader: SlotReader = (LoopReader if plain_loop else RecvmmsgReader)(self.slots)
        self.n = self.truncated = 0

    @property
    def full(self) -> bool:
        """Whether there is no slot left."""
        return self.n == len(self.slots)

    def clear(self) -> None:
        """Forget the datagrams."""
        self.n = self.truncated = 0

    def fetch(self, sockets: Sequence[socket.socket]) -> None:
        """Read what waits in the sockets, as far as there are slots."""
        first = self.n
        for sock in sockets:
            taken, truncated = self._reader.read(sock, self.n)
            self.n += taken
            self.truncated += truncated
        self.received_ms[first : self.n] = time.time_ns() // 1_000_000


class ReadAhead:
    """Fetches datagrams in a thread of its own between `leave` and `come_back`.

    The two are called by one other thread, which may use the sockets only when it has come back.
    """

    def __init__(self, fetched: FetchedDatagrams, sockets: Sequence[socket.socket]) -> None:
        self._fetched, self._sockets = fetched, tuple(sockets)
        self._away, self._back, self._idle = threading.Event(), threading.Event(), threading.Event()
        self._idle.set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it fetched last is lost."""
        self._stopping = True
        self._back.set()
        self._away.set()
        self._thread.join()

    def leave(self) -> None:
        """Let the thread fetch when the caller is away for long."""
        self._back.clear()
        self._idle.clear()
        self._away.set()

    def come_back(self, spare: FetchedDatagrams) -> FetchedDatagrams:
        """End fetching; return what was fetched, and take other memory for the next time."""
        self._back.set()
        self._idle.wait()
        fetched, self._fetched = self._fetched, spare
        return fetched

    def _run(self) -> None:
        while True:
            self._away.wait()
            if self._stopping:
                return
            self._away.clear()
            pause = _PATIENCE_SECONDS
            while not self._back.wait(pause) and not self._fetched.full:
                self._fetched.fetch(self._sockets)
                pause = _INTERVAL_SECONDS
            self._back.wait()
            self._idle.set()
