"""Ends TLS before waitress, which has none: takes connections, does each handshake on its own, and
passes the octets on.

A connection reaches waitress as one end of a socket pair, handed over inside the process together
with the client's address, so nobody else can claim one. A silent client costs a slot for the five
seconds of the handshake and holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from appliance.ratelimit import RateLimited
from appliance.web.connections import Places

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 5.0
STALL_SECONDS = 300.0
"""A client that takes not even a chunk in this time is cut off."""

CHUNK_OCTETS = 65536
_ACCEPT_PAUSE_SECONDS = 0.2
_FLUSH_SECONDS = 2.0

HandOver = Callable[[socket.socket, tuple[str, int]], None]
"""Gives waitress a plain connection and the client's address and port."""


class Relayed:
    """One connection: the task that passes its octets on, and when it last did."""

    def __init__(self) -> None:
        self.silent_since = time.monotonic()
        self.task: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Note that octets came or went."""
        self.silent_since = time.monotonic()

    def give_up(self) -> None:
        """End it soon."""
        if self.task is not None:
            self.task.cancel()


class TlsRelay:
    """Accepts TLS on one listening socket, in a thread with an event loop of its own.

    Attributes
    ----------
    counts
        Connections by what became of them: accepted, failed handshakes.
    """

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        hand_over: HandOver,
        places: Places[Relayed],
    ) -> None:
        self._listening, self._context, self._hand_over = listening, context, hand_over
        self._places = places
        self.counts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._muted = RateLimited(log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tls-relay", daemon=True)

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()
        self._started.wait()

    @property
    def is_alive(self) -> bool:
        """Whether its loop still runs."""
        return self._thread.is_alive()

    def stop_accepting(self) -> None:
        """Take no further connection and give handshakes up."""
        self._call(self._quiet)

    def stop(self) -> None:
        """Pass on what the server has answered already, for a moment, then cut every connection.

        To be called when the server has closed its ends.
        """
        self.stop_accepting()
        self._call(lambda: self._stop.set() if self._stop is not None else None)
        self._thread.join()

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    def _quiet(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        for task in self._handshakes:
            task.cancel()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(
            lambda _loop, context: log.debug("tls relay: %s", context.get("message"))
        )
        self._accepting = asyncio.create_task(self._accept())
        self._started.set()
        await self._stop.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FLUSH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._accepting, *self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as error:
                # Out of descriptors, or the client was gone already: try again a little later.
                self._muted.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            client = str(address[0]).partition("%")[0]
            if not self._places.make_room(client):
                connection.close()
                continue
            relayed = Relayed()
            task = asyncio.create_task(self._relay(connection, (client, int(address[1])), relayed))
            relayed.task = task
            self._places.add(relayed, client)
            self._tasks.add(task)
            self._handshakes.add(task)
            task.add_done_callback(functools.partial(self._done, relayed))

    def _done(self, relayed: Relayed, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._handshakes.discard(task)
        self._places.discard(relayed)
        if not task.cancelled() and task.exception() is not None:
            log.error("tls relay failed", exc_info=task.exception())

    async def _relay(
        self, connection: socket.socket, client: tuple[str, int], relayed: Relayed
    ) -> None:
        try:
            reader, writer = await self._handshake(connection)
        # Whatever a client does instead of a handshake; asyncio raises several kinds for it.
        except (OSError, EOFError, ValueError) as error:
            self.counts["failed_handshakes"] += 1
            log.debug("no TLS handshake with %s: %s", client[0], error)
            connection.close()
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        self.counts["accepted"] += 1
        task = asyncio.current_task()
        if task is not None:
            self._handshakes.discard(task)
        ours, theirs = socket.socketpair()
        self._hand_over(theirs, client)
        plain_reader, plain_writer = await asyncio.open_connection(sock=ours)
        pumps = [
            asyncio.create_task(_pump(reader, plain_writer, relayed)),
            asyncio.create_task(_pump(plain_reader, writer, relayed)),
        ]
        try:
            # The server's side decides when a connection is over; it also sees the client's end.
            await pumps[1]
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in (plain_writer, writer):
                each.close()
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(each.wait_closed(), 1.0)

    async def _handshake(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = asyncio.StreamReader(limit=CHUNK_OCTETS)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: Any
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=1.0,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, relayed: Relayed
) -> None:
    """Copy until one side ends or breaks; the other side is told either way."""
    with contextlib.suppress(OSError):
        while octets := await reader.read(CHUNK_OCTETS):
            relayed.touch()
            writer.write(octets)
            async with asyncio.timeout(STALL_SECONDS):
                await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
