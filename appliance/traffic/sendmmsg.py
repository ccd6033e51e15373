"""Send many datagrams with few system calls: sendmmsg(2) through ctypes, or a plain loop.

Used by the replay of captures and by the generator. That nobody listens at the other end is counted
and not raised: an exporter goes on sending too.
"""

from __future__ import annotations

import ctypes
import os
import socket

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


class DatagramSender:
    """Sends rows of an array through a connected UDP socket.

    Attributes
    ----------
    refused
        How often the other end said that nobody listens; each stands for one earlier datagram.
    """

    def __init__(self, sock: socket.socket, *, single: bool = False) -> None:
        self._sock = sock
        self._sendmmsg = None if single else _sendmmsg
        self._iovecs = np.zeros((MESSAGES_PER_CALL, 1), IOVEC)
        self._headers = message_headers(self._iovecs)
        self.refused = 0

    def send(self, octets: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        """Send the first `lengths[i]` octets of each row, in order.

        Parameters
        ----------
        octets
            uint8, shape (n, stride), octets of a row side by side; may be a slice of an array.
        lengths
            int64, shape (n,).

        Raises
        ------
        OSError
            The network does not take the datagram: no route, too long, forbidden.
        """
        for first in range(0, len(lengths), MESSAGES_PER_CALL):
            rows = slice(first, first + MESSAGES_PER_CALL)
            if self._sendmmsg is None:
                self._send_each(octets[rows], lengths[rows])
            else:
                self._send_many(self._sendmmsg, octets[rows], lengths[rows])

    def _send_many(
        self, function: CFunction, octets: NDArray[np.uint8], lengths: NDArray[np.int64]
    ) -> None:
        n, sent = len(lengths), 0
        rows = np.arange(n, dtype=np.uintp)
        self._iovecs["base"][:n, 0] = address_of(octets) + rows * octets.strides[0]
        self._iovecs["length"][:n, 0] = lengths
        while sent < n:
            sent += self._call(function, sent, n - sent)

    def _call(self, function: CFunction, first: int, n: int) -> int:
        sent = function(self._sock.fileno(), address_of(self._headers, first), n, 0)
        if sent >= 0:
            return sent
        error = ctypes.get_errno()
        try:
            raise OSError(error, os.strerror(error))
        except ConnectionRefusedError:
            self.refused += 1
        except InterruptedError:
            pass
        return 0

    def _send_each(self, octets: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        for row, length in zip(octets, lengths, strict=True):
            while not self._send_one(row[:length]):
                pass

    def _send_one(self, payload: NDArray[np.uint8]) -> bool:
        try:
            self._sock.send(payload.data)
        except ConnectionRefusedError:
            self.refused += 1
            return False
        return True
