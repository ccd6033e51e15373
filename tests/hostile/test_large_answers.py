"""Clients that ask for everything, many times at once, and do not take the answers."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from typing import Any

import pytest
from waitress import buffers

from appliance.contracts import ExporterRecord
from appliance.web import http_server, servers, tls_relay
from appliance.web.large_answers import MOST_OCTETS_OF_CLIENT, SMALL_OCTETS, WHOLE_LISTS
from appliance.web.listeners import Listener
from tests.web.building import NOW, Client, FakeStore, Flow, settings_of, web_of
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

ALL = "/v1/api/device/get/all"
SUMS = "/v1/api/device/get/summary/interval/15m"


def exporters(number: int) -> list[ExporterRecord]:
    return [
        ExporterRecord(n, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "", "", 1e9, 1e9)
        for n in range(1, number + 1)
    ]


class HeldStore(FakeStore):
    """Answers when it is let."""

    def exporters(self) -> list[ExporterRecord]:
        self.entered.release()
        assert self.proceed.wait(SECONDS)
        return super().exporters()


@pytest.fixture
def held(tmp_path):
    store = HeldStore([], exporters(3))
    store.entered, store.proceed = threading.Semaphore(0), threading.Event()
    return store, Client(web_of(store, settings_of(tmp_path)))


def test_lists_when_too_many_are_made_at_a_time_then_the_next_is_refused_with_a_sentence(held):
    store, client = held
    askers = [threading.Thread(target=client.get, args=(ALL,)) for _ in range(WHOLE_LISTS)]
    for asker in askers:
        asker.start()
        assert store.entered.acquire(timeout=SECONDS)
    refused = client.get(SUMS)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "ask with limit" in refused.json["message"]
    store.proceed.set()
    assert client.get(f"{ALL}?limit=2").status == 200
    for asker in askers:
        asker.join(SECONDS)
    assert client.get(ALL).status == 200


@pytest.mark.parametrize("path", [ALL, SUMS])
def test_lists_when_read_in_pages_then_each_exporter_once_and_in_order(tmp_path, path):
    flows = [Flow(NOW - 30, 1500, 10, exporter=n) for n in range(1, 26)]
    client = Client(web_of(FakeStore(flows, exporters(25)), settings_of(tmp_path)))
    whole, seen, target = client.get(path), [], f"{path}?limit=10"
    assert (len(whole.json), "link" in whole.headers) == (25, False)
    for left in (15, 5, 0):
        page = client.get(target)
        seen += page.json
        assert ("link" in page.headers) is (left > 0)
        if left:
            link = re.fullmatch('<(.*)>; rel="next"', page.headers["link"])
            assert link
            target = link[1]
    assert seen == whole.json
    assert client.get(f"{path}?after=25").json == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=x", "after=-1", "limit="])
def test_lists_when_a_page_is_odd_then_400(tmp_path, query):
    client = Client(web_of(FakeStore([], exporters(3)), settings_of(tmp_path)))
    assert client.get(f"{ALL}?{query}").status == 400


def large(environ: Any, start_response: Any) -> list[bytes]:
    octets = int(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Length", str(octets))])
    return [b"y" * octets]


def unread(server: Any, source: str, octets: int, context: Any = None) -> Any:
    """Ask for an answer and take none of it; a client with small buffers."""
    connection = socket.socket()
    connection.settimeout(SECONDS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.bind((source, 0))
    connection.connect(server.endpoints[0].address)
    if context is not None:
        connection = context.wrap_socket(connection)
    connection.sendall(get(f"/{octets}"))
    return connection


def waiting(server: Any, source: str) -> int:
    return server.endpoints[0]._waiting(source)[1]


def test_answers_when_a_client_takes_none_then_bounded_and_others_get_theirs(monkeypatch):
    def forbidden(*_: Any) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(buffers.TempfileBasedBuffer, "__init__", forbidden)
    octets = MOST_OCTETS_OF_CLIENT - 2_000_000
    with serving(large) as server, contextlib.ExitStack() as attack:
        attack.enter_context(unread(server, "127.0.0.5", octets))
        eventually(lambda: waiting(server, "127.0.0.5") > octets // 2)
        for _ in range(20):
            refused = attack.enter_context(unread(server, "127.0.0.5", octets))
            status, headers, body = answer(refused)
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(body)["success"] is False
        assert waiting(server, "127.0.0.5") <= MOST_OCTETS_OF_CLIENT
        with contextlib.closing(unread(server, "127.0.0.5", SMALL_OCTETS)) as small:
            assert answer(small)[0] == 200
        started = time.monotonic()
        with connect(server) as other:
            assert len(exchange(other, get("/8000000"))[2]) == 8_000_000
        assert time.monotonic() - started < 5


def test_answer_when_not_taken_in_time_then_given_up(monkeypatch):
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(servers, "_CLEANUP_SECONDS", 0)
    monkeypatch.setattr(servers, "_LOOP_SECONDS", 0.05)
    with serving(large) as server, contextlib.closing(unread(server, "127.0.0.5", 9_000_000)):
        eventually(lambda: waiting(server, "127.0.0.5") > 0)
        eventually(lambda: not server.endpoints[0]._server.active_channels)


def test_answer_when_not_taken_over_tls_then_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(tls_relay, "STALL_SECONDS", 0.2)
    files = make_certificate(tmp_path)
    with serving(large, Listener(ANY, "x", files)) as server:
        client = unread(server, "127.0.0.5", 9_000_000, client_context(files))
        with contextlib.closing(client):
            eventually(lambda: waiting(server, "127.0.0.5") > 0)
            eventually(lambda: len(server.endpoints[0]._relay._places) == 0)
