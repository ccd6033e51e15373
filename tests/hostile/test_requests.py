"""Requests that lie: about where they come from, and about where they end."""

from __future__ import annotations

import json

import pytest

from appliance.contracts import USER, Route
from appliance.errors import RequestError
from appliance.web.guard import admit, is_from_loopback
from tests.web.building import principal_from
from tests.web.serving import connect, exchange, serving
from tests.web.test_servers import echo

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8443", "wsgi.url_scheme": "https"}
CHANGING_GET = Route("GET", "/x", dict, role=USER, changes=True)


@pytest.mark.parametrize(
    "host",
    [
        *("[::1]evil.com", "[::1].evil.com:80", "[::1", "::1", "localhost:1.evil.com", ""),
        *("localhost@evil.com", "127.0.0.1:80:80", "[localhost]", "[127.0.0.1]"),
    ],
)
def test_host_when_it_only_begins_like_loopback_then_not_local(host):
    assert is_from_loopback(LOCAL)
    assert not is_from_loopback(LOCAL | {"HTTP_HOST": host})


@pytest.mark.parametrize(
    "header",
    [
        *("True-Client-IP", "CF-Connecting-IP", "X-Forwarded-Host", "X-Forwarded-Proto"),
        *("X-Forwarded-Server", "X-Forwarded", "X-Client-IP", "X-Cluster-Client-IP", "Via"),
        *("Fastly-Client-IP", "X-Real-IP", "Forwarded", "X-Original-Host", "X-ProxyUser-Ip"),
    ],
)
def test_request_when_a_proxy_of_any_kind_passed_it_on_then_not_local(header):
    name = "HTTP_" + header.upper().replace("-", "_")
    assert not is_from_loopback(LOCAL | {name: "127.0.0.1"})


def test_changing_get_when_nothing_says_whose_page_asks_then_the_cookie_does_not_suffice():
    silent = LOCAL | {"HTTP_X_APIAUTH": "Bearer cookie"}
    with pytest.raises(RequestError, match="x-apiauth") as caught:
        admit(CHANGING_GET, silent, principal_from)
    assert caught.value.status == 403
    assert admit(Route("DELETE", "/x", dict, role=USER), silent, principal_from)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_ORIGIN": "https://localhost:8443"},
        {"HTTP_X_APIAUTH": "Bearer administrator"},
    ],
)
def test_changing_get_when_it_says_whose_page_asks_or_has_a_token_then_passes(headers):
    environ = LOCAL | {"HTTP_X_APIAUTH": "Bearer cookie"} | headers
    assert admit(CHANGING_GET, environ, principal_from)


def test_request_when_it_has_two_lengths_then_answered_once_and_closed():
    second = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
    head = "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n"
    request = head.format(5 + len(second)).encode() + b"\r\n0\r\n\r\n"
    with serving(echo) as running, connect(running) as connection:
        status, headers, body = exchange(connection, request + second)
        assert (status, json.loads(body)["success"]) == (400, False)
        assert headers["connection"] == "close"
        assert connection.recv(1) == b"", "what follows is not taken for a request"


def test_request_when_chunked_alone_then_answered_and_kept():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    request = head + b"3\r\nabc\r\n0\r\n\r\n"
    with serving(echo) as running, connect(running) as connection:
        for _ in range(2):
            assert json.loads(exchange(connection, request)[2])["body"] == 3


def test_request_when_of_http_1_0_with_transfer_encoding_then_refused():
    request = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
    with serving(echo) as running, connect(running) as connection:
        assert exchange(connection, request + b"3\r\nabc\r\n0\r\n\r\n")[0] == 400
        assert connection.recv(1) == b""
