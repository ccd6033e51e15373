"""Real nfacctd and the appliance write the same rows, from the same configuration and datagrams.

Every capture that may be copied goes through both, into MariaDB and SQLite. Where they differ for a
reason that is accepted, `ACCEPTED` says which columns; each difference is printed (`pytest -rP`).
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugins.pmacct.both import TABLES, Side, without
from tests.sql.mariadb import MariaDb

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
CONSTRUCTED = Path(__file__).parents[2] / "data" / "nfacctd"
PATHS = {path.stem: path for folder in (CAPTURES, CONSTRUCTED) for path in folder.glob("*.pcap")}
CASES = sorted(PATHS)
ENDLESS = {"v9_constructed_bad-templates"}
"""nfacctd never ends with a template whose records have no octets."""

AT_ONCE = 16
EVERYTHING = "every column"


@dataclass(frozen=True)
class Accepted:
    """A reason for which rows of some captures may differ in some columns."""

    reason: str
    columns: tuple[str, ...]
    cases: frozenset[str]
    tables: tuple[str, ...] = ("netflow", "apptable", "acct_v9", "acct_v9 in SQLite")


_ALL = Accepted.__dataclass_fields__["tables"].default


def accepted(reason: str, columns: str, cases: str, tables: tuple[str, ...] = _ALL) -> Accepted:
    return Accepted(reason, tuple(columns.split(", ")), frozenset(cases.split()), tables)


ACCEPTED = (
    accepted(
        "NetFlow v7, which nfacctd does not read",
        EVERYTHING,
        "mixed_mikemiles_four-versions",
    ),
    accepted(
        "options records and flows under one key: nfacctd gives up the sums",
        "packets, bytes",
        "ipfix_pynetflow_ether-padding ipfix_telegraf_example ipfix_yaf_applabel",
        ("apptable",),
    ),
    accepted(
        "start of a flow: nfacctd rounds up by up to a second, does not know that uptimes wrap"
        " around or run before the export, and reads no micro- or nanoseconds",
        "stamp_inserted",
        "ipfix_calmh_procera ipfix_pynetflow_ether-padding ipfix_pynetflow_softflowd"
        " v5_constructed_uptime-wrap v9_constructed_padding-0-to-7 v9_fortigate_fortios521",
        ("acct_v9", "acct_v9 in SQLite"),
    ),
    accepted(
        "an event of a firewall that counts nothing has no octets, so it is no flow",
        "agent_id, flows",
        "ipfix_barracuda_extended-uniflow ipfix_barracuda_firewall",
    ),
    accepted(
        "ICMP without the element of the protocol: nfacctd writes 0",
        "ip_proto",
        "ipfix_pynetflow_softflowd",
        ("netflow", "acct_v9", "acct_v9 in SQLite"),
    ),
    accepted(
        "packets are counted where there are no octets, and such a record is a flow",
        "packets, flows",
        "ipfix_constructed_variable-length mixed_mikemiles_four-versions",
    ),
    accepted(
        "mixed with what an option's scope says in place of octets",
        "bytes",
        "mixed_mikemiles_four-versions",
        ("apptable",),
    ),
    accepted(
        "nfacctd takes no VLAN from dot1qVlanId (243)",
        "vlan",
        "v9_cisco-1941_release151",
    ),
    accepted(
        "damaged messages: nfacctd reads on where the length of the message forbids it, or reads"
        " nothing of what is sound",
        EVERYTHING,
        "ipfix_calmh_bad-encoding ipfix_constructed_message-lengths v5_constructed_truncations"
        " v5_softflowd_trailing-octets v9_mikemiles_damaged-options"
        " v9_softflowd_count-mismatch",
    ),
    accepted(
        "data before its template: nfacctd drops it; and options of a template that it drops",
        EVERYTHING,
        "v9_pynetflow_mixed-then-zeros ipfix_pynetflow_ether-padding ipfix_telegraf_example",
        ("netflow", "acct_v9", "acct_v9 in SQLite"),
    ),
    accepted(
        "data before its template, in the table of applications",
        EVERYTHING,
        "v9_pynetflow_mixed-then-zeros",
        ("apptable",),
    ),
    accepted(
        "nfacctd makes a start in the year 2105 of an uptime, which the database refuses",
        EVERYTHING,
        "v9_nprobe_dpi-l7",
        ("acct_v9", "acct_v9 in SQLite"),
    ),
)


@pytest.fixture(scope="module")
def sides(mariadb, tmp_path_factory) -> dict[tuple[str, str], tuple[Side, Side]]:
    """Run nfacctd on everything, many at a time: it mostly sleeps."""
    if shutil.which("nfacctd") is None:
        pytest.skip("nfacctd is not installed: apt-get install pmacct")
    folder = tmp_path_factory.mktemp("both")
    made = {
        (case, kind): prepare_pair(folder, case, kind, mariadb)
        for case in CASES
        for kind in TABLES
        if case not in ENDLESS
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda pair: pair[0].run_nfacctd(), made.values()))
    return made


def prepare_pair(folder: Path, case: str, kind: str, mariadb: MariaDb) -> tuple[Side, Side]:
    """Return a side for nfacctd and one for the appliance, with empty tables."""
    theirs, ours = (
        Side(
            *(folder / who / kind / case, kind, PATHS[case], mariadb),
            mariadb.new_database().split("/")[-1],
        )
        for who in ("nfacctd", "appliance")
    )
    theirs.prepare()
    ours.prepare()
    return theirs, ours


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("case", [case for case in CASES if case not in ENDLESS])
def test_tables_when_filled_by_both_then_the_same_rows(sides, mariadb, tmp_path, case, kind):
    problems = differing_tables(sides[case, kind], case, kind)
    if problems:
        # Where much else runs, nfacctd may write one purge twice: both start again, once.
        theirs, ours = prepare_pair(tmp_path, case, kind, mariadb)
        theirs.run_nfacctd()
        problems = differing_tables((theirs, ours), case, kind)
    assert problems == []


def differing_tables(pair: tuple[Side, Side], case: str, kind: str) -> list[str]:
    """Let the appliance fill its tables; return those with other rows than nfacctd's."""
    theirs, ours = pair
    if not (ours.folder / "flowlog").exists():
        ours.run_appliance()
    problems = []
    for table in TABLES[kind]:
        reasons = [a for a in ACCEPTED if case in a.cases and table in a.tables]
        ignored = tuple(column for reason in reasons for column in reason.columns)
        # Bins of the time of arrival: nfacctd reads a file now, not when it was captured.
        arrival = ("stamp_inserted",) if table == "netflow" else ()
        want, got = (without(side.rows(table), arrival) for side in (theirs, ours))
        for sign, rows in (("-", want - got), ("+", got - want)):
            for row in rows:
                print(sign, case, table, dict(row), *(reason.reason for reason in reasons))
        if EVERYTHING not in ignored and without(want, ignored) != without(got, ignored):
            problems.append(table)
    return problems


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("reason", ACCEPTED, ids=lambda accepted: accepted.reason[:40])
def test_accepted_when_listed_then_each_capture_differs_for_it(sides, reason):
    for case in reason.cases:
        found = False
        for kind, tables in TABLES.items():
            theirs, ours = sides[case, kind]
            if not (ours.folder / "flowlog").exists():
                ours.run_appliance()
            for table in set(tables) & set(reason.tables):
                arrival = ("stamp_inserted",) if table == "netflow" else ()
                found |= without(theirs.rows(table), arrival) != without(ours.rows(table), arrival)
        assert found, f"{case} does not differ"
