"""Invented exporters for property tests: sequences of datagrams in which everything happens.

Hypothesis draws a list of `Event`s; `datagrams` lays the octets. Few addresses, ports, domains and
template numbers, so that events meet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from appliance.decoding.messages.block import Datagram
from tests.decoding.building import (
    EXPORT_SECONDS,
    RECEIVED_MS,
    VARIABLE,
    a_set,
    datagram,
    ipfix,
    ipfix_options,
    number,
    template,
    v5,
    v5_record,
    v9,
    v9_options,
    variable,
)

EXPORTERS = ("192.0.2.10", "2001:db8::10")
PORTS = (2000, 2001)
DOMAINS = (0, 1)
NUMBERS = (256, 257, 258)
HUGE = 3_000_000_000

DATA_LAYOUTS: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)),
    ((8, 4), (10, 2), (14, 2), (48, 1), (1, 4), (2, 2)),
    ((27, 16), (302, 8), (10, 4), (1, 8), (22, 4), (21, 4)),
    ((1, 3), (82, VARIABLE), (22, 4), (21, 4), (48, 2)),
    ((82, VARIABLE), (95, VARIABLE)),
    ((8, 4), (233, 1), (231, 4), (232, 4), (34, 4)),
    ((152, 8), (153, 8), (85, 8), (24, 2), (31000, 3)),
    ((7, 2),),
    ((22, 8), (210, 0), (1, 1), (48, 4), (305, 2), (306, 2)),
    ((1, 0), (2, 0)),
)
OPTION_LAYOUTS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((149, 4), (34, 4)),
    ((48, 1), (50, 2)),
    ((302, 8), (305, 4), (306, 4)),
    ((10, 2), (34, 2)),
    ((149, 4), (160, 8)),
    ((95, 4), (96, 8)),
    ((10, 4), (82, 4), (83, 2)),
    ((48, 2), (96, VARIABLE), (34, 2)),
    ((41, 8), (42, 8)),
)
FEW = {48: 3, 302: 3, 10: 6, 14: 6, 34: 5, 50: 5, 305: 4, 306: 4, 149: 2, 95: 6, 233: 6}
"""Elements of few values, so that data finds what options told."""


@dataclass(frozen=True)
class SetPlan:
    """One Set: `template`, `options`, `data`, `table` (options data), `withdrawal` or `noise`."""

    kind: str
    number: int
    layout: int
    n_records: int
    padding: int
    seed: int


@dataclass(frozen=True)
class Event:
    """One datagram: its sender, what it holds, and what happens to it."""

    exporter: int
    port: int
    domain: int
    version: int
    sets: tuple[SetPlan, ...]
    gap: int
    seconds: int
    restart: bool
    damage: tuple[str, int]


set_plans = st.builds(
    SetPlan,
    st.sampled_from(
        ["template"] * 4 + ["options"] * 3 + ["data"] * 8 + ["table"] * 5 + ["withdrawal", "noise"]
    ),
    st.sampled_from(NUMBERS),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from([0, 0, 0, 1, 3, 9]),
    st.integers(0, 2**16 - 1),
)
damages = st.one_of(
    *[st.just(("none", 0))] * 6,
    st.tuples(st.sampled_from(["cut", "flip", "length", "longer"]), st.integers(0, 2**20)),
)
events = st.builds(
    Event,
    st.sampled_from([0, 0, 1]),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 1]),
    st.sampled_from([5, 9, 9, 10, 10, 10, 7]),
    st.lists(set_plans, max_size=4).map(tuple),
    st.sampled_from([0] * 8 + [1, 2, 7, -1, -2, HUGE]),
    st.sampled_from([0, 0, 0, 1, 30, -1]),
    st.sampled_from([False] * 11 + [True]),
    damages,
)
sequences_of_events = st.lists(events, min_size=1, max_size=12)


def datagrams(plans: Sequence[Event]) -> list[Datagram]:
    """Lay the datagrams of events, in their order."""
    sequences: dict[tuple[int, ...], int] = {}
    boots: dict[int, int] = {}
    found = []
    seconds = EXPORT_SECONDS
    for i, event in enumerate(plans):
        seconds += event.seconds
        key = (event.exporter, event.port, event.domain, event.version)
        boot = boots.setdefault(event.exporter, EXPORT_SECONDS - 5000)
        if event.restart:
            boots[event.exporter] = boot = seconds - 1
            sequences = {k: 0 if k[0] == event.exporter else n for k, n in sequences.items()}
        sequence = (sequences.get(key, 4_000_000_000) + event.gap) % (1 << 32)
        header = {"sequence": sequence, "seconds": seconds}
        if event.version != 10:
            header["uptime"] = (seconds - boot) * 1000 % (1 << 32)
        payload, units = _message(event, header)
        sequences[key] = (sequence + units) % (1 << 32)
        sender = (EXPORTERS[event.exporter], PORTS[event.port], RECEIVED_MS + 10 * i)
        found.append(datagram(_damaged(payload, *event.damage), *sender))
    return found


def _message(event: Event, header: dict[str, int]) -> tuple[bytes, int]:
    if event.version in (5, 7):
        records = [v5_record(octets=plan.seed) for plan in event.sets]
        engine = (0, DOMAINS[event.domain])
        payload = v5(*records, engine=engine, sampling=event.domain * 100, **header)
        return (payload if event.version == 5 else b"\0\7" + payload[2:]), len(records)
    sets = b"".join(_set(event.version, plan) for plan in event.sets)
    make = v9 if event.version == 9 else ipfix
    units = 1 if event.version == 9 else sum(
        plan.n_records for plan in event.sets if plan.kind in ("data", "table")
    )  # fmt: skip
    return make(sets, domain=DOMAINS[event.domain], **header), units


def _set(version: int, plan: SetPlan) -> bytes:
    is_v9 = version == 9
    if plan.kind == "template":
        layout = _layout(plan, version)
        return a_set(0 if is_v9 else 2, template(plan.number, *layout) + bytes(plan.padding % 4))
    if plan.kind == "options":
        layout = OPTION_LAYOUTS[plan.layout % len(OPTION_LAYOUTS)]
        if is_v9:
            record = v9_options(plan.number, [(1, layout[0][1])], layout[1:])
            if plan.seed % 2:
                record = v9_options(plan.number, [], layout)
        else:
            record = ipfix_options(plan.number, 1, *layout)
        return a_set(1 if is_v9 else 3, record)
    if plan.kind == "withdrawal":
        return a_set(2, struct.pack(">HH", plan.number, 0))
    if plan.kind == "noise":
        return a_set(plan.number if plan.seed % 3 else plan.seed % 256, bytes(plan.padding))
    layout = (
        _layout(plan, version)
        if plan.kind == "data"
        else OPTION_LAYOUTS[plan.layout % len(OPTION_LAYOUTS)]
    )
    values = _values(plan.seed)
    if any(element in (82, 96) for element, *_ in layout):
        # Versions do not name the same things: between them, blocks have no order.
        values = (value // 6 * 6 + value % 3 + (0 if is_v9 else 3) for value in values)
    body = b"".join(_record(layout, values) for _ in range(plan.n_records))
    return a_set(plan.number, body + bytes(plan.padding))


def _layout(plan: SetPlan, version: int) -> tuple[tuple[int, ...], ...]:
    layout = DATA_LAYOUTS[plan.layout % len(DATA_LAYOUTS)]
    if version == 10 and plan.seed % 5 == 0:
        return (*layout, (1, 4, 29305), (12235, 2, 9))
    return layout


def _values(seed: int) -> Iterator[int]:
    while True:
        seed = (seed * 1103515245 + 12345) % (1 << 31)
        yield seed >> 8


def _record(layout: Sequence[tuple[int, ...]], values: Iterator[int]) -> bytes:
    record = b""
    for element, length, *_ in layout:
        value = next(values)
        if length == VARIABLE:
            record += variable(number(value, 3)[: value % 4], long_form=value % 5 == 0)
        else:
            wanted = value % FEW.get(element, 1 << 22)
            record += number(wanted % (1 << 8 * length), length)
    return record


def _damaged(payload: bytes, kind: str, where: int) -> bytes:
    at = where % max(len(payload), 1)
    if kind == "cut":
        return payload[:at]
    if kind == "longer":
        return payload + payload[at:]
    octets = bytearray(payload)
    if kind == "flip" and octets:
        octets[at] ^= 1 << where % 8
    if kind == "length" and len(octets) > 30:
        # The length of the first Set, or of the message.
        at = (2, 18, 22)[where % 3]
        struct.pack_into(">H", octets, at, where % 97)
    return bytes(octets)
