"""Clients that open every connection they can and say nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.settings.types import ListenAddress
from appliance.web.connections import ConnectionLimits, Places
from appliance.web.listeners import Listener
from tests.collector.running import soak_rounds
from tests.web.serving import (
    ANY,
    SECONDS,
    client_context,
    exchange,
    get,
    make_certificate,
    serving,
)
from tests.web.test_servers import echo


class Silent:
    """A connection of the table's own tests."""

    def __init__(self, silent_since: float | None) -> None:
        self.silent_since, self.is_given_up = silent_since, False

    def give_up(self) -> None:
        self.is_given_up = True


def places(connections: int = 8, name: str = "x") -> Places[Silent]:
    return Places(ConnectionLimits.of(connections), name)


def filled(table: Places[Silent], *addresses: str) -> list[Silent]:
    held = [Silent(float(number)) for number in range(len(addresses))]
    for connection, address in zip(held, addresses, strict=True):
        assert table.make_room(address)
        table.add(connection, address)
    return held


def test_places_when_one_client_has_its_share_then_refused_and_others_are_not():
    table = places()
    held = filled(table, "192.0.2.1", "192.0.2.1")
    assert not table.make_room("192.0.2.1")
    assert not table.make_room("::ffff:192.0.2.1")
    assert table.make_room("192.0.2.2")
    table.discard(held[0])
    table.discard(held[0])
    assert table.make_room("192.0.2.1")


def test_places_when_clients_are_of_one_ipv6_network_then_they_share():
    table = places()
    filled(table, "2001:db8::1", "2001:db8::ffff")
    assert not table.make_room("2001:db8:0:0:9::1")
    assert table.make_room("2001:db8:0:1::1")


def test_places_when_all_are_taken_then_the_longest_silent_of_who_has_most_is_given_up():
    table = places()
    held = filled(table, *(f"192.0.2.{last}" for last in (1, 2, 2, 3, 3, 4, 5, 6)))
    held[1].silent_since, held[3].silent_since = None, 2.5
    assert table.make_room("192.0.2.9")
    assert [index for index, each in enumerate(held) if each.is_given_up] == [2]
    table.add(Silent(9.0), "192.0.2.9")
    assert table.make_room("192.0.2.10")
    assert held[3].is_given_up
    assert table.counts == {"given_up": 2}


def test_places_when_all_are_busy_or_nobody_has_more_then_refused():
    table = places(2)
    held = filled(table, "192.0.2.1", "192.0.2.2")
    for each in held:
        each.silent_since = None
    assert not table.make_room("192.0.2.3")
    held[0].silent_since = 1.0
    assert table.make_room("192.0.2.3")
    assert len(table) == 1


@contextlib.contextmanager
def silent(address: Any, source: str, number: int, context: Any = None) -> Iterator[list[Any]]:
    """Open connections from a source that say nothing; those that are refused are closed."""
    held: list[Any] = []
    try:
        for _ in range(number):
            connection = socket.socket()
            connection.settimeout(SECONDS)
            held.append(connection)
            connection.bind((source, 0))
            connection.connect(address)
            if context is not None:
                with contextlib.suppress(OSError):
                    held[-1] = context.wrap_socket(connection)
        yield held
    finally:
        for connection in held:
            connection.close()


def answered_within(address: Any, context: ssl.SSLContext | None = None) -> float:
    """Return how many seconds a client from elsewhere waits for an answer."""
    started = time.monotonic()
    connection: Any = socket.socket()
    with connection:
        connection.settimeout(SECONDS)
        connection.bind(("127.0.0.99", 0))
        connection.connect(address)
        connection = context.wrap_socket(connection) if context else connection
        assert exchange(connection, get())[0] == 200
        connection.close()
    return time.monotonic() - started


@pytest.mark.soak
def test_listener_when_one_address_opens_700_connections_then_others_are_answered(figure):
    with serving(echo) as running:
        address = running.endpoints[0].address
        with silent(address, "127.0.0.5", 700):
            waited = max(answered_within(address) for _ in range(soak_rounds(1)))
            figure("others are answered within", f"{waited:.2f} s")
            assert waited < 1
            table = running.endpoints[0]._server.places
            assert len(table) <= 129
            assert table.counts["refused"] == 700 - 128


def test_listener_when_several_addresses_take_every_place_then_others_are_answered(tmp_path):
    files = make_certificate(tmp_path)
    context = client_context(files)
    with serving(echo, Listener(ANY, "plain"), Listener(ANY, "tls", files)) as running:
        plain, tls = (endpoint.address for endpoint in running.endpoints)
        with contextlib.ExitStack() as attack:
            for number in range(4):
                attack.enter_context(silent(plain, f"127.0.0.{11 + number}", 140))
                attack.enter_context(silent(tls, f"127.0.0.{11 + number}", 130, context))
            for _ in range(3):
                assert answered_within(plain) < 1
                assert answered_within(tls, context) < 1
            refused = running.endpoints[1]._relay._places.counts["refused"]
            assert refused == 4 * 2


def test_listener_when_a_request_is_being_answered_then_its_connection_is_not_given_up():
    limits = ConnectionLimits(2, 2)
    table = Places[Silent](limits, "x")
    busy, idle = filled(table, "192.0.2.1", "192.0.2.1")
    busy.silent_since = None
    assert table.make_room("192.0.2.2")
    assert (busy.is_given_up, idle.is_given_up) == (False, True)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_listener_when_it_takes_ipv4_by_ipv6_then_addresses_still_count_apart():
    listener = Listener(ListenAddress("::", 0), "x")
    with serving(echo, listener) as running:
        port = running.endpoints[0].address.port
        with silent(("127.0.0.1", port), "127.0.0.5", 140):
            assert answered_within(("127.0.0.1", port)) < 1
