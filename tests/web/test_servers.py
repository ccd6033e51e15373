from __future__ import annotations

import json
import re
import socket
import threading
import time

import pytest

from appliance.errors import SettingsError, StartupError
from appliance.settings.types import ListenAddress
from appliance.web import http_server, servers
from appliance.web.access_log import access_line
from appliance.web.api_server import TlsFiles
from appliance.web.guard import NEED_AUTH
from appliance.web.listeners import Listener
from appliance.web.servers import ServerLimits, WebServer
from tests.web.serving import ANY, SECONDS, answer, connect, eventually, exchange, get, serving


def echo(environ, start_response):
    """Answer with what the server says of the request."""
    names = ("REMOTE_ADDR", "wsgi.url_scheme", "PATH_INFO", "HTTP_X_FORWARDED_FOR", NEED_AUTH)
    facts = {name: environ.get(name) for name in names}
    facts["body"] = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]


@pytest.fixture(scope="module")
def server():
    listeners = (Listener(ANY, "one"), Listener(ANY, "two", need_auth=False))
    limits = ServerLimits(threads=2, connections=400, body_octets=1000)
    with serving(echo, *listeners, limits=limits) as running:
        yield running


def error_of(reply) -> str:
    status, headers, body = reply
    found = json.loads(body)
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert (list(found), found["success"]) == (["success", "message"], False)
    return f"{status} {found['message']}"


def test_server_when_two_listeners_then_both_answer_and_each_knows_its_own(server):
    for index, need_auth in ((0, True), (1, False)):
        with connect(server, index) as connection:
            status, headers, body = exchange(connection, get("/x"))
        assert (status, json.loads(body)[NEED_AUTH]) == (200, need_auth)
        assert "server" not in headers
        assert json.loads(body)["REMOTE_ADDR"] == "127.0.0.1"


def test_server_when_asked_for_urls_then_with_the_bound_ports(server):
    ports = [endpoint.address.port for endpoint in server.endpoints]
    assert server.urls == [f"http://127.0.0.1:{port}/" for port in ports]


def test_connection_when_kept_then_answers_again(server):
    with connect(server) as connection:
        for _ in range(3):
            assert exchange(connection, get())[0] == 200


def test_forwarded_header_when_a_client_sends_one_then_left_for_the_guard(server):
    with connect(server) as connection:
        facts = json.loads(exchange(connection, get("/", "X-Forwarded-For: 192.0.2.1"))[2])
    assert facts["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"
    assert facts["REMOTE_ADDR"] == "127.0.0.1"


def test_body_when_too_large_then_413_in_json(server):
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    with connect(server) as connection:
        assert json.loads(exchange(connection, (head.format(1000)).encode() + b"x" * 1000)[2])
    with connect(server) as connection:
        assert error_of(exchange(connection, head.format(1001).encode())).startswith("413 ")
    chunked = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + b"x" * 0x800
    )
    with connect(server) as connection:
        assert error_of(exchange(connection, chunked + b"\r\n0\r\n\r\n")).startswith("413 ")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * servers.MAX_HEADER_OCTETS + b"\r\n\r\n", 431),
        (b"\r\n\r\n\x16\x03\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_request_when_malformed_then_refused_in_json(server, octets, status):
    with connect(server) as connection:
        assert error_of(exchange(connection, octets)).startswith(f"{status} ")


def test_silent_connections_when_fifty_then_another_client_is_answered_at_once(server):
    silent = [connect(server) for _ in range(50)]
    started = time.monotonic()
    with connect(server) as connection:
        assert exchange(connection, get())[0] == 200
    assert time.monotonic() - started < 5
    for connection in silent:
        connection.close()


def test_request_when_it_does_not_arrive_in_time_then_cut(monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(servers, "_CLEANUP_SECONDS", 0)
    monkeypatch.setattr(servers, "_LOOP_SECONDS", 0.05)
    with serving(echo) as running, connect(running) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert slow.recv(1) == b""


def test_connection_when_idle_too_long_then_closed(monkeypatch):
    monkeypatch.setattr(servers, "_CLEANUP_SECONDS", 0)
    monkeypatch.setattr(servers, "_LOOP_SECONDS", 0.05)
    listener = Listener(ANY, "x", idle_seconds=1.0)
    with serving(echo, listener) as running, connect(running) as connection:
        assert exchange(connection, get())[0] == 200
        assert connection.recv(1) == b""


def test_stop_when_a_request_is_running_then_it_is_answered():
    entered, proceed = threading.Event(), threading.Event()

    def slow(environ, start_response):
        entered.set()
        assert proceed.wait(SECONDS)
        return echo(environ, start_response)

    server = WebServer(slow, [Listener(ANY, "x")])
    server.start()
    with connect(server) as connection:
        connection.sendall(get())
        assert entered.wait(SECONDS)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        proceed.set()
        status, _, body = answer(connection)
        assert (status, json.loads(body)["PATH_INFO"]) == (200, "/")
        assert connection.recv(1) == b""
        stopping.join(SECONDS)
    assert not stopping.is_alive()
    assert server.endpoints == []


def test_stop_when_connections_are_idle_then_at_once_and_the_port_is_free():
    server = WebServer(echo, [Listener(ANY, "x")])
    server.start()
    address = server.endpoints[0].address
    idle = connect(server)
    assert exchange(idle, get())[0] == 200
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 3
    assert idle.recv(1) == b""
    idle.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(address)


def test_stop_when_never_started_then_nothing():
    WebServer(echo, [Listener(ANY, "x")]).stop()


def test_start_when_the_port_is_busy_then_one_sentence_and_nothing_is_left_open(server):
    busy = server.endpoints[0].address
    free = Listener(ANY, "web.listen")
    second = WebServer(echo, [free, Listener(busy, "listen.port of api_server.yml")])
    sentence = (
        f"cannot listen on {busy}: the port is used by another program, stop it or change"
        " listen.port of api_server.yml"
    )
    with pytest.raises(StartupError, match=f"^{re.escape(sentence)}$") as caught:
        second.start()
    assert caught.value.exit_code == 2
    assert second.endpoints == []


def test_start_when_the_address_is_foreign_then_one_sentence():
    listener = Listener(ListenAddress("192.0.2.77", 0), "web.listen")
    with pytest.raises(StartupError, match="it is not an address of this machine"):
        WebServer(echo, [listener]).start()


def test_start_when_the_access_log_cannot_be_written_then_one_sentence(tmp_path):
    listener = Listener(ANY, "x", access_log=tmp_path / "none" / "access.log")
    with pytest.raises(SettingsError, match=r"accessLogFile: .*none/access.log cannot be written"):
        WebServer(echo, [listener]).start()


@pytest.mark.parametrize("content", ["", "not PEM"])
def test_start_when_the_certificate_is_none_then_one_sentence(tmp_path, content):
    files = TlsFiles(tmp_path / "c", tmp_path / "k")
    with pytest.raises(SettingsError, match="/c: cannot be read: no such file"):
        WebServer(echo, [Listener(ANY, "x", files)]).start()
    for path in (files.certificate, files.key):
        path.write_text(content)
    with pytest.raises(SettingsError, match="/c: is no certificate for the key"):
        WebServer(echo, [Listener(ANY, "x", files)]).start()


def test_access_log_when_configured_then_a_line_for_each_request(tmp_path):
    file = tmp_path / "access.log"
    with serving(echo, Listener(ANY, "x", access_log=file)) as running:
        with connect(running) as connection:
            exchange(connection, get("/a?b=%22c"))
        eventually(lambda: file.read_text().count("\n") == 1)
    moment = r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    line = file.read_text()
    assert re.fullmatch(rf'127.0.0.1 - - {moment} "GET /a\?b=%22c HTTP/1.1" 200 \d+\n', line)


def test_access_line_when_the_request_is_hostile_then_still_one_line_of_its_form():
    environ = {"REQUEST_METHOD": "GET", "REQUEST_URI": '/"\n\x1b[31m\xe9\u2028' + "x" * 9999}
    line = access_line(environ, "404 Not Found", 5)
    assert line.isprintable()
    assert line.isascii()
    assert line.count('"') == 2
    assert len(line) < 1300


def test_access_log_when_rotated_then_written_anew(tmp_path):
    file = tmp_path / "access.log"
    with serving(echo, Listener(ANY, "x", access_log=file)) as running:
        for _ in range(2):
            with connect(running) as connection:
                exchange(connection, get())
            eventually(lambda: file.exists() and file.read_text().count("\n") == 1)
            file.rename(tmp_path / "access.log.1")
            (tmp_path / "access.log.1").unlink()


def test_descriptors_when_the_listeners_need_more_then_allowed(monkeypatch):
    set_to: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr("resource.getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda which, limit: set_to.append(limit))
    servers._allow_descriptors([Listener(ANY, "x")], ServerLimits(connections=100))
    servers._allow_descriptors([Listener(ANY, "x")] * 2, ServerLimits(connections=5000))
    monkeypatch.setattr("resource.getrlimit", lambda which: (8192, 8192))
    servers._allow_descriptors([Listener(ANY, "x")], ServerLimits(connections=100))
    assert set_to == [(612, 4096), (4096, 4096)]
