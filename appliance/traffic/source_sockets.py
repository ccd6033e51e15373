"""Sockets that stand for exporters when flows are replayed or invented: of UDP, or of TCP.

Each exporter gets a socket, and with it a source port, of its own, so that a collector can tell
them apart. A collector on the loopback network also sees each under an address of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError
from appliance.settings.types import ListenAddress
from appliance.traffic.sendmmsg import DatagramSender

MAX_SOURCE_SOCKETS = 256
"""Sockets of one `SourceSockets`; further exporters share them."""

SEND_BUFFER_OCTETS = 1 << 20

_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")

Session = tuple[Hashable, Hashable]
"""An exporter's address and port, or whatever stands for them; those of one address share one."""


class TargetError(ApplianceError):
    """Datagrams cannot be sent to where they should go."""

    def __init__(self, target: ListenAddress, problem: str) -> None:
        self.target, self.problem = target, problem
        super().__init__(f"cannot send to {target}: {problem}")


class StreamSender:
    """Sends messages one behind the other over a connection, as `DatagramSender` does datagrams."""

    refused = 0

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, octets: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        """Send the first `lengths[i]` octets of each row, in order; waits for a busy collector.

        Raises
        ------
        OSError
            The connection is broken.
        """
        whole = np.arange(octets.shape[1]) < lengths[:, None]
        self._sock.sendall(octets[whole].tobytes())


class SourceSockets:
    """One connected socket for each exporter, opened when it first sends.

    Parameters
    ----------
    over_tcp
        Whether each is a connection.

    Attributes
    ----------
    shared
        How often an exporter sent through the socket of another one, for want of sockets.
    """

    def __init__(self, target: ListenAddress, *, over_tcp: bool = False) -> None:
        self._target = target
        self._kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
        self._senders: dict[Session, DatagramSender | StreamSender] = {}
        self._numbers: dict[Hashable, int] = {}
        self._sockets = contextlib.ExitStack()
        self.shared = 0

    @property
    def refused(self) -> int:
        """How often the other end said that nobody listens."""
        return sum(sender.refused for sender in self._senders.values())

    def __len__(self) -> int:
        return len(self._senders)

    def __enter__(self) -> SourceSockets:
        return self

    def __exit__(self, *_: object) -> None:
        self._sockets.close()

    def send(self, session: Session, octets: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        """Send datagrams, one a row, for an exporter's session.

        Raises
        ------
        TargetError
            The target does not exist, or the network does not take the datagrams.
        """
        try:
            self._sender(session).send(octets, lengths)
        except OSError as error:
            raise TargetError(self._target, str(error.strerror).lower()) from error

    def _sender(self, session: Session) -> DatagramSender | StreamSender:
        sender = self._senders.get(session)
        if sender is not None:
            return sender
        if len(self._senders) >= MAX_SOURCE_SOCKETS:
            self.shared += 1
            return list(self._senders.values())[hash(session) % MAX_SOURCE_SOCKETS]
        number = self._numbers.setdefault(session[0], len(self._numbers))
        sock = self._sockets.enter_context(_connect(self._target, number, self._kind))
        is_stream = self._kind == socket.SOCK_STREAM
        sender = StreamSender(sock) if is_stream else DatagramSender(sock)
        return self._senders.setdefault(session, sender)


def _connect(target: ListenAddress, number: int, kind: socket.SocketKind) -> socket.socket:
    """Open the socket of exporter `number`; on 127.0.0.0/8 it has its own address."""
    infos = socket.getaddrinfo(target.host, target.port, type=kind)
    family, kind, protocol, _, address = infos[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_OCTETS)
        if ipaddress.ip_address(str(address[0]).partition("%")[0]) in _LOOPBACK:
            sock.bind((str(_LOOPBACK[2 + number]), 0))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock
