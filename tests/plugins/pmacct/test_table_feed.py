"""What a feed makes of rows that are in a table, on either database."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import SettingsError, StorageError
from appliance.flows import FlowBatch, address_text
from appliance.plugins.pmacct.feed.feed_names import ApplicationNames
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.plugins.pmacct.feed.table_feed import FeedPlan, TableFeed
from tests.sql.mariadb import MariaDb

NOW = 1_700_000_000.0
UTC = FeedPlan(bin_seconds=60, margin_seconds=10.0, zone=datetime.UTC)
COLUMNS = (
    "peer_ip_src VARCHAR(45), ip_src VARCHAR(45), ip_dst VARCHAR(45), src_port INT, dst_port INT,"
    " ip_proto VARCHAR(16), packets BIGINT, bytes BIGINT, flows BIGINT, stamp_inserted DATETIME"
)
ROW = ("192.0.2.1", "10.0.0.1", "2001:db8::1", 1234, 443, "tcp", 3, 1000, 2)

Fill = Callable[..., SourceTable]


@pytest.fixture(params=["sqlite", "mariadb"])
def fill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fill]:
    """Make a table with rows and return it."""
    made: list[SourceTable] = []
    url = "sqlite:flows.sqlite"
    server: MariaDb | None = None
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb")
        url = server.new_database()

    def run(*statements: str) -> None:
        if server is not None:
            name = url.rpartition("/")[2]
            server.run(f"USE `{name}`", *statements, "COMMIT")
            return
        with closing(sqlite3.connect(tmp_path / "flows.sqlite")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def filled(
        *rows: tuple[Any, ...], columns: str = COLUMNS, table: str = "acct", end: str = ""
    ) -> SourceTable:
        values = [", ".join(map(_literal, row)) for row in rows]
        run(
            f"CREATE TABLE {table} ({columns}) {end if server else ''}",
            *(f"INSERT INTO {table} VALUES ({row})" for row in values),
        )
        made.append(SourceTable(url, table, tmp_path))
        return made[-1]

    yield filled
    for table in made:
        table.close()


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"


def stamp(second: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))


def only(feed: TableFeed, position: str = "") -> list[FlowBatch]:
    return [batch for found in feed.bins(position, NOW) for batch in found.batches]


def test_bins_when_rows_are_there_then_flows_with_their_sums_and_count(fill: Fill) -> None:
    start = NOW // 60 * 60 - 600
    feed = TableFeed(fill((*ROW, stamp(start))), UTC)
    assert feed.check() == []
    (flows,) = only(feed)
    assert flows.n_records == 1
    assert flows.column("octet_delta_count").tolist() == [1000]
    assert flows.column("packet_delta_count").tolist() == [3]
    assert flows.column("delta_flow_count").tolist() == [2]
    texts = [
        address_text(
            int(flows.column(f"{side}_address_hi")[0]),
            int(flows.column(f"{side}_address_lo")[0]),
        )
        for side in ("exporter", "source", "destination")
    ]
    assert texts == ["192.0.2.1", "10.0.0.1", "2001:db8::1"]
    assert flows.column("protocol_identifier").tolist() == [6]
    assert flows.column("destination_transport_port").tolist() == [443]
    assert flows.column("collection_time_milliseconds").tolist() == [start * 1000]


def test_bins_when_a_bin_may_still_change_then_it_waits(fill: Fill) -> None:
    complete, open_bin = NOW - 70, NOW - 69
    feed = TableFeed(fill((*ROW, stamp(complete)), (*ROW, stamp(open_bin))), UTC)
    assert [found.position for found in feed.bins("", NOW)] == [stamp(complete)]
    assert [found.position for found in feed.bins(stamp(complete), NOW)] == []
    assert [found.position for found in feed.bins(stamp(complete), NOW + 1)] == [stamp(open_bin)]


def test_bins_when_continued_behind_each_then_every_row_comes_once(fill: Fill) -> None:
    starts = [NOW // 60 * 60 - 60 * back for back in range(3, 20)]
    rows = [(*ROW[:7], 100 + number, 1, stamp(s)) for number, s in enumerate(starts)]
    feed = TableFeed(fill(*rows, *rows), UTC)
    octets, position = 0, ""
    for _ in starts:
        found = next(feed.bins(position, NOW))
        octets += sum(int(batch.column("octet_delta_count").sum()) for batch in found.batches)
        position = found.position
    assert octets == 2 * sum(row[7] for row in rows)
    assert list(feed.bins(position, NOW)) == []


def test_bins_when_a_row_has_no_counters_then_it_is_no_traffic(fill: Fill) -> None:
    feed = TableFeed(fill((*ROW[:6], 0, 0, 5, stamp(NOW - 600))), UTC)
    assert only(feed) == []


def test_bins_when_stamps_and_addresses_are_numbers_then_the_same_flows(fill: Fill) -> None:
    columns = "ip_src BIGINT, ip_dst BIGINT, ip_proto INT, packets INT, bytes INT"
    row = (0x0A000001, 0xC0000201, 17, 1, 60, int(NOW) - 600)
    feed = TableFeed(fill(row, columns=f"{columns}, stamp_inserted BIGINT"), UTC)
    (flows,) = only(feed)
    assert address_text(0, int(flows.column("source_address_lo")[0])) == "10.0.0.1"
    assert address_text(0, int(flows.column("exporter_address_lo")[0])) == "0.0.0.0"
    assert flows.column("protocol_identifier").tolist() == [17]
    assert flows.column("collection_time_milliseconds").tolist() == [(int(NOW) - 600) * 1000]


def test_bins_when_columns_are_the_sites_own_then_roles_say_what_they_hold(fill: Fill) -> None:
    columns = "way INT, app VARCHAR(20), bytes INT, stamp_inserted DATETIME"
    plan = FeedPlan({"way": "flow_direction", "app": "application_id"}, 60, 10.0, zone=datetime.UTC)
    feed = TableFeed(fill((1, "0D-00-01-F1", 5, stamp(NOW - 600)), columns=columns), plan)
    (flows,) = only(feed)
    assert flows.column("flow_direction").tolist() == [1]
    assert flows.column("application_id").tolist() == [0x0D << 56 | 0x1F1]


def test_bins_when_texts_are_nonsense_then_taken_as_absent(fill: Fill) -> None:
    row = ("nobody", "", "::", 70000, -1, "no-such", 1, 10, 1, stamp(NOW - 600))
    (flows,) = only(TableFeed(fill(row), UTC))
    assert flows.n_records == 1
    assert flows.column("source_transport_port").tolist() == [65535]
    assert flows.column("destination_transport_port").tolist() == [0]
    assert flows.column("protocol_identifier").tolist() == [255]


def test_check_when_bins_are_unknown_then_found_in_the_table(fill: Fill) -> None:
    rows = [(*ROW, stamp(NOW - 900 * back)) for back in (2, 3, 5)]
    (said,) = TableFeed(fill(*rows), FeedPlan(zone=datetime.UTC)).check()
    assert "bins of 900 s" in said


def test_check_when_the_engine_knows_no_transactions_then_says_so(fill: Fill) -> None:
    table = fill((*ROW, stamp(NOW)), end="ENGINE=MyISAM")
    if not table.is_mysql:
        pytest.skip("SQLite has no engines")
    (said,) = TableFeed(table, UTC).check()
    assert "myisam, which knows no transactions" in said


def test_check_when_there_are_no_stamps_then_refused(fill: Fill) -> None:
    with pytest.raises(SettingsError, match="no column stamp_inserted"):
        TableFeed(fill(columns="ip_src INT, bytes INT")).check()


def test_check_when_there_is_no_such_table_then_refused(fill: Fill) -> None:
    table = fill()
    table.table = "other"
    with pytest.raises(SettingsError, match="does not exist"):
        TableFeed(table).check()


def test_names_when_told_then_for_every_exporter_and_once(fill: Fill) -> None:
    names = fill(
        ("0D-00-01-F1", "webex", ""),
        ("0D-00-01-F1", "", ""),
        ("03-00-00-50", "http", "the web"),
        table="names",
        columns="appid VARCHAR(20), appname VARCHAR(50), appdescr VARCHAR(50)",
    )
    other = ("192.0.2.2", *ROW[1:])
    table = fill((*ROW, stamp(NOW - 600)), (*other, stamp(NOW - 600)))
    feed = TableFeed(table, UTC, ApplicationNames(names, ("appid", "appname", "appdescr")))
    assert feed.names(NOW) is None
    only(feed)
    told = feed.names(NOW)
    assert told is not None
    assert told.options
    assert told.n_records == 4
    assert set(told.column("application_name")) == {"webex", "http"}
    assert len(np.unique(told.column("exporter_address_lo"))) == 2
    assert feed.names(NOW) is None


def test_bins_when_the_database_is_away_then_a_storage_error(tmp_path: Path) -> None:
    feed = TableFeed(SourceTable("mysql://nobody@127.0.0.1:1/none", "acct", tmp_path), UTC)
    with pytest.raises(StorageError):
        feed.check()


def test_bin_when_asked_for_once_more_then_all_that_it_has_by_now(fill: Fill) -> None:
    start = NOW // 60 * 60 - 600
    feed = TableFeed(fill((*ROW, stamp(start)), (*ROW, stamp(start + 60))), UTC)
    first = next(feed.bins("", NOW))
    again = feed.bin(first.position)
    assert again is not None
    assert (again.position, again.start_ms) == (stamp(start), start * 1000)
    assert again.end_ms == (start + 60) * 1000
    assert [batch.n_records for batch in again.batches] == [1]
    assert feed.bin(stamp(start + 120)) is None
    numbers = fill((5, int(start)), columns="bytes BIGINT, stamp_inserted BIGINT", table="numbers")
    assert TableFeed(numbers, UTC).check()
    found = TableFeed(numbers, UTC)
    (only_bin,) = found.bins("", NOW)
    assert found.bin(only_bin.position) is not None


def test_stamps_when_the_server_is_in_another_zone_then_read_in_its_own(
    mariadb: MariaDb, tmp_path: Path, new_york: None
) -> None:
    url = mariadb.new_database()
    name = url.rpartition("/")[2]
    mariadb.run("SET GLOBAL time_zone = '+03:00'")
    try:
        mariadb.run(
            f"USE `{name}`",
            f"CREATE TABLE acct ({COLUMNS})",
            f"INSERT INTO acct VALUES ({', '.join(map(_literal, ROW))},"
            f" FROM_UNIXTIME({NOW - 80 - 600}))",
            "COMMIT",
        )
        feed = TableFeed(SourceTable(url, "acct", tmp_path), FeedPlan(bin_seconds=60))
        said = feed.check()
        (found,) = feed.bins("", NOW)
        feed.close()
    finally:
        mariadb.run("SET GLOBAL time_zone = 'SYSTEM'")
    assert found.start_ms == (NOW - 680) * 1000
    assert any("is in the time zone UTC+03:00, this machine in UTC-0" in text for text in said)


def test_stamps_when_a_setting_says_their_zone_then_read_in_it(fill: Fill) -> None:
    table = fill((*ROW, stamp(NOW + 3600 - 200)))
    zone = datetime.timezone(datetime.timedelta(hours=1))
    (found,) = TableFeed(table, FeedPlan(bin_seconds=60, zone=zone)).bins("", NOW)
    assert found.start_ms == (NOW - 200) * 1000


def test_check_when_the_newest_bin_is_of_tomorrow_then_says_which_setting(fill: Fill) -> None:
    table = fill((*ROW, stamp(time.time() + 7200)))
    (said,) = TableFeed(table, UTC).check()
    assert "flows.pmacct_time_zone" in said
