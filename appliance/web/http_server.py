"""Waitress as it is needed here: errors in the API's form, deadlines, and bounded connections."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from appliance.web.application import security_headers
from appliance.web.bodies import JSON
from appliance.web.connections import Places
from appliance.web.errors import error_body

REQUEST_SECONDS = 30.0
"""A request that has not arrived completely by then is given up."""

ANSWER_SECONDS = 300.0
"""An answer that its client has not taken by then is given up."""


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
        """Close it at once; to be called in the loop's thread.

        `will_close` would wait until the client takes what was sent before.
        """
        self.handle_close()

    def is_late(self, now: float) -> bool:
        """Tell whether a request takes too long to arrive, or an answer to be taken."""
        receiving, sending = self.receiving_since, self.sending_since
        is_slow = receiving is not None and now - receiving > REQUEST_SECONDS and not self.requests
        return is_slow or (sending is not None and now - sending > ANSWER_SECONDS)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        """Leave the server and its place."""
        super().del_channel(map)
        if self.server.places is not None:
            self.server.places.discard(self)

    def write_soon(self, data: bytes) -> int:
        """Send octets, or wait until the client has taken enough of those before."""
        octets = int(super().write_soon(data))
        # An answer of any length may take any time, as long as its client goes on taking it.
        self.sending_since = None
        return octets

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
        for channel in list(self.active_channels.values()):
            if not channel.total_outbufs_len:
                channel.sending_since = None
            elif channel.sending_since is None:
                channel.sending_since = now
            if channel.will_close or channel.is_late(now):
                channel.give_up()


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
