"""One target of replication: what waits for it, and the thread that sends it.

The collector's thread only puts pieces into the queue. What does not fit is dropped and counted, so
that a target, or a network, that is slow costs the collector nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import queue
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.flows import address_text
from appliance.plugins.replicate.figures import COUNTS
from appliance.plugins.replicate.original_source import (
    OriginalSource,
    open_raw_socket,
    send_in_fragments,
)
from appliance.ratelimit import RateLimited
from appliance.settings.types import ListenAddress
from appliance.traffic.sendmmsg import DatagramSender

log = logging.getLogger(__name__)

SEND_BUFFER_OCTETS = 4_000_000
SEND_MICROSECONDS = 500_000
"""So long one call waits for room in the socket, before it is looked whether it is time to stop."""

PAUSE_SECONDS = 0.001
REOPEN_SECONDS = 1.0
"""So long after a failure sockets are opened anew: routes and own addresses may be others."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Datagrams that wait, in memory of their own; never changed but behind their ends.

    Attributes
    ----------
    octets
        uint8, shape (n, stride), stride as of `padded_stride`.
    """

    octets: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    address_hi: NDArray[np.uint64]
    address_lo: NDArray[np.uint64]
    port: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: NDArray[np.intp]) -> Piece:
        """Return some of the datagrams."""
        return Piece(
            self.octets[rows],
            self.lengths[rows],
            self.address_hi[rows],
            self.address_lo[rows],
            self.port[rows],
        )


class TargetSender:
    """Sends copies to one target in a thread of its own.

    Attributes
    ----------
    keeps_source
        Whether copies bear the exporter's address, where it is of the target's IP version.
    """

    def __init__(self, target: ListenAddress, *, keep_source: bool, queue_octets: int) -> None:
        self.target, self._queue_octets = target, queue_octets
        self._wants_source, self.keeps_source = keep_source, False
        self._source = OriginalSource(target)
        self._pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._lock, self._waiting_octets = threading.Lock(), 0
        self._counts: Counter[str] = Counter()
        self._sockets = contextlib.ExitStack()
        self._plain: DatagramSender | None = None
        self._raw: DatagramSender | None = None
        self._sending: Piece | None = None
        self._reopen_at = float("inf")
        self._log, self._stopping = RateLimited(log), False
        self._thread = threading.Thread(target=self._run, name=f"to {target}", daemon=True)

    def start(self) -> str:
        """Begin; return what stands in the way of the exporters' addresses, or ""."""
        problem = ""
        try:
            self._open()
        except OSError as error:
            # A network that is not there yet comes later.
            self._reopen_at = 0.0
            problem = f"{error.strerror}".lower()
        if self._wants_source and not self.keeps_source:
            problem = problem or "needs CAP_NET_RAW"
        self._thread.start()
        return problem

    def _open(self) -> None:
        """Open sockets in place of those that there are.

        Raises
        ------
        OSError
            There is no way to the target now.
        """
        self._sockets.close()
        self._plain = self._raw = None
        self._reopen_at = float("inf")
        if self._wants_source:
            with contextlib.suppress(PermissionError):
                raw = self._sockets.enter_context(open_raw_socket(self.target))
                self._raw = DatagramSender(_prepared(raw), on_failure=self._raw_failed)
        self.keeps_source = self._raw is not None
        family = socket.AF_INET6 if ":" in self.target.host else socket.AF_INET
        plain = self._sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        plain.connect((self.target.host, self.target.port))
        self._plain = DatagramSender(_prepared(plain), on_failure=self._failed)

    def has_room(self, octets: int, n: int) -> bool:
        """Tell whether so much can wait; the datagrams are counted as dropped where it cannot."""
        with self._lock:
            if self._waiting_octets + octets <= self._queue_octets:
                return True
        self._counts["dropped"] += n
        return False

    def put(self, piece: Piece) -> None:
        """Let a piece wait for its turn; `has_room` said that there is room."""
        with self._lock:
            self._waiting_octets += piece.octets.nbytes
        self._pieces.put(piece)

    def figures(self) -> dict[str, int]:
        """Return the counts."""
        counts = self._counts
        return {
            **{name: counts[name] for name in COUNTS},
            "dropped": counts["dropped"] + counts["dropped_at_stop"],
            "waiting_octets": self._waiting_octets,
            "keeps_source": int(self.keeps_source),
        }

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long; what is left is counted as dropped."""
        self._pieces.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)
            self._stopping = True
            self._thread.join(2 * SEND_MICROSECONDS / 1e6)
        with contextlib.suppress(queue.Empty):
            while True:
                left = self._pieces.get_nowait()
                self._counts["dropped"] += len(left) if left is not None else 0
        self._sockets.close()

    def _run(self) -> None:
        while not self._stopping and (piece := self._pieces.get()) is not None:
            self._send(piece)
            with self._lock:
                self._waiting_octets -= piece.octets.nbytes

    def _send(self, piece: Piece) -> None:
        if time.monotonic() >= self._reopen_at:
            try:
                self._open()
            except OSError as error:
                self._reopen_at = time.monotonic() + REOPEN_SECONDS
                self._warn(error)
        if self._plain is None:
            self._counts["failed"] += len(piece)
            return
        if self._raw is None:
            self._send_plain(self._plain, piece)
            return
        keeps = self._source.can_keep(piece.address_hi, piece.address_lo)
        if keeps.all():
            self._send_raw(self._raw, piece)
            return
        self._send_raw(self._raw, piece.take(np.flatnonzero(keeps)))
        self._send_plain(self._plain, piece.take(np.flatnonzero(~keeps)))

    def _send_plain(self, sender: DatagramSender, piece: Piece) -> None:
        self._counts["own_source"] += len(piece)
        self._count_sent(sender, piece, None)

    def _send_raw(self, sender: DatagramSender, piece: Piece) -> None:
        origin = (piece.address_hi, piece.address_lo, piece.port)
        self._count_sent(sender, piece, self._source.headers(piece.octets, piece.lengths, origin))

    def _count_sent(
        self, sender: DatagramSender, piece: Piece, headers: NDArray[np.uint8] | None
    ) -> None:
        self._sending, counts = piece, self._counts
        before, refused = counts["failed"] + counts["dropped_at_stop"], sender.refused
        sender.send(piece.octets, piece.lengths, headers)
        counts["refused"] += sender.refused - refused
        counts["sent"] += len(piece) - (counts["failed"] + counts["dropped_at_stop"] - before)
        self._sending = None

    def _raw_failed(self, error: OSError, row: int) -> bool:
        """Let the kernel make fragments of what is larger than the way to the target allows."""
        piece = self._sending
        if error.errno != errno.EMSGSIZE or piece is None:
            return self._failed(error, row)
        source = address_text(int(piece.address_hi[row]), int(piece.address_lo[row]))
        payload = piece.octets[row, : piece.lengths[row]].data
        try:
            send_in_fragments(payload, (source, int(piece.port[row])), self.target)
        except OSError as failure:
            return self._failed(failure, row)
        return False

    def _failed(self, error: OSError, row: int) -> bool:
        """Count a datagram that the network does not take; try again where only room is missing."""
        if error.errno in (errno.EAGAIN, errno.ENOBUFS) and not self._stopping:
            time.sleep(PAUSE_SECONDS)
            return True
        self._counts["dropped_at_stop" if self._stopping else "failed"] += 1
        self._reopen_at = min(self._reopen_at, time.monotonic() + REOPEN_SECONDS)
        self._warn(error)
        return False

    def _warn(self, error: OSError) -> None:
        self._log.warning("replication to %s: %s", self.target, str(error.strerror).lower())


def _prepared(sock: socket.socket) -> socket.socket:
    """Give a socket room, and a limit to how long one call waits for more."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_OCTETS)
    timeout = struct.pack("@ll", 0, SEND_MICROSECONDS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
    return sock
