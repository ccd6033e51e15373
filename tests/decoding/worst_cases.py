"""The datagrams of 65,507 octets that cost the most, by name, for v9 and IPFIX."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from tests.decoding import sflow
from tests.decoding.building import (
    IPFIX,
    V9,
    VARIABLE,
    Exporter,
    a_set,
    number,
    template,
    v5,
    v5_record,
)

ROOM = 65_507 - 24
MAX_SETS = 2048
OPTIONS = (
    [(34, 1)], [(48, 1), (34, 1)], [(48, 3), (34, 1)], [(10, 2), (34, 1)], [(95, 1), (96, 1)],
    [(10, 2), (82, 1)], [(160, 1)], [(149, 2), (34, 1)],
)  # fmt: skip


def fill(pieces: Iterator[bytes], room: int = ROOM, at_most: int = MAX_SETS) -> bytes:
    """Put pieces together as long as there is room."""
    found, left = [], room
    for piece in pieces:
        if len(piece) > left or len(found) == at_most:
            break
        found.append(piece)
        left -= len(piece)
    return b"".join(found)


def forever(make):  # type: ignore[no-untyped-def]
    n = 0
    while True:
        yield make(n)
        n += 1


def one_set(identifier: int, record: bytes) -> bytes:
    return a_set(identifier, record * ((ROOM - 4) // len(record)))


def cases(protocol: Exporter) -> Iterator[tuple[str, list[bytes]]]:
    """Yield a name and datagrams; each but the last prepares for the last."""

    def message(*sets: bytes) -> bytes:
        return protocol.message(*sets)

    def known(*fields: tuple[int, ...], identifier: int = 300) -> bytes:
        return message(protocol.templates(template(identifier, *fields)))

    def options(fields: Sequence[tuple[int, int]], identifier: int = 400) -> bytes:
        if protocol is V9:
            return message(protocol.options_templates(protocol.options(identifier, [], fields)))
        return message(
            protocol.options_templates(protocol.options(identifier, fields[:1], fields[1:]))
        )

    template_set = 0 if protocol is V9 else 2
    yield "too many sets", [message(fill(forever(lambda _: a_set(5, b"")), at_most=16_000))]
    for identifier in (5, 300, template_set, template_set + 1):
        empty = a_set(identifier, b"")
        yield f"empty sets {identifier}", [message(fill(forever(lambda _, s=empty: s)))]
    yield (
        "empty sets of a known template",
        [
            known((1, 1)),
            message(fill(forever(lambda _: a_set(300, b"")))),
        ],
    )
    yield "records of 1 octet", [known((1, 1)), message(one_set(300, b"\1"))]
    yield "sets of 1 octet", [known((1, 1)), message(fill(forever(lambda _: a_set(300, b"\1"))))]
    many = [(element, 1 if element == 4 else 0) for element in range(1, 1001)]
    yield "records of 1 octet and 999 empty fields", [known(*many), message(one_set(300, b"\1"))]
    for fields in OPTIONS:
        size = sum(length for _, length in fields)
        octets = struct.pack(">H", 0x6162) * 40_000
        body = octets[: ROOM // size * size - size]
        yield f"options {fields}", [options(fields), message(a_set(400, body))]
        counted = b"".join(number(n % (1 << 8 * size), size) for n in range((ROOM - 4) // size))
        yield f"different options {fields}", [options(fields), message(a_set(400, counted))]
    yield "variable records of 1 octet", [known((82, VARIABLE)), message(one_set(300, b"\0"))]
    yield (
        "variable records and 999 empty fields",
        [
            known(*((e, 0) for e in range(1, 1000)), (82, VARIABLE)),
            message(one_set(300, b"\0")),
        ],
    )
    yield "1000 variable fields", [
        known(*((e, VARIABLE) for e in range(1, 1001))), message(one_set(300, b"\0" * 1000))
    ]  # fmt: skip
    yield (
        "sets of variable records",
        [
            known((82, VARIABLE)),
            message(fill(forever(lambda _: a_set(300, bytes(28))))),
        ],
    )
    big = [(element, 4) for element in range(1, 1001)]
    yield (
        "templates of 1000 fields",
        [message(a_set(template_set, fill(forever(lambda n: template(256 + n, *big)), ROOM - 4)))],
    )
    for name, of in (("one", 1), ("many", 65280)):
        yield (
            f"templates of {name} id",
            [
                message(
                    a_set(
                        template_set,
                        b"".join(template(256 + n % of, (1 + n % 400, 4)) for n in range(8180)),
                    )
                )
            ],
        )
        pair = forever(
            lambda n, of=of: (
                a_set(template_set, template(256 + n % of, (1 + n % 400, 1)))
                + a_set(256 + n % of, b"\1")
            )
        )
        yield (
            f"template and data of {name} id in turn",
            [message(fill(pair, at_most=MAX_SETS // 2))],
        )
    changed = forever(
        lambda n: a_set(400, number(n % 7, 4) + number(n % 250 + 1, 4)) + a_set(300, b"\1\1")
    )
    yield (
        "sampling and data in turn",
        [
            options([(48, 4), (34, 4)]),
            known((48, 1), (1, 1)),
            message(fill(changed, at_most=MAX_SETS // 2)),
        ],
    )
    unknown = forever(lambda n: a_set(256 + n, b""))
    waiting = forever(lambda _: a_set(300, bytes(20)))
    yield "sets of unknown templates", [message(fill(unknown))]
    yield "waiting sets released", [
        *[message(fill(waiting))] * 3, known((1, 4), (7, 2), identifier=300)
    ]  # fmt: skip
    yield (
        "sets before their template",
        [message(fill(waiting, at_most=2047) + a_set(template_set, template(300, (1, 4))))],
    )
    lies = a_set(template_set, template(300, (82, VARIABLE))) + a_set(300, b"\x09")
    yield "announced and cut", [message(fill(forever(lambda _: lies), at_most=1024))]
    yield (
        "withdrawals",
        [
            message(a_set(3, struct.pack(">HH", 300, 0) * 16_000)),
        ],
    )


def all_cases() -> list[tuple[str, int, list[bytes]]]:
    """Return name, version and datagrams of every case."""
    found = [
        (f"{protocol}: {name}", protocol.version, payloads)
        for protocol in (V9, IPFIX)
        for name, payloads in cases(protocol)
    ]
    return [*found, ("v5: records", 5, [v5(*[v5_record()] * 1364)]), *_of_sflow()]


def _of_sflow() -> Iterator[tuple[str, int, list[bytes]]]:
    header = sflow.header(bytes(40))
    path = sflow.gateway("10.0.0.1", 1, 2, *[[3]] * 800)
    for name, samples in (
        ("samples", [sflow.flow_sample(header)] * 550),
        ("empty samples", [sflow.piece(1, b"")] * 8180),
        ("samples of many formats", [sflow.piece(n + 9, b"") for n in range(8180)]),
        ("empty records", [sflow.flow_sample(*[sflow.piece(1, b"")] * 8170)]),
        ("records", [sflow.flow_sample(*[header] * 1000)]),
        ("long paths", [sflow.flow_sample(header, path)] * 6),
        ("counters", [sflow.counter_sample(sflow.if_counters(n + 1)) for n in range(550)]),
        ("counters of one sample", [sflow.counter_sample(*[sflow.if_counters()] * 600)]),
    ):
        yield f"sFlow: {name}", 0, [sflow.sflow(*samples)]
