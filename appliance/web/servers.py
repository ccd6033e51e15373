"""Runs the application on every listener: waitress, with TLS ended before it where configured.

Each listener has its own loop in a thread and its own limit of connections; worker threads are
shared. `stop` lets running requests finish.
"""

from __future__ import annotations

import json
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from appliance.errors import SettingsError
from appliance.settings.server_addresses import ServerAddress, UnixAddress
from appliance.settings.types import ListenAddress
from appliance.web.access_log import WsgiApplication, opened_log, with_access_log
from appliance.web.application import security_headers
from appliance.web.bodies import JSON
from appliance.web.clients import client_of
from appliance.web.connections import ConnectionLimits, Places
from appliance.web.errors import error_body
from appliance.web.guard import NEED_AUTH
from appliance.web.http_server import ApiChannel, ApiServer, UnixApiServer
from appliance.web.large_answers import BUSY, RETRY_SECONDS, Waiting, with_bounded_answers
from appliance.web.listeners import Listener, bound_socket, listen_url, tls_context
from appliance.web.unix_sockets import behind_proxy

log = logging.getLogger(__name__)

MAX_HEADER_OCTETS = 16384
STOP_SECONDS = 5.0
_FLUSH_SECONDS = 2.0
_CLEANUP_SECONDS = 5
_LOOP_SECONDS = 1.0
_OTHER_DESCRIPTORS = 512
_NEVER = 1 << 62
_STREAM_OCTETS = 1 << 20
"""So much of an answer that is sent while it is made waits for a slow client."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What the web server takes at a time."""

    threads: int = 8
    connections: int = 512
    body_octets: int = 1_000_000


class Endpoint:
    """One listener at work."""

    def __init__(
        self,
        listener: Listener,
        application: WsgiApplication,
        dispatcher: Any,
        limits: ServerLimits,
    ) -> None:
        self.listener = listener
        self._context = tls_context(listener.tls) if listener.tls else None
        self._socket = bound_socket(listener)
        try:
            self._access_log = _access_log(listener)
        except SettingsError:
            self._socket.close()
            raise
        self.address = _bound_address(listener, self._socket)
        self._channels: dict[int, Any] = {}
        is_unix = isinstance(listener.address, UnixAddress)
        self._server = (UnixApiServer if is_unix else ApiServer)(
            listening_application(application, listener, self._access_log, self._waiting),
            map=self._channels,
            _start=self._context is None,
            _sock=self._socket,
            dispatcher=dispatcher,
            adj=_adjustments(listener, limits),
            sockinfo=(self._socket.family, self._socket.type, 0, self._socket.getsockname()),
            bind_socket=False,
        )
        places = Places[Any](ConnectionLimits.of(limits.connections), str(self.address))
        self._relay: TlsRelay | None = None
        if self._context is not None:
            # It needs asyncio, which nothing else here does.
            from appliance.web.tls_relay import TlsRelay

            self._relay = TlsRelay(self._socket, self._context, self._take, places)
        elif not is_unix:
            self._server.places = places
        self._flushed_by = float("inf")
        self._thread = threading.Thread(target=self._loop, name=str(self.address), daemon=True)

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        return listen_url(self.listener, getattr(self.address, "port", None))

    @property
    def is_alive(self) -> bool:
        """Whether its loop, and its relay, still run."""
        relay = self._relay
        return self._thread.is_alive() and (relay is None or relay.is_alive)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()
        if self._relay is not None:
            self._relay.start()

    def stop_accepting(self) -> None:
        """Take no further connection."""
        self._server.accepting = False
        self._server.pull_trigger()
        if self._relay is not None:
            self._relay.stop_accepting()

    def finish(self) -> None:
        """Write out what is answered already, then close every connection."""
        self._flushed_by = time.monotonic() + _FLUSH_SECONDS
        self._server.pull_trigger()
        self._thread.join()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        if self._relay is not None:
            self._relay.stop()
        self.close()

    def close(self) -> None:
        """Close what the constructor opened, and every connection."""
        wasyncore.close_all(self._channels, ignore_all=True)
        self._socket.close()
        if self._access_log is not None:
            self._access_log.close()

    def _waiting(self, address: str) -> tuple[int, int]:
        """Return how many octets wait to be sent, of all clients and of that one."""
        client, of_all, of_client = client_of(address), 0, 0
        for channel in list(self._server.active_channels.values()):
            of_all += channel.total_outbufs_len
            of_client += channel.total_outbufs_len * (client_of(channel.addr[0]) == client)
        return of_all, of_client

    def _loop(self) -> None:
        while not self._is_finished():
            wasyncore.loop(_LOOP_SECONDS, use_poll=True, map=self._channels, count=1)

    def _is_finished(self) -> bool:
        if self._flushed_by == float("inf"):
            return False
        channels = list(self._server.active_channels.values())
        pending = any(channel.total_outbufs_len for channel in channels)
        return not pending or time.monotonic() > self._flushed_by

    def _take(self, connection: socket.socket, client: tuple[str, int]) -> None:
        """Take a connection over from the relay; the channel is made in the loop's thread."""

        def take() -> None:
            server = self._server
            ApiChannel(server, connection, client, server.adj, map=self._channels)

        self._server.trigger.pull_trigger(take)


class WebServer:
    """The application on all its listeners, from `start` to `stop`."""

    def __init__(
        self,
        application: WsgiApplication,
        listeners: Sequence[Listener],
        limits: ServerLimits | None = None,
    ) -> None:
        self._application, self._listeners = application, listeners
        self._limits = limits or ServerLimits()
        self._dispatcher: Any = None
        self.endpoints: list[Endpoint] = []

    def start(self) -> None:
        """Bind every listener, then answer.

        Raises
        ------
        StartupError, SettingsError
            An address cannot be bound, or a certificate not be used; nothing listens then.
        """
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._dispatcher = ThreadedTaskDispatcher()
        _allow_descriptors(self._listeners, self._limits)
        try:
            for listener in self._listeners:
                self.endpoints.append(
                    Endpoint(listener, self._application, self._dispatcher, self._limits)
                )
        except BaseException:
            for endpoint in self.endpoints:
                endpoint.close()
            self.endpoints.clear()
            raise
        self._dispatcher.set_thread_count(self._limits.threads)
        for endpoint in self.endpoints:
            endpoint.start()

    @property
    def urls(self) -> list[str]:
        """Where this machine reaches the listeners."""
        return [endpoint.url for endpoint in self.endpoints]

    @property
    def is_alive(self) -> bool:
        """Whether every listener still works."""
        return all(endpoint.is_alive for endpoint in self.endpoints)

    def stop(self) -> None:
        """Let running requests finish, for a few seconds, and close everything."""
        for endpoint in self.endpoints:
            endpoint.stop_accepting()
        if self._dispatcher is not None:
            self._dispatcher.shutdown(cancel_pending=True, timeout=STOP_SECONDS)
        for endpoint in self.endpoints:
            endpoint.finish()
        self.endpoints.clear()


def listening_application(
    application: WsgiApplication,
    listener: Listener,
    access_log: logging.Handler | None,
    waiting: Waiting,
) -> WsgiApplication:
    """Wrap the application with what depends on the listener."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[NEED_AUTH] = listener.need_auth
        return application(environ, start_response)

    within = with_bounded_answers(wrapped, waiting, _busy)
    whole = within if access_log is None else with_access_log(within, access_log)
    return behind_proxy(whole) if isinstance(listener.address, UnixAddress) else whole


def _busy(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps(error_body(BUSY)).encode()
    headers = security_headers(environ) | {
        "Content-Type": JSON,
        "Content-Length": str(len(body)),
        "Retry-After": str(RETRY_SECONDS),
    }
    start_response("503 Service Unavailable", list(headers.items()))
    return [body]


def _bound_address(listener: Listener, bound: socket.socket) -> ServerAddress:
    if isinstance(listener.address, UnixAddress):
        return listener.address
    return ListenAddress(*bound.getsockname()[:2])


def _allow_descriptors(listeners: Sequence[Listener], limits: ServerLimits) -> None:
    """Raise the soft limit of open files to what full listeners need, as far as one may."""
    each = [3 if listener.tls else 1 for listener in listeners]
    needed = limits.connections * sum(each) + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _access_log(listener: Listener) -> logging.Handler | None:
    path = listener.access_log
    return None if path is None else opened_log(path, "accessLogFile")


def _adjustments(listener: Listener, limits: ServerLimits) -> Any:
    is_unix = isinstance(listener.address, UnixAddress)
    return Adjustments(
        threads=limits.threads,
        # waitress counts too: for a UNIX socket, whose proxy then waits. Else with a margin for
        # connections that were given up and are not closed yet.
        connection_limit=limits.connections * (1 if is_unix else 2) + 2,
        backlog=1024,
        channel_timeout=max(int(listener.idle_seconds), 1),
        cleanup_interval=_CLEANUP_SECONDS,
        max_request_header_size=MAX_HEADER_OCTETS,
        max_request_body_size=limits.body_octets,
        # No temporary files: bodies are bounded by the line above, answers by `waiting`.
        inbuf_overflow=_NEVER,
        outbuf_overflow=_NEVER,
        outbuf_high_watermark=_STREAM_OCTETS,
        url_scheme="https" if listener.tls else "http",
        ident="",
        expose_tracebacks=False,
        # The guard looks at these headers to tell a proxy's requests from local ones.
        clear_untrusted_proxy_headers=False,
        asyncore_use_poll=True,
    )
