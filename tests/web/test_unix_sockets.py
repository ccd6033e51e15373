from __future__ import annotations

import json
import os
import socket
import stat

import pytest

from appliance.errors import SettingsError, StartupError
from appliance.settings.server_addresses import UnixAddress
from appliance.web.guard import is_from_loopback
from appliance.web.listeners import Listener, listen_url
from appliance.web.servers import ServerLimits
from tests.web.serving import SECONDS, answer, exchange, get, serving

FACTS = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_X_FORWARDED_FOR")


def echo(environ, start_response):
    facts = {name: environ.get(name) for name in FACTS}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts | {"loopback": is_from_loopback(environ)}).encode()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "api.sock"


@pytest.fixture
def ask(path):
    """Ask through the socket; the returned function takes the request's headers."""

    def asked(*headers: str) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SECONDS)
            connection.connect(str(path))
            return json.loads(exchange(connection, get("/", *headers))[2])

    with serving(echo, Listener(UnixAddress(path), "web.listen")):
        yield asked


def test_unix_socket_when_bound_then_only_owner_and_group_may_connect(ask, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_unix_socket_when_a_proxy_tells_client_and_scheme_then_they_count(ask):
    found = ask("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
    assert [found[name] for name in FACTS] == ["192.0.2.7", "https", None]
    assert not found["loopback"]


def test_unix_socket_when_the_client_forged_an_entry_then_only_the_last_one_counts(ask):
    found = ask("X-Forwarded-For: 127.0.0.1, 192.0.2.7")
    assert [found[name] for name in FACTS] == ["192.0.2.7", "http", "127.0.0.1"]
    assert not found["loopback"]


def test_unix_socket_when_the_proxys_client_is_local_then_it_is_from_loopback(ask):
    assert ask("X-Forwarded-For: 127.0.0.1")["loopback"]
    assert not ask("X-Forwarded-For: 192.0.2.7, 127.0.0.1")["loopback"]
    assert not ask("X-Forwarded-For: 127.0.0.1", "Via: 1.1 elsewhere")["loopback"]


@pytest.mark.parametrize("told", [(), ("X-Forwarded-For: nobody",), ("X-Forwarded-For: ",)])
def test_unix_socket_when_no_client_is_told_then_it_is_nobodys(ask, told):
    found = ask(*told)
    assert (found["REMOTE_ADDR"], found["loopback"]) == ("unknown", False)


def test_tcp_listener_when_headers_are_forged_then_they_do_not_count():
    from tests.web.serving import connect

    with serving(echo) as server, connect(server) as connection:
        forged = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
        found = json.loads(exchange(connection, get("/", *forged))[2])
    assert [found[name] for name in FACTS] == ["127.0.0.1", "http", "192.0.2.7"]


def test_unix_socket_when_a_dead_program_left_it_then_it_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    for _ in range(2):
        with serving(echo, Listener(UnixAddress(path), "web.listen")) as server:
            assert server.urls == [f"unix:{path}"]


def test_unix_socket_when_another_program_listens_then_one_sentence(path):
    listener = Listener(UnixAddress(path), "web.listen")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(StartupError) as caught, serving(echo, listener):
            pass
        assert path.exists()
    assert str(caught.value) == (
        f"cannot listen on unix:{path}: the socket is used by another program,"
        " stop it or change web.listen"
    )


def test_unix_socket_when_a_file_is_in_the_way_then_it_is_kept(path):
    path.write_text("precious")
    with (
        pytest.raises(StartupError, match="used by another program"),
        serving(echo, Listener(UnixAddress(path), "web.listen")),
    ):
        pass
    assert path.read_text() == "precious"


def test_settings_when_unix_sockets_are_named_then_both_files_take_them(conf, tmp_path):
    from appliance.app import open_app
    from appliance.web.api_server import read_api_server
    from appliance.web.listeners import configured_listeners

    folder = conf("web.listen: [unix:api.sock, 127.0.0.1:8443]\n")
    (folder / "api_server.yml").write_text("listen: {address: 'unix:/run/x/devices.sock'}\n")
    listeners = configured_listeners(open_app(folder).settings, read_api_server(folder))
    names = [listen_url(listener) for listener in listeners]
    first = f"unix:{os.path.join(folder, 'api.sock')}"
    assert names == [first, "http://127.0.0.1:8443/", "unix:/run/x/devices.sock"]


@pytest.mark.parametrize("value", ["unix:", f"unix:/{'x' * 120}"])
def test_settings_when_a_socket_cannot_be_then_refused(conf, value):
    from appliance.app import open_app

    with pytest.raises(SettingsError, match=r"unix:/run/x/api\.sock"):
        open_app(conf(f"web.listen: ['{value}']\n"))


def test_unix_socket_when_at_the_limit_then_the_proxys_next_connection_waits(path):
    def connected() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        return connection

    limits = ServerLimits(threads=1, connections=3)
    with serving(echo, Listener(UnixAddress(path), "x"), limits=limits):
        held = [connected() for _ in range(3)]
        for connection in held:
            assert exchange(connection, get())[0] == 200
        with connected() as waiting:
            waiting.sendall(get())
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            held.pop().close()
            waiting.settimeout(SECONDS)
            assert answer(waiting)[0] == 200
        for connection in held:
            connection.close()
