"""The client: what servers answer, and what something else at their port may answer."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.plugins.clickhouse.http import (
    Access,
    HostPort,
    Refused,
    Server,
    Unreachable,
    identifier,
    literal,
    try_each,
)
from appliance.plugins.clickhouse.native import NativeColumn, decode_blocks, encode_block
from tests.plugins.clickhouse.world import Place

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "nothing": b"",
    "no HTTP": b"\x00\xff\x00\xff\r\n\r\n",
    "no JSON": OK + b"Content-Length: 5\r\n\r\n{dat:",
    "other JSON": OK + b"Content-Length: 2\r\n\r\n[]",
    "deep JSON": OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
    "cut off": OK + b'Content-Length: 999\r\n\r\n{"data": []',
    "long line": OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "error without text": b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
    "endless error": b"HTTP/1.1 500 x\r\n\r\n" + b"z" * 1_000_000,
}


@contextlib.contextmanager
def answering(octets: bytes, then_wait: bool = False) -> Iterator[Server]:
    """What answers each connection with these octets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65_536)
                        connection.sendall(octets)
                        if then_wait:
                            done.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Server(HostPort("127.0.0.1", listener.getsockname()[1]), Access())
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("octets", HOSTILE.values(), ids=HOSTILE.keys())
def test_answer_when_hostile_then_one_sentence(octets: bytes):
    with answering(octets) as server:
        for ask in (server.rows, server.columns):
            with pytest.raises(StorageError) as caught:
                ask("SELECT 1", 5)
            assert len(str(caught.value)) < 400
            assert "\n" not in str(caught.value)


def test_answer_when_it_never_ends_then_not_waited_for():
    with (
        answering(OK + b"Content-Length: 9\r\n\r\nabc", then_wait=True) as server,
        pytest.raises(Unreachable, match="does not answer in time"),
    ):
        server.rows("SELECT 1", 0.5)


def test_blocks_when_damaged_then_an_error_and_never_another():
    columns = [
        NativeColumn("n", "Nullable(UInt32)", np.arange(5), np.arange(5) % 2 == 0),
        NativeColumn("t", "String", np.array(["a", "", "b", "\x00", "ä"], object)),
    ]
    whole = encode_block(columns, 5)
    chance = random.Random(1)
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        damaged = damaged[: chance.randrange(len(damaged) + 1)]
        with contextlib.suppress(ValueError):
            decode_blocks(bytes(damaged))


def test_literals_when_any_text_then_the_server_reads_the_same(single: Place):
    server = single.server()
    texts = ["", "'", "\\", "a'; DROP TABLE x --", "`\n\r\t\x00", "ä€𝄞", "{n:UInt8}", "\\'", "%s"]
    values = [*texts, 0, -5, 2**63, 1.5, None, True]
    sql = ", ".join(map(literal, values))
    (row,) = server.rows(f"SELECT {sql}", database="default")
    assert row == [*texts, 0, -5, 2**63, 1.5, None, 1]
    ((n,),) = server.rows(f"SELECT 'x' IN {literal(['x', 'y'])}", database="default")
    assert n == 1
    name = "odd `name' \\ ä"
    rows = server.columns(f"SELECT 1 AS {identifier(name)}", database="default")
    assert list(rows) == [name]


def test_sign_in_when_password_wrong_then_refused_without_it(single: Place):
    address = single.server().address
    good = Server(address, Access("default", "flows", "secret pass"))
    assert ["flows"] in good.rows("SELECT user FROM processes", database="system")
    with pytest.raises(Refused) as caught:
        Server(address, Access("default", "flows", "guessed")).rows("SELECT 1")
    assert caught.value.code == 193
    assert "guessed" not in str(caught.value)


def test_servers_when_some_are_away_then_the_next_is_asked(single: Place):
    server = single.server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = Server(HostPort("127.0.0.1", taken.getsockname()[1]), Access())
        answer = try_each([away, server], lambda s: s.rows("SELECT 7", database="default"))
        assert answer == [[7]]
        with pytest.raises(Unreachable, match="cannot be reached: connection refused"):
            try_each([away], lambda s: s.rows("SELECT 7"))


def test_tls_when_the_server_speaks_none_then_one_sentence(single: Place):
    plain = single.server().address
    # An old server may wait for the rest of what it takes for a request.
    said = r"^ClickHouse 127\.0\.0\.1:\d+ (cannot be reached: |does not answer in time)"
    with pytest.raises(Unreachable, match=said):
        Server(plain, Access(tls=True)).rows("SELECT 1", 5)
