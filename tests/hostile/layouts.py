"""Datagrams whose Sets each have a layout of their own: the dearest octets that a sender has."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from appliance.settings.types import ListenAddress
from tests.decoding.building import V9, Exporter, a_set, template

ELEMENTS = [(element, length) for element in range(1, 430) for length in (1, 2, 3, 4)]
LARGEST = 65_400
ORDINARY = 1_380


def sets_of_own_layouts(
    n: int, seed: int, fields: int = 3, protocol: Exporter = V9
) -> tuple[list[bytes], list[bytes]]:
    """Return messages that announce `n` layouts, and a Set of one record for each of them."""
    chance, layouts = random.Random(seed), set()
    while len(layouts) < n:
        layouts.add(tuple(sorted(chance.sample(ELEMENTS, fields))))
    ordered = sorted(layouts)
    templates = [template(256 + at, *layout) for at, layout in enumerate(ordered)]
    sets = [a_set(256 + at, b"\1" * sum(n for _, n in fs)) for at, fs in enumerate(ordered)]
    announcements = [
        protocol.message(protocol.templates(*part)) for part in packed(templates, LARGEST)
    ]
    return announcements, sets


def packed(pieces: Sequence[bytes], room: int) -> Iterator[list[bytes]]:
    """Put pieces together as long as they fit."""
    part: list[bytes] = []
    for piece in pieces:
        if part and sum(map(len, part)) + len(piece) > room:
            yield part
            part = []
        part.append(piece)
    yield part


@contextmanager
def attacking(target: ListenAddress, n_senders: int, octets: int, rate: float) -> Iterator[None]:
    """Send hostile datagrams, `rate` a second in all, from addresses of their own.

    Parameters
    ----------
    octets
        Of each datagram.
    """
    senders, payloads = [], []
    for number in range(n_senders):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.7.0.{number + 1}", 0))
        sender.connect((target.host, target.port))
        announcements, sets = sets_of_own_layouts(2040, number)
        for announcement in announcements:
            sender.send(announcement)
        senders.append(sender)
        payloads.append([V9.message(*part) for part in packed(sets, octets)])
    stopping = threading.Event()

    def send() -> None:
        start, n = time.monotonic(), 0
        while not stopping.wait(max(start + n / rate - time.monotonic(), 0)):
            of_sender = payloads[n % n_senders]
            senders[n % n_senders].send(of_sender[n // n_senders % len(of_sender)])
            n += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        for sender in senders:
            sender.close()
