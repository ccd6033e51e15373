"""Send many datagrams with few system calls: sendmmsg(2) through ctypes, or a plain loop.

Used by the replay of captures, by the generator and by what forwards datagrams. That nobody listens
at the other end is counted and not raised: an exporter goes on sending too.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.collector.mmsghdr import (
    IOVEC,
    MESSAGES_PER_CALL,
    CFunction,
    address_of,
    c_function,
    message_headers,
)

_sendmmsg = c_function("sendmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

SendFailure = Callable[[OSError, int], bool]
"""Called with the error and the row that was not sent; says whether to try that row again."""


class DatagramSender:
    """Sends rows of an array through a connected UDP socket.

    Parameters
    ----------
    on_failure
        Decides what becomes of a row that the network does not take; without it that is raised.

    Attributes
    ----------
    refused
        How often the other end said that nobody listens; each stands for one earlier datagram.
    """

    def __init__(
        self, sock: socket.socket, *, single: bool = False, on_failure: SendFailure | None = None
    ) -> None:
        self._sock, self._on_failure = sock, on_failure
        self._sendmmsg = None if single else _sendmmsg
        self._iovecs = np.zeros((MESSAGES_PER_CALL, 2), IOVEC)
        self._headers = message_headers(self._iovecs)
        self.refused = 0

    def send(
        self,
        octets: NDArray[np.uint8],
        lengths: NDArray[np.int64],
        prefixes: NDArray[np.uint8] | None = None,
    ) -> None:
        """Send the first `lengths[i]` octets of each row, in order.

        Parameters
        ----------
        octets
            uint8, shape (n, stride), octets of a row side by side; may be a slice of an array.
        lengths
            int64, shape (n,).
        prefixes
            uint8, shape (n, any), C order: octets that go before those of each row.

        Raises
        ------
        OSError
            The network does not take the datagram: no route, too long, forbidden.
        """
        before = np.zeros((len(lengths), 0), np.uint8) if prefixes is None else prefixes
        for first in range(0, len(lengths), MESSAGES_PER_CALL):
            rows = slice(first, first + MESSAGES_PER_CALL)
            parts = (before[rows], octets[rows])
            if self._sendmmsg is None:
                self._send_each(parts, lengths[rows], first)
            else:
                self._send_many(self._sendmmsg, parts, lengths[rows], first)

    def _send_many(
        self,
        function: CFunction,
        parts: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        lengths: NDArray[np.int64],
        first: int,
    ) -> None:
        n, done = len(lengths), 0
        rows = np.arange(n, dtype=np.uintp)
        for at, part in enumerate(parts):
            self._iovecs["base"][:n, at] = address_of(part) + rows * part.strides[0]
        self._iovecs["length"][:n, 0] = parts[0].shape[1]
        self._iovecs["length"][:n, 1] = lengths
        while done < n:
            sent = function(self._sock.fileno(), address_of(self._headers, done), n - done, 0)
            if sent >= 0:
                done += sent
                continue
            error = ctypes.get_errno()
            done += not self._is_tried_again(OSError(error, os.strerror(error)), first + done)

    def _send_each(
        self,
        parts: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        lengths: NDArray[np.int64],
        first: int,
    ) -> None:
        for row, (before, octets, length) in enumerate(zip(*parts, lengths, strict=True), first):
            while not self._send_one([before.data, octets[:length].data], row):
                pass

    def _send_one(self, pieces: list[memoryview], row: int) -> bool:
        """Send a datagram; return False where it is to be tried again."""
        try:
            self._sock.sendmsg(pieces)
        except OSError as error:
            return not self._is_tried_again(error, row)
        return True

    def _is_tried_again(self, error: OSError, row: int) -> bool:
        if isinstance(error, ConnectionRefusedError):
            self.refused += 1
            return True
        if isinstance(error, InterruptedError):
            return True
        if self._on_failure is None:
            raise error
        return self._on_failure(error, row)
