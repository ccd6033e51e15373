"""Answers that are sent while they are made: paced by their clients, never taken for whole."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.contracts import PUBLIC, Answer, Route
from appliance.errors import QueryError, RequestError, StorageError
from appliance.web.listeners import Listener
from tests.web.serving import (
    ANY,
    client_context,
    connect,
    eventually,
    get,
    make_certificate,
    serving,
)

PIECE = b"x" * 100_000


class Pieces:
    """So many pieces, counted as they are taken; perhaps an error behind them."""

    def __init__(self, n: int, error: Exception | None = None) -> None:
        self.n, self.error, self.taken = n, error, 0
        self.closed = threading.Event()

    def made(self) -> Iterator[bytes]:
        try:
            for _ in range(self.n):
                self.taken += 1
                yield PIECE
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


def routes(pieces: Pieces) -> list[Route]:
    def handler() -> Answer:
        return Answer(pieces.made(), content_type="text/csv")

    return [Route("GET", "/x", handler, role=PUBLIC)]


def read_all(connection: Any) -> bytes:
    octets = b""
    while part := connection.recv(1 << 20):
        octets += part
    return octets


def chunks(octets: bytes) -> tuple[bytes, bool]:
    """Return the body of a chunked answer, and whether its last chunk came (RFC 9112, 7.1)."""
    body, rest = b"", octets
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, rest = body + rest[:length], rest[length + 2 :]
    return body, False


def test_stream_when_all_is_well_then_sent_whole_and_closed(client_of: Any) -> None:
    pieces = Pieces(5)
    reply = client_of(routes(pieces))("GET", "/x")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/csv")
    assert reply.body == PIECE * 5
    assert pieces.closed.is_set()


def test_stream_when_empty_then_an_empty_answer(client_of: Any) -> None:
    reply = client_of(routes(Pieces(0)))("GET", "/x")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError(429, "Try again"), 429),
        (QueryError("the question is wrong"), 400),
        (StorageError("the log is away"), 503),
        (ValueError("a mistake of a plugin"), 500),
    ],
)
def test_stream_when_nothing_can_be_made_then_the_error_is_the_answer(
    client_of: Any, error: Exception, status: int
) -> None:
    reply = client_of(routes(Pieces(0, error)))("GET", "/x")
    assert reply.status == status
    assert not reply.json["success"]


def test_stream_when_a_piece_is_no_octets_then_500(client_of: Any) -> None:
    route = Route("GET", "/x", lambda: Answer(iter(["text"])), role=PUBLIC)
    assert client_of([route])("GET", "/x").status == 500


def test_stream_when_only_the_head_is_asked_for_then_closed(client_of: Any) -> None:
    pieces = Pieces(5)
    reply = client_of(routes(pieces))("HEAD", "/x")
    assert (reply.status, reply.body) == (200, b"")
    assert pieces.closed.is_set()
    assert pieces.taken == 1


@pytest.fixture
def application(client_of: Any) -> Any:
    """Make the application of a stream."""
    return lambda pieces: client_of(routes(pieces)).web


@pytest.mark.parametrize("error", [QueryError("too long"), ValueError("a mistake")])
def test_stream_when_it_breaks_then_cut_off_so_that_nobody_takes_it_for_whole(
    application: Any, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    pieces = Pieces(3, error)
    with (
        caplog.at_level(logging.WARNING),
        serving(application(pieces)) as server,
        connect(server) as connection,
    ):
        connection.sendall(get("/x"))
        head, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert b"chunked" in head
    assert chunks(rest) == (PIECE * 3, False)
    assert "an answer was cut off" in caplog.text
    assert "Exception while serving" not in caplog.text


def test_stream_when_its_client_is_slow_then_made_only_as_fast(application: Any) -> None:
    pieces = Pieces(150)
    with serving(application(pieces)) as server, connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        connection.sendall(get("/x", "Connection: close"))
        eventually(lambda: pieces.taken > 5)
        before = -1
        while before != (before := pieces.taken):
            threading.Event().wait(0.2)
        # What waits: a mebibyte here, and the buffers of the kernel.
        assert pieces.taken < 140
        _, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert chunks(rest) == (PIECE * 150, True)


def test_stream_when_its_client_goes_then_closed(application: Any) -> None:
    pieces = Pieces(10_000)
    with serving(application(pieces)) as server:
        with connect(server) as connection:
            connection.sendall(get("/x"))
            connection.recv(1000)
        assert pieces.closed.wait(10)
    assert pieces.taken < 10_000


def test_stream_when_its_client_takes_nothing_then_given_up(
    application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.web.http_server.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("appliance.web.servers._CLEANUP_SECONDS", 0.1)
    pieces = Pieces(10_000)
    with serving(application(pieces)) as server, connect(server) as connection:
        connection.sendall(get("/x"))
        assert pieces.closed.wait(10)
    assert pieces.taken < 10_000


def test_stream_when_it_takes_longer_than_an_answer_may_then_goes_on(
    application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.web.http_server.ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("appliance.web.servers._CLEANUP_SECONDS", 0.1)
    monkeypatch.setattr("appliance.web.servers._LOOP_SECONDS", 0.1)
    monkeypatch.setattr(
        "appliance.web.http_server.ApiServer.set_socket_options",
        lambda _, connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536),
    )
    octets = b""
    with serving(application(Pieces(150))) as server, connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        connection.sendall(get("/x", "Connection: close"))
        while part := connection.recv(65536):
            octets += part
            threading.Event().wait(len(part) / 5_000_000)
    assert chunks(octets.partition(b"\r\n\r\n")[2])[1]


def test_stream_when_by_tls_then_whole(application: Any, tmp_path: Any) -> None:
    files = make_certificate(tmp_path)
    pieces = Pieces(100)
    listener = Listener(ANY, "tls", tls=files)
    with (
        serving(application(pieces), listener) as server,
        connect(server, context=client_context(files)) as connection,
    ):
        connection.sendall(get("/x", "Connection: close"))
        _, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert chunks(rest) == (PIECE * 100, True)


def test_stream_when_access_is_logged_then_its_octets_at_its_end(
    application: Any, tmp_path: Any
) -> None:
    file = tmp_path / "access.log"
    with serving(application(Pieces(7)), Listener(ANY, "x", access_log=file)) as server:
        with connect(server) as connection:
            connection.sendall(get("/x", "Connection: close"))
            read_all(connection)
        eventually(lambda: file.read_text().endswith(f" 200 {7 * len(PIECE)}\n"))
