"""Listening sockets of connections: opened, accepted from, with TLS where it is asked for."""

from __future__ import annotations

import contextlib
import itertools
import logging
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from appliance.collector.sockets import address_of, has_v4_twin, open_socket
from appliance.collector.tcp.admission import ConnectionLimits
from appliance.collector.tcp.connection import Connection, Peer
from appliance.collector.tcp.tls import ReloadedContext, TlsFiles
from appliance.contracts import StreamFraming
from appliance.decoding.messages.session_numbers import Transport, connection_number
from appliance.flows import address_halves
from appliance.ratelimit import RateLimited
from appliance.settings.types import ListenAddress

log = logging.getLogger(__name__)

RECEIVE_BUFFER_OCTETS = 262_144
"""What the kernel keeps of a connection that is not read."""

BACKLOG = 128
_ACCEPTS_AT_ONCE = 32
_PAUSE_SECONDS = 0.2
_SPIN_SECONDS = 0.001
_CERTIFICATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Where connections are taken, and what is let in.

    Attributes
    ----------
    framings
        By version: the protocols that come over connections.
    tls_files
        Of the addresses in `tls`; None where there are none.
    """

    tcp: Sequence[ListenAddress]
    tls: Sequence[ListenAddress]
    framings: Mapping[int, StreamFraming]
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    allowed: Sequence[IPv4Network | IPv6Network] = ()
    tls_files: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection that came, of whomever."""

    sock: socket.socket
    peer: Peer
    transport: Transport


class Acceptor:
    """The listening sockets; `start` is for the thread that starts, the rest for one other.

    Attributes
    ----------
    addresses
        Where it listens, as bound, with TCP or TLS.
    warnings
        Sentences about what `start` had to do differently.
    """

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._context: ReloadedContext | None = None
        self._listening: dict[int, tuple[socket.socket, Transport]] = {}
        self._serials = itertools.count(1)
        self._accept_at = self._renew_at = 0.0
        self._log = RateLimited(log)
        self.addresses: list[tuple[Transport, ListenAddress]] = []
        self.warnings: list[str] = []

    def start(self, undo: contextlib.ExitStack, epoll: select.epoll) -> None:
        """Bind every address; `undo` closes them.

        Raises
        ------
        StartupError
            An address or the certificate cannot be used.
        """
        settings = self._settings
        if settings.tls_files is not None:
            self._context = ReloadedContext(settings.tls_files)
        for transport, listen in ((Transport.TCP, settings.tcp), (Transport.TLS, settings.tls)):
            for address in listen:
                self._listen(undo, epoll, transport, address)

    def _listen(
        self,
        undo: contextlib.ExitStack,
        epoll: select.epoll,
        transport: Transport,
        address: ListenAddress,
    ) -> None:
        listen = (*self._settings.tcp, *self._settings.tls)
        sock, warning = open_socket(
            address, v6_only=has_v4_twin(address, listen), kind=socket.SOCK_STREAM
        )
        undo.enter_context(sock)
        self.warnings += [warning] if warning else []
        # Connections inherit it, and do not grow beyond it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
        sock.listen(BACKLOG)
        self.addresses.append((transport, address_of(sock)))
        self._listening[sock.fileno()] = sock, transport
        epoll.register(sock, select.EPOLLIN)

    def listens_at(self, number: int) -> bool:
        """Tell whether a file descriptor is a listening socket."""
        return number in self._listening

    def stop(self, epoll: select.epoll) -> None:
        """Accept no more."""
        while self._listening:
            _, (sock, _) = self._listening.popitem()
            epoll.unregister(sock)

    def accept(self, number: int) -> Iterator[Accepted]:
        """Yield connections that wait at a listening socket, so many at most."""
        listening, transport = self._listening[number]
        now = time.monotonic()
        if now < self._accept_at:
            time.sleep(_SPIN_SECONDS)
            return
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, name = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors, or the exporter has gone already.
                self._accept_at = now + _PAUSE_SECONDS
                self._log.warning("cannot accept a connection: %s", error.strerror)
                return
            yield Accepted(sock, _peer(name), transport)

    def connection(self, accepted: Accepted, now: float) -> Connection:
        """Return the connection of what was accepted, with a number of its own.

        Raises
        ------
        OSError
            It is broken already.
        """
        sock, transport = accepted.sock, accepted.transport
        sock.setblocking(False)
        _keep_alive(sock)
        if transport == Transport.TLS and self._context is not None:
            sock = self._context.context.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
        number = connection_number(next(self._serials), transport, accepted.peer.port)
        return Connection(sock, accepted.peer, number, self._settings.framings, now)

    def look(self, now: float) -> None:
        """Read the certificate again when it has changed, now and then."""
        if self._context is not None and now >= self._renew_at:
            self._renew_at = now + _CERTIFICATE_SECONDS
            self._context.renew()


def _peer(name: tuple[str, int]) -> Peer:
    address, port = name[0].partition("%")[0], int(name[1])
    address = address.removeprefix("::ffff:") if "." in address else address
    return Peer(address_halves(address), address, port)


def _keep_alive(sock: socket.socket) -> None:
    """Let the kernel notice an exporter that has gone without a word, within two minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 60),
        (socket.TCP_KEEPINTVL, 15),
        (socket.TCP_KEEPCNT, 4),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
