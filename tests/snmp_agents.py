"""Agents that answer SNMP version 2c as the tests want it: RFC 3416 in BER, hand-made.

A real one is Debian's snmpd (`tests/plugins/names/test_snmpd.py`); these are for many at a time,
and for those that lie.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from types import TracebackType
from typing import Any, TypeVar

INTEGER, OCTETS, OID, SEQUENCE = 2, 4, 6, 0x30
GAUGE, TICKS, COUNTER64 = 0x42, 0x43, 0x46
GET, GET_BULK, RESPONSE = 0xA0, 0xA5, 0xA2
NO_SUCH_OBJECT, END_OF_VIEW = 0x80, 0x82
SYSTEM = (1, 3, 6, 1, 2, 1, 1)
IF_X = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)

Oid = tuple[int, ...]
Result = TypeVar("Result")
Answer = Callable[[bytes], Sequence[bytes]]
"""The datagrams that answer one."""


def in_own_thread(call: Callable[[], Result]) -> Result:
    """Call something with an event loop of its own: the browser of other tests has one here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def ber(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def ber_number(tag: int, number: int) -> bytes:
    return ber(tag, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def ber_oid(oid: Oid) -> bytes:
    octets = bytearray([40 * oid[0] + oid[1]])
    for number in oid[2:]:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | (number & 0x7F))
        octets += bytes(reversed(groups))
    return ber(OID, bytes(octets))


def read_ber(octets: bytes) -> tuple[int, bytes, bytes]:
    """Return tag, content and what follows."""
    length, start = octets[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[2:start])
    return octets[0], octets[start : start + length], octets[start + length :]


def read_oid(content: bytes) -> Oid:
    oid, number = [*divmod(content[0], 40)], 0
    for octet in content[1:]:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            oid.append(number)
            number = 0
    return tuple(oid)


class Mib:
    """Objects of a device in order, each with its value in BER."""

    def __init__(self, objects: Mapping[Oid, bytes]) -> None:
        self.objects = dict(sorted(objects.items()))
        oids = list(self.objects)
        self._next = dict(pairwise(oids))
        self._oids = oids

    def after(self, oid: Oid) -> Oid | None:
        if oid in self._next:
            return self._next[oid]
        return next((other for other in self._oids if other > oid), None)


def device(
    interfaces: Mapping[int, tuple[str, str, int]],
    counters: Mapping[int, tuple[int, int]] | None = None,
    *,
    name: str = "router",
    uptime_hundredths: int = 100_000,
) -> Mib:
    """Return the objects of a device: name, alias and Mbit/s by ifIndex, octets in and out."""
    objects = {
        (*SYSTEM, 1, 0): ber(OCTETS, b"a device of the tests"),
        (*SYSTEM, 3, 0): ber_number(TICKS, uptime_hundredths),
        (*SYSTEM, 5, 0): ber(OCTETS, name.encode()),
    }
    for index, (if_name, alias, megabits) in interfaces.items():
        received, sent = (counters or {}).get(index, (0, 0))
        objects |= {
            (*IF_X, 1, index): ber(OCTETS, if_name.encode()),
            (*IF_X, 6, index): ber_number(COUNTER64, received),
            (*IF_X, 10, index): ber_number(COUNTER64, sent),
            (*IF_X, 15, index): ber_number(GAUGE, megabits),
            (*IF_X, 18, index): ber(OCTETS, alias.encode()),
        }
    return Mib(objects)


def read_request(datagram: bytes) -> tuple[bytes, bytes, int, bytes, int, list[Oid]]:
    """Return community, request ID, kind of request, version, repetitions and objects."""
    _, message, _ = read_ber(datagram)
    _, version, rest = read_ber(message)
    _, community, rest = read_ber(rest)
    kind, pdu, _ = read_ber(rest)
    _, request, rest = read_ber(pdu)
    _, _, rest = read_ber(rest)
    _, repetitions, rest = read_ber(rest)
    _, binds, _ = read_ber(rest)
    oids = []
    while binds:
        _, bind, binds = read_ber(binds)
        oids.append(read_oid(read_ber(bind)[1]))
    return community, request, kind, version, int.from_bytes(repetitions), oids


def response(datagram: bytes, binds: Sequence[tuple[Oid, bytes]]) -> bytes:
    """Return the datagram that answers a request with these objects."""
    community, request, *_ = read_request(datagram)
    listed = b"".join(ber(SEQUENCE, ber_oid(oid) + value) for oid, value in binds)
    zero = ber_number(INTEGER, 0)
    pdu = ber(RESPONSE, ber(INTEGER, request) + zero + zero + ber(SEQUENCE, listed))
    return ber(SEQUENCE, ber_number(INTEGER, 1) + ber(OCTETS, community) + pdu)


def binds_of(datagram: bytes, mib: Mib) -> list[tuple[Oid, bytes]]:
    """Return what an honest agent answers to a request."""
    _, _, kind, _, repetitions, oids = read_request(datagram)
    if kind == GET:
        absent = ber(NO_SUCH_OBJECT, b"")
        return [(oid, mib.objects.get(oid, absent)) for oid in oids]
    binds: list[tuple[Oid, bytes]] = []
    places = oids
    for _ in range(repetitions):
        following = [mib.after(oid) for oid in places]
        if not any(following):
            break
        for place, after in zip(places, following, strict=True):
            value = mib.objects[after] if after else ber(END_OF_VIEW, b"")
            binds.append((after or place, value))
        places = [after or place for place, after in zip(places, following, strict=True)]
    return binds


def honest(mib: Mib, community: bytes = b"public") -> Answer:
    """Return what answers as the objects say; another community gets no answer."""

    def answer(datagram: bytes) -> list[bytes]:
        if read_request(datagram)[0] != community:
            return []
        return [response(datagram, binds_of(datagram, mib))]

    return answer


class AgentServer(AbstractContextManager["AgentServer"]):
    """Answers on a free port of a loopback address while the block runs."""

    def __init__(self, answer: Answer, address: str = "127.0.0.1") -> None:
        self.answer, self.requests = answer, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> AgentServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An empty datagram wakes the thread.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            datagram, sender = self._socket.recvfrom(65_535)
            if not datagram:
                return
            self.requests += 1
            for octets in self.answer(datagram):
                self._socket.sendto(octets, sender)


def agent_settings(server: AgentServer, **more: Any) -> dict[str, Any]:
    """Return the override of `snmp.exporters` for an exporter that this server answers for."""
    return {"address": "127.0.0.1", "port": server.port, "community": "public", **more}
