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
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from appliance.errors import SettingsError
from appliance.server_addresses import ServerAddress, UnixAddress
from appliance.setting_types import ListenAddress
from appliance.web.access_log import WsgiApplication, logged, opened_log
from appliance.web.application import security_headers
from appliance.web.bodies import JSON
from appliance.web.connections import ConnectionLimits, Places
from appliance.web.errors import error_body
from appliance.web.guard import NEED_AUTH
from appliance.web.listeners import Listener, bound_socket, listen_url, tls_context
from appliance.web.tls_relay import TlsRelay
from appliance.web.unix_sockets import behind_proxy

log = logging.getLogger(__name__)

MAX_HEADER_OCTETS = 16384
REQUEST_SECONDS = 30.0
"""A request that has not arrived completely by then is given up."""

ANSWER_SECONDS = 300.0
"""An answer that its client has not taken by then is given up."""

STOP_SECONDS = 5.0
_FLUSH_SECONDS = 2.0
_CLEANUP_SECONDS = 5
_LOOP_SECONDS = 1.0
_OTHER_DESCRIPTORS = 512


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What the web server takes at a time."""

    threads: int = 8
    connections: int = 512
    body_octets: int = 1_000_000


class JsonErrorTask(ErrorTask):  # type: ignore[misc] # waitress has no types
    """Answers what waitress itself refuses (malformed, too large) in the API's form."""

    def execute(self) -> None:
        """Write the answer."""
        error = self.request.error
        body = json.dumps(error_body(str(error.reason))).encode()
        self.status = f"{error.code} {error.reason}"
        environ = {"wsgi.url_scheme": self.channel.server.adj.url_scheme}
        security = security_headers(environ).items()
        self.response_headers.extend([*security, ("Content-Type", JSON)])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class ApiRequestParser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Reads a request; refuses one that a proxy before us may have seen end elsewhere."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header.

        Raises
        ------
        ParsingError
            It is malformed, or says in two ways how long the body is.
        """
        super().parse_header(header_plus)
        # RFC 9112 section 6.1. waitress takes the name away where it acts upon it.
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding in one request")
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")


class ApiChannel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that remembers since when it has been receiving or sending."""

    parser_class = ApiRequestParser
    error_task_class = JsonErrorTask
    receiving_since: float | None = None
    sending_since: float | None = None

    @property
    def silent_since(self) -> float | None:
        """When it last sent or received; None while a request is being answered."""
        return None if self.requests else float(self.last_activity)

    def give_up(self) -> None:
        """Close it in the loop's next turn."""
        self.will_close = True

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        """Leave the server and its place."""
        super().del_channel(map)
        if self.server.places is not None:
            self.server.places.discard(self)

    def received(self, data: bytes) -> bool:
        """Take octets from the client."""
        result = bool(super().received(data))
        if self.request is None:
            self.receiving_since = None
        elif self.receiving_since is None:
            self.receiving_since = time.time()
        return result


class ApiServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """Waitress on one bound socket.

    Attributes
    ----------
    places
        Its connections; None where the relay before it lets them in, or a proxy.
    """

    channel_class = ApiChannel
    places: Places[ApiChannel] | None = None

    def handle_accept(self) -> None:
        """Let a connection in, or refuse it."""
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, address = accepted
            self.set_socket_options(connection)
        except OSError:
            # The client was gone already, or there are no descriptors.
            return
        address = self.fix_addr(address)
        places = self.places
        if places is not None and not places.make_room(str(address[0])):
            connection.close()
            return
        channel = self.channel_class(self, connection, address, self.adj, map=self._map)
        if places is not None:
            places.add(channel, str(address[0]))

    def maintenance(self, now: float) -> None:
        """Close idle connections, and those whose request or answer takes too long."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            since = channel.receiving_since
            if since is not None and now - since > REQUEST_SECONDS and not channel.requests:
                channel.will_close = True
            if not channel.total_outbufs_len:
                channel.sending_since = None
            elif channel.sending_since is None:
                channel.sending_since = now
            elif now - channel.sending_since > ANSWER_SECONDS:
                channel.will_close = True


class UnixApiServer(ApiServer):
    """Waitress on a UNIX socket, whose clients have no address."""

    def getsockname(self) -> tuple[str, str]:
        """Return what stands for name and port of the server."""
        return "unix", "0"

    def set_socket_options(self, conn: socket.socket) -> None:
        """Leave the options of TCP alone."""

    def fix_addr(self, addr: object) -> tuple[str, int]:
        """Return what stands for the client until the proxy's headers are read."""
        return "unknown", 0


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
            listening_application(application, listener, self._access_log),
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
    application: WsgiApplication, listener: Listener, access_log: logging.Handler | None
) -> WsgiApplication:
    """Wrap the application with what depends on the listener."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[NEED_AUTH] = listener.need_auth
        return application(environ, start_response)

    whole = wrapped if access_log is None else logged(wrapped, access_log)
    return behind_proxy(whole) if isinstance(listener.address, UnixAddress) else whole


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
        url_scheme="https" if listener.tls else "http",
        ident="",
        expose_tracebacks=False,
        # The guard looks at these headers to tell a proxy's requests from local ones.
        clear_untrusted_proxy_headers=False,
        asyncore_use_poll=True,
    )
