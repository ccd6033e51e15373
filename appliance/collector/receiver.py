"""The receiver: takes datagrams from UDP sockets in blocks, and does nothing else.

A datagram that the kernel drops because nobody fetched it is the one loss that cannot be mended: so
the receiver asks for large socket buffers, and says what the kernel dropped. Opening sockets is
left to `sockets`, the system call and its memory to `recvmmsg`; exporters and their messages are
not known here.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import numpy as np
from numpy.typing import NDArray

from appliance.collector.exporter_networks import ExporterNetworks
from appliance.collector.read_ahead import NEEDED_BELOW_OCTETS, FetchedDatagrams, ReadAhead
from appliance.collector.recvmmsg import SLOT_OCTETS, STRIDE, has_recvmmsg, wide_rows
from appliance.collector.sockets import (
    address_of,
    buffer_warning,
    enlarge_buffer,
    has_v4_twin,
    kernel_drops,
    open_socket,
    refuse_everything,
)
from appliance.decoding.messages.block import DatagramBlock
from appliance.settings.types import ListenAddress

DROPS_INTERVAL_SECONDS = 1.0
"""How often the kernel is asked for its count of drops."""

DRAIN_SECONDS = 5.0
"""How long a stop may take on a system that cannot close a socket's door before emptying it."""

GATHER_OCTETS_PER_SECOND = 500_000_000
"""Arrival (as the kernel books it) that must not fill the buffer while gathering."""


@dataclass(slots=True)
class ReceiverCounters:
    """What happened to datagrams before anyone decoded them; every figure only grows.

    Attributes
    ----------
    datagrams, octets
        Handed on in blocks; octets of UDP payload.
    refused_datagrams
        Dropped because their sender is not in the allowed networks.
    kernel_drops
        Dropped by the kernel: socket buffer full, or bad checksum.
    truncated_datagrams
        Handed on without their end because they were longer than a slot, which UDP does not allow.
    """

    datagrams: int = 0
    octets: int = 0
    refused_datagrams: int = 0
    kernel_drops: int = 0
    truncated_datagrams: int = 0


class Receiver:
    """UDP sockets, and the memory that their datagrams land in.

    One thread uses it; `wake` is also for signal handlers and other threads.

    Attributes
    ----------
    addresses
        Where it listens, as bound: port 0 has become the real port.
    granted_buffer_octets
        The smallest socket buffer that the kernel granted, in the measure of the one asked for.
    warnings
        Sentences about what `start` found and could not change.
    counters
        What happened so far; `kernel_drops` is brought up to date about once a second.
    """

    def __init__(
        self,
        listen: Sequence[ListenAddress],
        *,
        receive_buffer_octets: int,
        allowed: Sequence[IPv4Network | IPv6Network] = (),
        block_datagrams: int = 1024,
        gather_seconds: float = 0.0,
        plain_loop: bool = False,
    ) -> None:
        """Store what to do; `start` does it.

        Parameters
        ----------
        allowed
            Networks that exporters may send from; empty allows everybody.
        block_datagrams
            The largest block.
        gather_seconds
            Let datagrams queue up this long after a block that was not full: fewer, larger blocks.
            Shortened when the granted buffer is too small for it.
        plain_loop
            One system call a datagram, as where recvmmsg(2) is missing.
        """
        self._listen = tuple(dict.fromkeys(listen))
        self._asked_octets = receive_buffer_octets
        self._networks = ExporterNetworks(allowed)
        self._gather_seconds = gather_seconds
        self._plain_loop = plain_loop or not has_recvmmsg()
        self._block_datagrams = block_datagrams
        self._sockets: list[socket.socket] = []
        self._undo = contextlib.ExitStack()
        self._read_ahead: ReadAhead | None = None
        self._kernel_figures: list[int] = []
        self._next_drops_check = 0.0
        self._next_read = 0.0
        self._drain_until: float | None = None
        self._wide: NDArray[np.uint8] | None = None
        self.addresses: list[ListenAddress] = []
        self.granted_buffer_octets = 0
        self.warnings: list[str] = []
        self.counters = ReceiverCounters()

    def start(self) -> None:
        """Bind every address and prepare the memory.

        Raises
        ------
        StartupError
            An address is taken, foreign, forbidden or unknown; nothing stays open.
        """
        sockets = []
        with contextlib.ExitStack() as undo:
            for address in self._listen:
                v6_only = has_v4_twin(address, self._listen)
                sock, warning = open_socket(address, v6_only=v6_only)
                sockets.append(undo.enter_context(sock))
                self.warnings += [warning] if warning else []
            self._undo = undo.pop_all()
        self._sockets = sockets
        self.addresses = [address_of(sock) for sock in self._sockets]
        self._kernel_figures = [kernel_drops(sock) for sock in self._sockets]
        granted = [enlarge_buffer(sock, self._asked_octets) for sock in self._sockets]
        self.granted_buffer_octets = min(granted, default=0)
        if warning := buffer_warning(self._asked_octets, self.granted_buffer_octets):
            self.warnings.append(warning)
        safe_seconds = self.granted_buffer_octets / GATHER_OCTETS_PER_SECOND
        self._gather_seconds = min(self._gather_seconds, safe_seconds)
        self._prepare()

    def _prepare(self) -> None:
        self._fetched = self._memory()
        if self.granted_buffer_octets < NEEDED_BELOW_OCTETS:
            self._read_ahead = ReadAhead(self._memory(), self._sockets)
            self._read_ahead.start()
            self._undo.callback(self._read_ahead.stop)
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            self._undo.enter_context(end).setblocking(False)
        self._poll_wake = select.poll()
        self._poll_wake.register(self._wake_out, select.POLLIN)
        self._poll = select.poll()
        for sock in (*self._sockets, self._wake_out):
            self._poll.register(sock, select.POLLIN)

    def _memory(self) -> FetchedDatagrams:
        return FetchedDatagrams(self._block_datagrams, plain_loop=self._plain_loop)

    def stop(self) -> None:
        """Close the sockets; datagrams still in the kernel are lost unless drained before."""
        self._undo.close()
        self._sockets.clear()

    def stop_receiving(self) -> None:
        """Take no new datagrams; `receive` empties the kernel's buffers, then returns None."""
        self._count_drops()
        shut = [refuse_everything(sock) for sock in self._sockets]
        self._drain_until = time.monotonic() + (3600 if all(shut) else DRAIN_SECONDS)

    def wake(self) -> None:
        """Make the present or next `receive` return early; safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            self._wake_in.send(b"\0")

    def receive(self, timeout_seconds: float) -> DatagramBlock | None:
        """Wait for datagrams and return what has come, as far as it fits a block.

        Parameters
        ----------
        timeout_seconds
            How long to wait for a first datagram; after `stop_receiving` nothing is waited for.

        Returns
        -------
        DatagramBlock or None
            Views of memory that the next call overwrites. None: nothing came in time, `wake` was
            called, or (after `stop_receiving`) nothing is left.
        """
        self._come_back()
        try:
            return self._receive(time.monotonic() + timeout_seconds)
        finally:
            if self._read_ahead is not None:
                self._read_ahead.leave()

    def _come_back(self) -> None:
        """Forget the last block, and take over what was fetched since."""
        self._fetched.clear()
        if self._read_ahead is not None:
            self._fetched = self._read_ahead.come_back(self._fetched)

    def _receive(self, deadline: float) -> DatagramBlock | None:
        while True:
            ready = self._fetched.n > 0 or self._drain_until is not None
            if not ready and not self._wait(deadline):
                self._check_drops()
                return None
            self._fill()
            self._check_drops()
            n = self._fetched.n
            block = self._block(n)
            if len(block):
                return block
            # A flood of refused datagrams must not keep the caller from its other work.
            ends = deadline if self._drain_until is None else self._drain_until
            if time.monotonic() >= ends or (n == 0 and self._drain_until is not None):
                return None
            self._fetched.clear()

    def _wait(self, deadline: float) -> bool:
        """Return True when a socket has something to read."""
        pause = min(self._next_read, deadline) - time.monotonic()
        if pause > 0 and self._poll_wake.poll(pause * 1000):
            self._clear_wake()
            return False
        left_ms = max(deadline - time.monotonic(), 0) * 1000
        ready = {number for number, _ in self._poll.poll(left_ms)}
        if self._wake_out.fileno() in ready:
            self._clear_wake()
            ready.discard(self._wake_out.fileno())
        # However often somebody wakes this thread, datagrams have their turn.
        return bool(ready)

    def _clear_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_out.recv(4096):
                pass

    def _fill(self) -> None:
        """Read all sockets into the slots that are left."""
        self._fetched.fetch(self._sockets)
        # Whoever comes first could fill every block: each takes its turn to be first.
        self._sockets.append(self._sockets.pop(0))
        self._kernel_figures.append(self._kernel_figures.pop(0))
        self._next_read = 0.0 if self._fetched.full else time.monotonic() + self._gather_seconds

    def _block(self, n: int) -> DatagramBlock:
        """Make the block of the first `n` slots, without the refused ones."""
        slots = self._fetched.slots
        rows: slice | NDArray[np.intp] = slice(n)
        if self._networks:
            allowed = self._networks.contain(slots.address_hi[:n], slots.address_lo[:n])
            if not allowed.all():
                rows = np.flatnonzero(allowed)
                self.counters.refused_datagrams += n - len(rows)
        lengths = slots.lengths[rows]
        self.counters.datagrams += len(lengths)
        self.counters.octets += int(lengths.sum())
        self.counters.truncated_datagrams += self._fetched.truncated
        return DatagramBlock(
            slots.dense[rows] if lengths.max(initial=0) <= STRIDE else self._wide_rows(rows),
            lengths,
            slots.address_hi[rows],
            slots.address_lo[rows],
            slots.port[rows],
            self._fetched.received_ms[rows],
        )

    def _wide_rows(self, rows: slice | NDArray[np.intp]) -> NDArray[np.uint8]:
        if self._wide is None:
            room = mmap.mmap(-1, self._block_datagrams * SLOT_OCTETS)
            self._wide = np.frombuffer(room, np.uint8)
        return wide_rows(self._fetched.slots, np.arange(self._block_datagrams)[rows], self._wide)

    def _check_drops(self) -> None:
        now = time.monotonic()
        if now >= self._next_drops_check:
            self._next_drops_check = now + DROPS_INTERVAL_SECONDS
            self._count_drops()

    def _count_drops(self) -> None:
        if self._drain_until is not None:
            return  # what arrives now is refused on purpose
        for at, sock in enumerate(self._sockets):
            figure = kernel_drops(sock)
            self.counters.kernel_drops += (figure - self._kernel_figures[at]) % (1 << 32)
            self._kernel_figures[at] = figure
