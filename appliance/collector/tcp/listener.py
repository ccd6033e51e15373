"""The thread that takes exporters' connections and reads them, as far as the inbox has room.

One thread with epoll serves all of them; nothing in it waits for a single peer, handshakes
included. The collector's thread takes messages from the inbox and is woken when there are many.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from appliance.collector.tcp.acceptor import Accepted, Acceptor, StreamSettings
from appliance.collector.tcp.admission import Admission, with_descriptors
from appliance.collector.tcp.connection import Connection, Wants
from appliance.collector.tcp.inbox import EXPORTER_OCTETS, Inbox, Message
from appliance.ratelimit import RateLimited

log = logging.getLogger(__name__)

WAKE_OCTETS = EXPORTER_OCTETS // 2
"""With so much in the inbox the collector is woken; else it looks several times a second."""

GATHER_SECONDS, GATHER_OCTETS = 0.01, 65_536
"""So long the thread waits after a turn in which it read less; a send buffer holds far more."""

DRAIN_SECONDS = 2.5
"""So long a stop takes what exporters have sent already."""

_READS_AT_ONCE = 4
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_POLL_SECONDS = 0.2


class StreamListener:
    """Listening sockets, their connections, and the thread that serves them.

    Attributes
    ----------
    acceptor
        Its listening sockets.
    counts
        What happened, by fixed words; written by the thread, read by anybody.
    """

    def __init__(self, settings: StreamSettings, inbox: Inbox, wake: Callable[[], None]) -> None:
        """Store what to do; `start` does it.

        Parameters
        ----------
        wake
            Called, in the thread, when there is much in the inbox.
        """
        self._settings, self._inbox, self._wake_collector = settings, inbox, wake
        self._admission = Admission(settings.limits, settings.allowed)
        self.acceptor = Acceptor(settings)
        self._connections: dict[int, Connection] = {}
        self._ready: dict[int, Connection] = {}
        self._paused: dict[int, Connection] = {}
        self._to_close: deque[int] = deque()
        self._log = RateLimited(log)
        self._undo = contextlib.ExitStack()
        self._drain_until: float | None = None
        self._stopping = self._read_something = False
        self._look_at = 0.0
        self._octets_read = 0
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)
        self.counts: Counter[str] = Counter()

    @property
    def is_wanted(self) -> bool:
        """Whether there is an address to listen on."""
        return bool(self._settings.tcp or self._settings.tls)

    @property
    def n_connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    # Of the collector's thread.

    def start(self) -> None:
        """Bind every address, and serve them.

        Raises
        ------
        StartupError
            An address or the certificate cannot be used; nothing stays open.
        """
        limits, warning = with_descriptors(self._settings.limits)
        self._admission = Admission(limits, self._settings.allowed)
        self.acceptor.warnings += [warning] if warning else []
        with contextlib.ExitStack() as undo:
            self._epoll = undo.enter_context(select.epoll())
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, self._event)
            self._epoll.register(self._event, select.EPOLLIN)
            self.acceptor.start(undo, self._epoll)
            self._undo = undo.pop_all()
        self._thread.start()

    def close_session(self, number: int) -> None:
        """Close a connection soon, as nothing that it sends can be understood any more."""
        self._to_close.append(number)
        self.wake()

    def wake(self) -> None:
        """Let the thread look at once, such as when the inbox has room again."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._event, 1)

    def drain(self) -> None:
        """Take no further connection; read what has come already, for a moment, and end."""
        self._drain_until = time.monotonic() + DRAIN_SECONDS
        self.wake()

    def join(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        self._thread.join(seconds)

    @property
    def is_alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Close everything."""
        self._stopping = True
        if self._thread.ident is not None:
            self.wake()
            self._thread.join()
        for connection in self._connections.values():
            connection.sock.close()
        self._undo.close()

    # Of its own thread.

    def _run(self) -> None:
        while not self._stopping:
            drain_until = self._drain_until
            try:
                self._turn()
            # One connection must not end the others' service; this would be a bug of ours.
            except Exception:
                self.counts["failures"] += 1
                self._log.exception("connections: a turn failed")
                time.sleep(_PAUSE_SECONDS)
            # Only a whole turn after the order shows that nothing is left.
            if drain_until is not None and self._is_drained(drain_until):
                return

    def _is_drained(self, until: float) -> bool:
        return time.monotonic() >= until or not self._read_something

    def _turn(self) -> None:
        """Look once at everything that has something to do."""
        self._read_something = False
        if self._drain_until is not None:
            self.acceptor.stop(self._epoll)
        is_busy = bool(self._ready) or self._drain_until is not None
        events = self._epoll.poll(0.0 if is_busy else _POLL_SECONDS)
        ready, self._ready = self._ready, {}
        for number, _ in events:
            if number == self._event:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._event)
            elif self.acceptor.listens_at(number):
                for accepted in self.acceptor.accept(number):
                    self._admit(accepted)
            elif number in self._connections:
                ready[number] = self._connections[number]
        for number, connection in ready.items():
            if self._connections.get(number) is connection and not connection.is_paused:
                self._serve(connection)
        self._close_chosen()
        self._resume()
        self._look()
        self._gather()
        if self._inbox.octets >= WAKE_OCTETS:
            self._wake_collector()

    def _gather(self) -> None:
        """Let little come together: a turn for each few octets would cost more than they do."""
        octets, self._octets_read = self._octets_read, 0
        if 0 < octets < GATHER_OCTETS and self._drain_until is None:
            time.sleep(GATHER_SECONDS)

    def _admit(self, accepted: Accepted) -> None:
        now, peer = time.monotonic(), accepted.peer
        reason = "" if self._admission.is_allowed(peer.address) else "not_allowed"
        if not reason and self._admission.is_full_for(peer.exporter):
            yielding = self._admission.yielding(peer.exporter, self._connections.values(), now)
            if yielding is None:
                reason = "too_many"
            else:
                self._close(yielding, "gave_way")
        if reason:
            accepted.sock.close()
            self.counts[f"refused_{reason}"] += 1
            self._log.warning("connection refused: %s, from %s", _WORDS[reason], peer)
            return
        try:
            connection = self.acceptor.connection(accepted, now)
            self._epoll.register(connection.sock, select.EPOLLIN)
        except OSError:
            accepted.sock.close()
            self.counts["closed_broken"] += 1
            return
        self._connections[connection.sock.fileno()] = connection
        self._admission.add(connection)
        self.counts[f"accepted_{accepted.transport.name.lower()}"] += 1
        self._ready[connection.sock.fileno()] = connection

    def _serve(self, connection: Connection) -> None:
        now = time.monotonic()
        try:
            if not connection.is_open:
                wants = connection.shake_hands(now)
                self._expect(connection, wants)
                if wants != Wants.NOTHING:
                    return
            for _ in range(_READS_AT_ONCE):
                if not self._inbox.has_room(connection.peer.exporter):
                    self._pause(connection)
                    return
                if not self._read(connection, now):
                    return
            self._ready[connection.sock.fileno()] = connection
        except ssl.SSLError as error:
            word = "broken" if connection.is_open else "handshake"
            self._close(connection, word, error.reason or str(error))
        except OSError as error:
            self._close(connection, "broken" if connection.is_open else "handshake", str(error))

    def _read(self, connection: Connection, now: float) -> bool:
        """Read once; return whether there may be more."""
        before = connection.octets_read
        wants, messages, broken = connection.read(now)
        n_octets = connection.octets_read - before
        if messages:
            received_ms = time.time_ns() // 1_000_000
            self._inbox.put(
                connection.peer.exporter,
                [Message(connection.number, octets, received_ms) for octets in messages],
            )
            self.counts["messages"] += len(messages)
            self.counts["octets"] += sum(map(len, messages))
            self._read_something = True
        self._octets_read += n_octets
        if broken is not None:
            self._close(connection, broken.reason, str(broken))
            return False
        if wants == Wants.END:
            self._close(connection, "ended")
            return False
        self._expect(connection, wants)
        return wants == Wants.NOTHING

    def _expect(self, connection: Connection, wants: Wants) -> None:
        event = select.EPOLLOUT if wants == Wants.WRITE else select.EPOLLIN
        if connection.expects_write != (wants == Wants.WRITE):
            connection.expects_write = wants == Wants.WRITE
            self._epoll.modify(connection.sock, event)

    def _pause(self, connection: Connection) -> None:
        """Leave what comes in the kernel, whose buffer then slows the exporter down."""
        connection.pause()
        self._epoll.unregister(connection.sock)
        self._paused[connection.sock.fileno()] = connection
        self.counts["pauses"] += 1
        self._wake_collector()

    def _resume(self) -> None:
        for number, connection in list(self._paused.items()):
            if self._inbox.has_room(connection.peer.exporter):
                del self._paused[number]
                connection.resume(time.monotonic())
                self._epoll.register(connection.sock, select.EPOLLIN)
                self._ready[number] = connection

    def _close_chosen(self) -> None:
        numbers = set()
        while self._to_close:
            numbers.add(self._to_close.popleft())
        if not numbers:
            return
        for connection in list(self._connections.values()):
            if connection.number in numbers:
                self._close(connection, "template_redefined", "a template changed its layout")

    def _look(self) -> None:
        """Close what is overdue, and look after the certificate, now and then."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            for connection in list(self._connections.values()):
                reason = connection.overdue(now, self._settings.limits.idle_seconds)
                if reason:
                    self._close(connection, reason)
        self.acceptor.look(now)

    def _close(self, connection: Connection, reason: str, detail: str = "") -> None:
        """Close a connection; behind its messages the collector learns that it is over."""
        number = connection.sock.fileno()
        self._connections.pop(number, None)
        self._ready.pop(number, None)
        if self._paused.pop(number, None) is None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(connection.sock)
        connection.sock.close()
        self._admission.remove(connection)
        self.counts[f"closed_{reason}"] += 1
        if connection.n_messages:
            end = Message(connection.number, None, time.time_ns() // 1_000_000)
            self._inbox.put(connection.peer.exporter, [end])
        if reason in _WORDS:
            detail = f" ({detail})" if detail else ""
            text = "connection closed: %s%s, from %s"
            self._log.warning(text, _WORDS[reason], detail, connection.peer)


_WORDS = {
    "not_allowed": "not in collector.allowed_exporters",
    "too_many": "too many connections",
    "gave_way": "silent for longest, when another one came",
    "unknown_version": "no message begins here",
    "message_length": "a message shorter than its header",
    "cut_message": "a message is not whole",
    "handshake": "no TLS handshake",
    "handshake_timeout": "no TLS handshake in time",
    "message_timeout": "a message was not whole in time",
    "template_redefined": "not understood any more",
    "broken": "broken",
}
"""What the log says; connections that end as they should are only counted."""
