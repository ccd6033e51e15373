"""A receiver on loopback, exporters that send to it, and what it has received."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from appliance.collector.receiver import Receiver
from appliance.decoding.messages.block import Datagram, DatagramBlock
from appliance.settings.types import ListenAddress

LOOPBACK = ListenAddress("127.0.0.1", 0)
BUFFER = 1 << 20


@contextmanager
def receiving(*listen: ListenAddress, **options: Any) -> Iterator[Receiver]:
    """Have a receiver at work, on a free port of loopback when told no address."""
    receiver = Receiver(
        listen or (LOOPBACK,), **{"receive_buffer_octets": BUFFER, "allowed": (), **options}
    )
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


@contextmanager
def exporter(target: ListenAddress, source: str = "") -> Iterator[socket.socket]:
    """Have a socket that sends to a receiver, from an address when one is told."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if source:
            sock.bind((source, 0))
        sock.connect((target.host, target.port))
        yield sock


def datagrams_of(block: DatagramBlock | None) -> list[Datagram]:
    """Copy a block, because the next receive overwrites it."""
    assert block is not None
    return [
        Datagram(
            block.payload(row),
            int(block.address_hi[row]),
            int(block.address_lo[row]),
            int(block.port[row]),
            int(block.received_ms[row]),
        )
        for row in range(len(block))
    ]


def take(receiver: Receiver, n: int, timeout_seconds: float = 2) -> list[Datagram]:
    """Receive until there are n datagrams, or nothing more comes."""
    taken: list[Datagram] = []
    while len(taken) < n:
        block = receiver.receive(timeout_seconds)
        if block is None:
            break
        taken += datagrams_of(block)
    return taken


def payloads(datagrams: list[Datagram]) -> list[bytes]:
    return [datagram.payload for datagram in datagrams]
