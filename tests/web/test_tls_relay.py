from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from appliance.web import tls_relay
from appliance.web.connections import ConnectionLimits, Places
from appliance.web.listeners import Listener, bound_socket, tls_context
from appliance.web.servers import ServerLimits, WebServer
from appliance.web.tls_relay import TlsRelay
from tests.web.serving import (
    ANY,
    SECONDS,
    answer,
    client_context,
    connect,
    eventually,
    exchange,
    get,
    make_certificate,
    serving,
)
from tests.web.test_servers import echo

LIMITS = ServerLimits(threads=2, connections=400, body_octets=2_000_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(files):
    return client_context(files)


@pytest.fixture(scope="module")
def server(files):
    with serving(echo, Listener(ANY, "x", files), limits=LIMITS) as running:
        yield running


def relay_of(server):
    return server.endpoints[0]._relay


def test_tls_when_configured_then_https_with_the_clients_address(server, context):
    assert server.urls[0].startswith("https://127.0.0.1:")
    with connect(server, context=context) as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
        for _ in range(2):
            facts = json.loads(exchange(connection, get("/x", "X-Forwarded-For: 192.0.2.9"))[2])
    assert facts["REMOTE_ADDR"] == "127.0.0.1"
    assert facts["wsgi.url_scheme"] == "https"
    assert facts["HTTP_X_FORWARDED_FOR"] == "192.0.2.9"


def test_tls_when_the_client_has_another_address_then_that_one(server, context):
    plain = socket.socket()
    plain.settimeout(SECONDS)
    plain.bind(("127.0.0.5", 0))
    plain.connect(server.endpoints[0].address)
    with context.wrap_socket(plain) as connection:
        assert json.loads(exchange(connection, get())[2])["REMOTE_ADDR"] == "127.0.0.5"


def test_tls_when_the_client_claims_an_address_then_it_is_only_text(server, context):
    with connect(server, context=context) as connection:
        status, _, _ = exchange(connection, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + get())
    assert status == 400


def test_tls_when_the_body_is_large_then_whole(server, context):
    body = b"x" * 1_500_000
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with connect(server, context=context) as connection:
        assert json.loads(exchange(connection, head + body)[2])["body"] == len(body)


def test_tls_when_the_answer_is_large_then_whole(files, context):
    def large(environ, start_response):
        start_response("200 OK", [("Content-Length", "8000000")])
        return [b"y" * 8_000_000]

    listener = Listener(ANY, "x", files)
    with serving(large, listener) as running, connect(running, context=context) as connection:
        assert len(exchange(connection, get())[2]) == 8_000_000


def test_silent_connections_when_fifty_then_another_client_is_answered_at_once(server, context):
    silent = [connect(server) for _ in range(50)]
    half = connect(server)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    started = time.monotonic()
    with connect(server, context=context) as connection:
        assert exchange(connection, get())[0] == 200
    assert time.monotonic() - started < 5
    for each in (*silent, half):
        each.close()
    eventually(lambda: len(relay_of(server)._tasks) == 0)


def test_handshake_when_it_takes_too_long_then_cut(files, monkeypatch):
    monkeypatch.setattr(tls_relay, "HANDSHAKE_SECONDS", 0.2)
    with serving(echo, Listener(ANY, "x", files)) as running, connect(running) as silent:
        assert silent.recv(1) == b""
        eventually(lambda: relay_of(running).counts == {"failed_handshakes": 1})


def test_handshake_when_it_is_no_tls_then_closed_and_counted(files):
    with serving(echo, Listener(ANY, "x", files)) as running:
        for octets in (get(), b"\0" * 100, b"\x16\x03\x01\x00\x05hello"):
            with connect(running) as connection:
                connection.sendall(octets)
                while True:
                    try:
                        if not connection.recv(1000):
                            break
                    except ConnectionError:
                        break
        eventually(lambda: relay_of(running).counts["failed_handshakes"] == 3)
        assert not relay_of(running)._tasks


def test_version_when_old_then_refused(server, files):
    old = client_context(files)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server, context=old) as connection:
        assert connection.version() == "TLSv1.2"
    assert server.endpoints[0]._context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_connections_when_one_address_has_too_many_then_refused_and_others_served(files, context):
    limits = ServerLimits(threads=1, connections=12)
    with serving(echo, Listener(ANY, "x", files), limits=limits) as running:
        silent = [connect(running) for _ in range(3)]
        eventually(lambda: len(relay_of(running)._tasks) == 3)
        with connect(running) as refused:
            assert refused.recv(1) == b""
        assert relay_of(running)._places.counts == {"refused": 1}
        plain = socket.socket()
        plain.settimeout(SECONDS)
        plain.bind(("127.0.0.5", 0))
        plain.connect(running.endpoints[0].address)
        with context.wrap_socket(plain) as connection:
            assert exchange(connection, get())[0] == 200
        for each in silent:
            each.close()


def test_client_when_it_goes_away_then_nothing_is_left(server, context):
    for _ in range(5):
        connection = connect(server, context=context)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.close()
    eventually(lambda: not relay_of(server)._tasks)
    eventually(lambda: not server.endpoints[0]._server.active_channels)
    assert len(relay_of(server)._places) == 0


def test_stop_when_a_request_is_running_then_it_is_answered(files, context):
    entered, proceed = threading.Event(), threading.Event()

    def slow(environ, start_response):
        entered.set()
        assert proceed.wait(SECONDS)
        return echo(environ, start_response)

    server = WebServer(slow, [Listener(ANY, "x", files)])
    server.start()
    with connect(server, context=context) as connection:
        connection.sendall(get())
        assert entered.wait(SECONDS)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        proceed.set()
        assert answer(connection)[0] == 200
        stopping.join(SECONDS)
    assert not stopping.is_alive()


def test_stop_when_an_answer_is_on_its_way_then_it_arrives_whole(files, context):
    handed: list[socket.socket] = []
    listening = bound_socket(Listener(ANY, "x", files))
    places = Places[Any](ConnectionLimits(), "x")
    relay = TlsRelay(listening, tls_context(files), lambda plain, _: handed.append(plain), places)
    relay.start()
    client = socket.socket()
    client.settimeout(SECONDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(listening.getsockname())
    with context.wrap_socket(client) as connection:
        eventually(lambda: len(handed) == 1)
        octets = b"y" * 400_000
        handed[0].sendall(octets)
        handed[0].close()
        stopping = threading.Thread(target=relay.stop)
        stopping.start()
        received = b""
        while part := connection.recv(65536):
            received += part
        assert len(received) == len(octets)
        stopping.join(SECONDS)
    assert not stopping.is_alive()
    listening.close()
