"""One exporter's connection: its handshake, its octets, and for how long it may be silent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

from appliance.collector.tcp.splitting import BrokenStream, MessageSplitter
from appliance.contracts import StreamFraming
from appliance.decoding.messages.session_numbers import Transport
from appliance.decoding.results import Exporter

HANDSHAKE_SECONDS = 10.0
MESSAGE_SECONDS = 60.0
"""A message that has begun must be whole after it, however its octets come in."""

READ_OCTETS = 65_536
"""What is read at once; with it and the rest of a message a connection takes 128 kB."""


class Wants(Enum):
    """What a connection waits for."""

    READ = auto()
    WRITE = auto()
    NOTHING = auto()
    """It has octets that no event of the kernel will tell of."""

    END = auto()
    """The exporter has closed it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end."""

    exporter: Exporter
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Connection:
    """One connection; used by one thread.

    Attributes
    ----------
    number
        Of its session (`session_numbers`).
    is_open
        Whether the handshake is done; over TCP there is none.
    is_paused
        Whether it is not read now, because the collector is behind with its exporter.
    expects_write
        Whether the handshake waits until octets can be sent.
    n_messages, octets_read
        Whole messages, and octets, so far.
    silent_since
        When octets last came, on the monotonic clock.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        number: int,
        framings: Mapping[int, StreamFraming],
        now: float,
    ) -> None:
        self.sock, self.peer, self.number = sock, peer, number
        self.transport = Transport.TLS if isinstance(sock, ssl.SSLSocket) else Transport.TCP
        self.is_open = self.transport == Transport.TCP
        self.is_paused = False
        self.n_messages = self.octets_read = 0
        self._begun = False
        self.expects_write = False
        self.silent_since = self._since = now
        self._splitter = MessageSplitter(framings)

    def shake_hands(self, now: float) -> Wants:
        """Go on with the handshake.

        Raises
        ------
        OSError
            It failed; `ssl.SSLError` is one.
        """
        try:
            cast(ssl.SSLSocket, self.sock).do_handshake()
        except ssl.SSLWantReadError:
            return Wants.READ
        except ssl.SSLWantWriteError:
            return Wants.WRITE
        self.is_open = True
        self.silent_since = self._since = now
        return Wants.NOTHING

    def read(self, now: float) -> tuple[Wants, list[bytes], BrokenStream | None]:
        """Read once; return what to wait for, the messages, and why it cannot go on.

        Raises
        ------
        OSError
            The connection is broken.
        """
        try:
            octets = self.sock.recv(READ_OCTETS)
        except (ssl.SSLWantReadError, BlockingIOError, InterruptedError):
            return Wants.READ, [], None
        except ssl.SSLWantWriteError:
            return Wants.WRITE, [], None
        except ssl.SSLEOFError:
            octets = b""  # RFC 7011 asks for no closure alert: what came is whole or it is not.
        if not octets:
            return Wants.END, [], self._cut()
        self.octets_read += len(octets)
        messages, broken = self._splitter.messages(octets)
        self._note(now, n_messages=len(messages))
        return Wants.NOTHING, messages, broken

    def pause(self) -> None:
        """Note that it is not read."""
        self.is_paused = True

    def resume(self, now: float) -> None:
        """Note that it is read again; while it was not, its silence was ours."""
        self.is_paused = False
        self.silent_since = self._since = now

    def overdue(self, now: float, idle_seconds: float) -> str:
        """Return the fixed word for what it has not done in time; "" while all is well."""
        if not self.is_open:
            return "handshake_timeout" if now - self._since >= HANDSHAKE_SECONDS else ""
        if self.is_paused:
            return ""
        if self._splitter.pending_octets and now - self._since >= MESSAGE_SECONDS:
            return "message_timeout"
        if idle_seconds and now - self.silent_since >= idle_seconds:
            return "idle"
        return ""

    def _note(self, now: float, *, n_messages: int) -> None:
        self.silent_since = now
        # The time of a message counts from when it can have begun.
        if n_messages or not self._begun:
            self._since = now
        self._begun = self._splitter.pending_octets > 0
        self.n_messages += n_messages

    def _cut(self) -> BrokenStream | None:
        pending = self._splitter.pending_octets
        if not pending:
            return None
        return BrokenStream("cut_message", f"ended {pending} octets into a message")
