"""Single keys of a configuration: real nfacctd and the appliance write the same rows and lines.

The tables are made by the appliance, so they also prove that nfacctd can fill them.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

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
from tests.plugins.pmacct.both import DATA, Side

FORMATS = ("json", "csv", "formatted")
BASE = """\
daemonize: false
pcap_savefile: {capture}
plugins: mysql[m], sqlite3[s], {printers}
sql_host: 127.0.0.1
sql_port: {port}
sql_user: appliance
sql_passwd: sec@ret
sql_db[m]: {database}
sql_db[s]: {folder}/lite.db
sql_table: acct
sql_optimize_clauses: true
sql_refresh_time: 600
print_refresh_time: 600
"""
NOW = re.compile(r'("stamp_updated": )"[^"]*"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("nfacctd") is None, reason="nfacctd is not installed: apt-get install pmacct"
    ),
]


@dataclass
class KeySide(Side):
    """One of the two, with a configuration of its own."""

    text: str = ""

    def prepare(self) -> None:
        self.folder.mkdir(parents=True)
        printers = ", ".join(f"print[{form}]" for form in FORMATS)
        text = BASE.format(
            capture=self.capture,
            printers=printers,
            port=self.server.port,
            database=self.database,
            folder=self.folder,
        )
        for form in FORMATS:
            text += f"print_output[{form}]: {form}\n"
            text += f"print_output_file[{form}]: {self.folder}/%Y-{form}\n"
        self.config.write_text(text + self.text + "\n")

    def take_tables_of(self, other: KeySide) -> None:
        """Make the tables as another side has made them."""
        source = sqlite3.connect(other.folder / "lite.db")
        (statement,) = source.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'acct'"
        ).fetchone()
        source.close()
        target = sqlite3.connect(self.folder / "lite.db")
        target.execute(statement)
        target.close()
        self.server.run(f"CREATE TABLE {self.database}.acct LIKE {other.database}.acct")

    def lines(self, form: str) -> list[str]:
        """Return what was printed, without the moment of the purge."""
        files = sorted(self.folder.glob(f"*-{form}"))
        found = [f"{f.name} {line}" for f in files for line in f.read_text().splitlines()]
        return sorted(NOW.sub(r"\1", line) for line in found)


@pytest.fixture
def both_sides(mariadb, tmp_path):
    """Return a function that lets both read a capture with a configuration."""

    def run(text: str, capture: Path = DATA / "traffic.pcap") -> tuple[KeySide, KeySide]:
        theirs, ours = (
            KeySide(
                *(tmp_path / who, "keys", capture, mariadb),
                mariadb.new_database().split("/")[-1],
                text,
            )
            for who in ("nfacctd", "appliance")
        )
        ours.prepare()
        ours.run_appliance()
        theirs.prepare()
        theirs.take_tables_of(ours)
        theirs.run_nfacctd()
        return theirs, ours

    yield run
    mariadb.run("SET GLOBAL time_zone = 'SYSTEM'")


def assert_same(theirs: KeySide, ours: KeySide, forms: tuple[str, ...] = FORMATS) -> None:
    """Compare tables and lines; there have to be some."""
    for table in ("acct", "acct in SQLite"):
        want, got = (side.rows(table) for side in (theirs, ours))
        assert want
        assert got == want
    for form in forms:
        want_lines, got_lines = theirs.lines(form), ours.lines(form)
        assert want_lines
        assert got_lines == want_lines


HISTORY = "".join(f"{kind}_history: 1m\n{kind}_history_roundoff: m\n" for kind in ("sql", "print"))
TIMES = "aggregate: src_host, timestamp_start, timestamp_end, timestamp_export\n" + HISTORY


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "timestamps_since_epoch: true",
        "timestamps_utc: true",
        "timestamps_rfc3339: true",
        "timestamps_rfc3339: true\ntimestamps_utc: true",
        "timestamps_rfc3339: true\ntimestamps_secs: true",
        "timestamps_since_epoch: true\ntimestamps_rfc3339: true",
    ],
)
def test_times_when_written_by_both_then_the_same(both_sides, mariadb, new_york, keys):
    # To nfacctd the zone of the server decides in its tables, not that of the machine.
    mariadb.run("SET GLOBAL time_zone = '+03:00'")
    assert_same(*both_sides(TIMES + keys))


@pytest.mark.parametrize(
    "keys",
    [
        "sql_history: 1m\nsql_history_roundoff: m",
        "print_history: 1m\nprint_history_roundoff: m",
        "print_history: 5m\nsql_history: 1m\nprint_history_roundoff: m",
    ],
)
def test_bins_when_one_key_of_sql_and_print_is_set_then_for_both_plugins(both_sides, keys):
    assert_same(*both_sides(f"aggregate: src_host\n{keys}"))


COUNTS = ((1, number(100, 4)), (2, number(2, 4)))
ENDS = ((8, v4("10.1.1.1")), (12, v4("10.1.1.2")))
FLAGS = tuple((*ENDS, (4, number(p, 1)), (6, b"\x12"), *COUNTS) for p in (1, 6, 17, 47))
INITIATOR, RESPONDER = (231, number(1000, 4)), (232, number(2000, 8))
BOTH_DIRECTIONS = (
    (INITIATOR, RESPONDER),
    ((298, number(5, 4)), INITIATOR, RESPONDER, (299, number(7, 4))),
    ((231, number(0, 4)), RESPONDER),
    (INITIATOR, (232, number(0, 4))),
    (INITIATOR, (2, number(3, 4))),
    ((1, number(111, 4)), INITIATOR, RESPONDER),
    ((233, b"\2"), INITIATOR, RESPONDER),
    (*COUNTS, INITIATOR, RESPONDER),
    COUNTS,
)
NO_ADDRESS = (
    ((60, b"\4"), (4, b"\x11"), *COUNTS),
    ((60, b"\6"), *COUNTS),
    ((60, b"\0"), *COUNTS),
    ((60, b"\7"), *COUNTS),
    ((60, b"\4"),),
    COUNTS,
    ((230, b"\1"), (225, v4("10.9.9.9"))),
    ((233, b"\1"), (323, number(EXPORT_SECONDS * 1000, 8))),
    ((233, b"\1"), *COUNTS),
    ((4, b"\6"),),
    ((56, number(5, 6)), (80, number(6, 6)), *COUNTS),
    ((15, v4("10.1.1.1")), *COUNTS),
)


V5 = (v5(v5_record(protocol=17, flags=0x10, first=0, last=1000), uptime=1000),)


def capture_of(
    folder: Path, records: tuple[tuple[tuple[int, bytes], ...], ...], before: tuple[bytes, ...] = V5
) -> Path:
    """Write a capture of v9 and IPFIX in which each record has a layout, and a port, of its own."""
    sent = [*before]
    for protocol in (V9, IPFIX):
        for place, record in enumerate(records):
            fields = (*record, (7, number(1000 + place, 2)))
            layout = template(300 + place, *((e, len(octets)) for e, octets in fields))
            body = a_set(300 + place, b"".join(octets for _, octets in fields))
            sent.append(protocol.message(protocol.templates(layout), body, domain=place + 1))
    return write_pcap(folder / "records.pcap", [(0, payload) for payload in sent])


def test_flags_when_not_of_tcp_then_as_sent(both_sides, tmp_path):
    text = "aggregate: src_host, src_port, proto, tcpflags, flows"
    assert_same(*both_sides(text, capture_of(tmp_path, FLAGS)))


def test_records_when_without_addresses_then_those_that_nfacctd_keeps(both_sides, tmp_path):
    # Of events nfacctd prints no counters, or those of another row.
    text = "aggregate: src_host, src_port, proto, flows"
    assert_same(*both_sides(text, capture_of(tmp_path, NO_ADDRESS)), ())


@pytest.mark.parametrize(
    "keys", ["", "timestamps_secs: true", "timestamps_since_epoch: true\nsql_dont_try_update: true"]
)
def test_rows_when_stitched_then_the_same_starts_and_ends(both_sides, tmp_path, keys):
    # nfacctd takes an end where seconds and microseconds are both greater, and the first start.
    times = ((5123, 1456), (4100, 400), (5100, 1200), (4000, 100), (3000, 3000))
    records = tuple(
        (
            (8, v4(f"10.1.1.{place // 2}")),
            (152, number(EXPORT_SECONDS * 1000 - start, 8)),
            (153, number(EXPORT_SECONDS * 1000 - end, 8)),
            *COUNTS,
        )
        for place, (start, end) in enumerate(times)
    )
    text = "aggregate: src_host, proto, export_proto_version, timestamp_export\n"
    text += "nfacctd_stitching: true\n" + HISTORY
    assert_same(*both_sides(text + keys, capture_of(tmp_path, records)))


@pytest.mark.parametrize("offset", [15, 59])
def test_bins_when_an_offset_is_configured_then_they_begin_earlier(both_sides, offset):
    text = "aggregate: src_host\n" + HISTORY
    text += f"sql_history_offset: {offset}\nprint_history_offset: {offset}"
    assert_same(*both_sides(text))


NEXT_HOPS = (
    ((15, v4("192.0.2.7")), *COUNTS),
    ((15, v4("192.0.2.7")), (18, v4("192.0.2.8")), *COUNTS),
)


@pytest.mark.parametrize("key", ["false", "true"])
def test_next_hop_when_bgp_has_none_then_of_the_flow_where_configured(both_sides, tmp_path, key):
    records = tuple((*ENDS, *record) for record in NEXT_HOPS)
    # nfacctd takes none of NetFlow v5, and 0.0.0.0 as an address.
    capture = capture_of(tmp_path, records, ())
    text = f"aggregate: src_port, peer_dst_ip\nuse_ip_next_hop: {key}"
    assert_same(*both_sides(text, capture))


@pytest.mark.parametrize("rates", ["", "nfacctd_renormalize: true\nnfacctd_ext_sampling_rate: 10"])
def test_counters_when_of_both_directions_then_the_responders_octets_are_packets(
    both_sides, tmp_path, rates
):
    records = tuple((*ENDS, *record) for record in BOTH_DIRECTIONS)
    text = f"aggregate: src_host, src_port, flows\ntmp_asa_bi_flow: true\n{rates}"
    assert_same(*both_sides(text, capture_of(tmp_path, records)))


@pytest.mark.parametrize(
    "checks",
    [
        "minb=2000",
        "minp=9",
        "minb=3000, minp=9",
        "minf=2",
        "minbpp=300",
        "minppf=5",
        "minb=99999",
    ],
)
@pytest.mark.parametrize("kind", ["any", "all"])
def test_preprocess_when_checks_are_configured_then_the_same_rows_are_written(
    both_sides, checks, kind
):
    text = "aggregate: src_host, flows\n" + "".join(
        f"{key}_preprocess: {checks}\n{key}_preprocess_type: {kind}\n" for key in ("sql", "print")
    )
    theirs, ours = both_sides(text)
    for table in ("acct", "acct in SQLite"):
        assert ours.rows(table) == theirs.rows(table)
    assert ours.lines("csv") == theirs.lines("csv")


@pytest.mark.parametrize(
    "checks",
    [
        *("maxb=3000", "maxp=9", "maxbpp=300", "maxppf=5", "qnum=3,minb=2000", "qnum=9,minb=2000"),
        *("usrf=10", "adjb=8", "minb=2000, usrf=3, adjb=5"),
        *("minb=2000, recover=1", "maxb=3000, recover=2", "recover=1"),
    ],
)
def test_preprocess_when_only_sql_has_it_then_the_same_rows_are_written(both_sides, checks):
    theirs, ours = both_sides(f"aggregate: src_host, flows\nsql_preprocess: {checks}")
    for table in ("acct", "acct in SQLite"):
        assert ours.rows(table) == theirs.rows(table)
