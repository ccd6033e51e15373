"""What providers ask pmacct for, next to real nfacctd: labels, VRFs, neighbours, headers.

No capture of a real network that may be copied has these elements, so the datagrams are made here.
"""

from __future__ import annotations

import itertools
import shutil

import pytest

from tests.decoding.building import (
    EXPORT_SECONDS,
    IPFIX,
    V9,
    a_set,
    number,
    template,
    v4,
    v5,
    v5_record,
    write_pcap,
)
from tests.plugins.pmacct.both import Side

TABLES = ("acct_net", "acct_net in SQLite")
BASE = ((8, v4("10.1.1.1")), (1, number(1000, 4)), (2, number(10, 4)))
DISTINGUISHERS = ("0000fde900000007", "00010a00000100c8", "0002000100000007", "0003000100000007")
LABELS = {name: bytes.fromhex(octets) for name, octets in {
    "open": "000100", "last": "000201", "none": "000000",
}.items()}  # fmt: skip
STACKS = (
    ("last",), ("open",), ("none",), ("open", "last"), ("open", "open"), ("none", "last"),
    ("last", "open"), ("open", "none", "last"), ("none", "open", "none"), ("open", "none"),
    ("open", "open", "none"), ("open", "none", "open"), ("none", "open"),
)  # fmt: skip
DIRECTIONS = (((61, b"\0"),), ((61, b"\1"),), ((61, b"\2"),))
NEIGHBOURS = (128, number(64500, 4)), (129, number(4_200_000_001, 4))
PSEUDOWIRE = ((249, number(4711, 4)),)
VRFS = (
    ((234, number(12, 4)), (235, number(13, 4))),
    ((235, number(13, 4)),),
    ((234, number(0, 4)), (235, number(13, 4))),
    ((234, number(0, 4)), (90, bytes.fromhex(DISTINGUISHERS[0]))),
    *(((90, bytes.fromhex(octets)),) for octets in DISTINGUISHERS),
)


def records():
    """Yield what single records have in common with no other, as (element, octets) pairs."""
    for stack in STACKS:
        yield tuple((70 + place, LABELS[name]) for place, name in enumerate(stack))
    yield from VRFS
    yield from DIRECTIONS
    yield NEIGHBOURS
    yield PSEUDOWIRE


def datagrams():
    """Yield messages; each record has a layout of its own."""
    for protocol in (V9, IPFIX):
        for place, (more, domain) in enumerate(zip(records(), itertools.count(1), strict=False)):
            fields = (*BASE, *more)
            layout = template(300 + place, *((e, len(octets)) for e, octets in fields))
            body = a_set(300 + place, b"".join(octets for _, octets in fields))
            sent = {"domain": domain, "seconds": EXPORT_SECONDS + place, "sequence": 7 * place}
            yield protocol.message(protocol.templates(layout), body, **sent)
    twice = ((8, 4), (1, 4), (2, 4), (1001, 4, 9), (1001, 4, 9))
    body = a_set(400, b"".join(octets for _, octets in BASE) + number(111, 4) + number(222, 4))
    yield IPFIX.message(IPFIX.templates(template(400, *twice)), body)
    uptimes = {"first": 900, "last": 950}
    yield v5(v5_record(**uptimes), uptime=1000, nanoseconds=500_000_000, sequence=9)


@pytest.fixture(scope="module")
def sides(mariadb, tmp_path_factory) -> tuple[Side, Side]:
    if shutil.which("nfacctd") is None:
        pytest.skip("nfacctd is not installed: apt-get install pmacct")
    folder = tmp_path_factory.mktemp("network")
    capture = folder / "network.pcap"
    write_pcap(capture, [(0, payload) for payload in datagrams()])
    theirs, ours = (
        Side(folder / who, "network", capture, mariadb, mariadb.new_database().split("/")[-1])
        for who in ("nfacctd", "appliance")
    )
    for side in (theirs, ours):
        side.prepare()
    theirs.run_nfacctd()
    ours.run_appliance()
    return theirs, ours


@pytest.mark.parametrize("table", TABLES)
def test_rows_when_both_fill_them_then_the_same(sides, table):
    theirs, ours = (side.rows(table) for side in sides)
    for sign, rows in (("-", theirs - ours), ("+", ours - theirs)):
        for row in rows:
            print(sign, {name: value for name, value in row if value})
    assert sum(theirs.values()) == len(list(datagrams()))
    assert ours == theirs
