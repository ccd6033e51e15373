"""Names by the DNS, from a server of the tests' own: kept, bounded, and only where allowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from appliance.contracts import SIGNED_IN
from appliance.flows import set_plugin_columns
from appliance.plugins.names import register_routes, register_settings, reverse_names
from appliance.plugins.names.reverse_names import (
    MAX_QUESTIONS,
    Resolvers,
    ReverseName,
    ReverseNames,
)
from appliance.settings.file import Settings, SettingsFile
from appliance.settings.types import ListenAddress
from tests.web.building import Client, FakeStore, web_of

PATIENCE = 20.0
Answer = Callable[[bytes], bytes | None]


class DnsServer:
    """Answers on loopback what a function says; counts the questions."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.questions = answer, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = ListenAddress(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4096)
            if not question:
                return
            self.questions += 1
            reply = self.answer(question)
            if reply is not None:
                self._socket.sendto(reply, sender)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


def zone(question: bytes) -> bytes:
    """Answer as a server that knows two addresses, one of them by two names."""
    message = dns.message.from_wire(question)
    reply = dns.message.make_response(message)
    name = message.question[0].name
    names = {
        "1.2.0.192.in-addr.arpa.": ["b.example.com.", "a.example.com."],
        "2.2.0.192.in-addr.arpa.": [r"<b>evil</b>\027[2J.example.com."],
        f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa.": ["six.example."],
    }.get(name.to_text())
    if names is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        reply.answer.append(dns.rrset.from_text(name, 300, "IN", "PTR", *names))
    return reply.to_wire()


@pytest.fixture
def served() -> Iterator[Callable[[Answer], DnsServer]]:
    servers: list[DnsServer] = []

    def serve(answer: Answer) -> DnsServer:
        servers.append(DnsServer(answer))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def names_by(server: DnsServer, clock: Callable[[], float] = lambda: 0.0) -> ReverseNames:
    return ReverseNames(lambda _address: True, [server.address], clock)


def ask(names: ReverseNames, address: str) -> ReverseName:
    return names.name(ip_address(address), PATIENCE)


def test_name_when_the_dns_has_one_then_it_and_the_same_of_several(
    served: Callable[[Answer], DnsServer],
) -> None:
    names = names_by(served(zone))
    assert ask(names, "192.0.2.1") == ("named", "a.example.com")
    assert ask(names, "2001:db8::1") == ("named", "six.example")
    assert ask(names, "192.0.2.9") == ("nameless", None)


def test_name_when_it_holds_what_no_name_has_then_escaped(
    served: Callable[[Answer], DnsServer],
) -> None:
    known = ask(names_by(served(zone)), "192.0.2.2")
    assert known == ("named", r"<b>evil</b>\027[2J.example.com")


def test_name_when_asked_again_then_kept_until_its_time_is_over(
    served: Callable[[Answer], DnsServer],
) -> None:
    now = [0.0]
    server = served(zone)
    names = names_by(server, lambda: now[0])
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.9", "192.0.2.9"):
        ask(names, address)
    assert server.questions == 2
    now[0] = 301.0
    assert ask(names, "192.0.2.1").name == "a.example.com"
    assert server.questions == 3
    ask(names, "192.0.2.9")
    assert server.questions == 3


def test_name_when_many_are_kept_then_the_oldest_go(
    served: Callable[[Answer], DnsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reverse_names, "MAX_KEPT", 2)
    server = served(zone)
    names = names_by(server)
    for number in (1, 2, 3, 1):
        ask(names, f"192.0.2.{number}")
    assert server.questions == 4


def test_name_when_the_server_is_silent_then_pending_and_no_more_questions_than_allowed(
    served: Callable[[Answer], DnsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reverse_names, "QUESTION_SECONDS", 2.0)
    names = names_by(served(lambda _question: None))
    states = {names.name(ip_address(f"192.0.2.{n}")).state for n in range(3 * MAX_QUESTIONS)}
    assert states == {"pending"}
    questions = [t for t in threading.enumerate() if t.name == "reverse-name"]
    assert len(questions) == MAX_QUESTIONS
    for question in questions:
        question.join()
    assert names.name(ip_address("192.0.2.0")) == ("failed", None)


@hypothesis_settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(octets=st.binary(max_size=64), keeps_header=st.booleans())
def test_name_when_the_server_answers_any_octets_then_failed(
    octets: bytes, keeps_header: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reverse_names, "QUESTION_SECONDS", 0.05)

    def answer(question: bytes) -> bytes:
        head = question[:2] + b"\x81\x80" + question[4:12] if keeps_header else b""
        return head + octets

    server = DnsServer(answer)
    try:
        known = ask(names_by(server), "192.0.2.1")
    finally:
        server.close()
    assert known.state in ("failed", "nameless")


def test_name_when_no_server_can_be_reached_then_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reverse_names, "QUESTION_SECONDS", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = ListenAddress(*probe.getsockname())
    assert ask(ReverseNames(lambda _a: True, [nobody]), "192.0.2.1").state == "failed"


def settings_with(tree: dict[str, Any]) -> Settings:
    return SettingsFile(None, Path("/"), tree).settings(register_settings())


def client_of(folder: Path, server: DnsServer, **more: Any) -> Client:
    """Return a client of the routes of the plugin."""
    resolvers = {"resolvers": [str(server.address)], **more.pop("names", {})}
    settings = settings_with({"data_directory": str(folder), "names": resolvers, **more})
    return Client(web_of(FakeStore(), settings, register_routes(settings)))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.plugins.names.routes.PATIENCE_SECONDS", PATIENCE)


@pytest.mark.parametrize(
    ("reverse", "address", "state"),
    [
        ("off", "10.0.0.1", "not asked"),
        ("inside", "10.0.0.1", "nameless"),
        ("inside", "::ffff:10.0.0.1", "nameless"),
        ("inside", "192.0.2.1", "named"),
        ("inside", "203.0.113.1", "not asked"),
        ("all", "203.0.113.1", "nameless"),
    ],
)
@pytest.mark.usefixtures("patient")
def test_route_when_an_address_is_outside_then_asked_only_where_that_is_set(
    served: Callable[[Answer], DnsServer], tmp_path: Path, reverse: str, address: str, state: str
) -> None:
    server = served(zone)
    client = client_of(
        tmp_path,
        server,
        names={"reverse": reverse},
        networks=[{"name": "office", "prefixes": ["192.0.2.0/24"]}],
    )
    reply = client.get(f"/api/v1/names/reverse?address={address}")
    assert (reply.status, reply.json["state"]) == (200, state)
    assert server.questions == (state != "not asked")
    assert client.get("/api/v1/names").json["reverse"] == reverse


@pytest.mark.parametrize("address", ["", "office", "10.0.0.0/8", "fe80::1%25eth0", "1.2.3"])
def test_route_when_the_address_is_none_then_one_sentence(
    served: Callable[[Answer], DnsServer], tmp_path: Path, address: str
) -> None:
    reply = client_of(tmp_path, served(zone)).get(f"/api/v1/names/reverse?address={address}")
    assert reply.status == 400
    assert "expected an IPv4 or IPv6 address" in str(reply.json)


def test_routes_when_listed_then_for_whoever_is_signed_in(tmp_path: Path) -> None:
    routes = register_routes(settings_with({"data_directory": str(tmp_path)}))
    roles = {route.role for route in routes if route.path.startswith("/api/v1/names")}
    assert roles == {SIGNED_IN}
    set_plugin_columns(())


def test_resolvers_when_read_then_the_port_of_the_dns_where_there_is_none() -> None:
    texts = ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]
    assert Resolvers().parse(texts, Path("/")) == (
        *(("192.0.2.53", 53), ("192.0.2.53", 5353)),
        *(("2001:db8::53", 53), ("2001:db8::53", 5353)),
    )
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        Resolvers().parse(["dns.example.com"], Path("/"))
