"""Rows that pmacct adds to a bin after it was taken over: they come to the flow log, once."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.app import open_app
from appliance.collector.feeding import FeedCollector
from appliance.collector.late_rows import bin_columns, more_than
from appliance.contracts import FlowStore, Selection
from appliance.flowlog import FlowSearch
from appliance.flowlog.schema import arrow_type
from appliance.flows import FlowBatch
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.plugins.pmacct.feed.table_feed import FeedPlan, TableFeed
from tests.asking import Totals, totals
from tests.sql.mariadb import MariaDb

START = 1_700_000_040
UTC = FeedPlan(bin_seconds=60, margin_seconds=10.0, zone=datetime.UTC)
TABLE = (
    "CREATE TABLE acct (peer_ip_src TEXT, ip_src TEXT, ip_dst TEXT, ip_proto TEXT,"
    " packets BIGINT, bytes BIGINT, flows BIGINT, stamp_inserted DATETIME)"
)


class Feeding:
    """A collector that reads a table; time is what the test says.

    The table is in a file, with a server in a new database there.
    """

    def __init__(self, folder: Path, server: MariaDb | None = None) -> None:
        self.folder, self.server, self.now = folder, server, START + 80.0
        self.url = "sqlite:acct.sqlite" if server is None else server.new_database()
        (folder / "appliance.yml").write_text("data_directory: data\n")
        self.run(TABLE)
        self.collector: FeedCollector | None = None
        self.restart()

    def run(self, *statements: str) -> None:
        if self.server is not None:
            name = self.url.rpartition("/")[2]
            self.server.run(f"USE `{name}`", *statements, "COMMIT")
            return
        with closing(sqlite3.connect(self.folder / "acct.sqlite")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def insert(self, source: str, octets: int, *, flows: int = 1, second: int = START) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        values = f"'192.0.2.1', '{source}', '10.0.0.9', 'tcp', 1, {octets}, {flows}, '{stamp}'"
        self.run(f"INSERT INTO acct VALUES ({values})")

    def restart(self) -> None:
        """End as a crash does; what is known is what the log says."""
        self.close()
        table = SourceTable(self.url, "acct", self.folder)
        app = open_app(self.folder)
        self.collector = FeedCollector(
            app.collector_parts(), TableFeed(table, UTC), clock=lambda: self.now
        )
        self.collector.start()

    def close(self) -> None:
        if self.collector is not None:
            self.collector.writer.close(int(self.now * 1000))
            self.collector.feed.close()

    def after(self, seconds: float) -> Totals:
        """Let time pass; return what the flow log has."""
        self.now += seconds
        assert self.collector is not None
        self.collector.poll(0.0)
        return totals(FlowSearch(self.folder / "data" / "flowlog"))

    def rolled_up(self) -> Totals:
        """Load what the log has; return what the roll-ups have."""
        app = open_app(self.folder)
        assert app.stores is not None
        url = app.settings["flows.database"]
        store: FlowStore = app.stores[url.partition(":")[0]](url, app.settings)
        try:
            while store.load_once(self.now).rows:
                pass
            found = store.totals(Selection())
        finally:
            store.close()
        return Totals(found.flows, found.packets, found.octets)


@pytest.fixture
def feeding(tmp_path: Path) -> Iterator[Feeding]:
    feeding = Feeding(tmp_path)
    yield feeding
    feeding.close()


def test_rows_when_they_come_late_then_counted_at_the_next_look_and_once(feeding: Feeding) -> None:
    feeding.insert("10.0.0.1", 1000, flows=2)
    assert feeding.after(0) == Totals(2, 1, 1000)
    feeding.insert("10.0.0.2", 500)
    feeding.run("UPDATE acct SET bytes = bytes + 7, flows = flows + 1 WHERE ip_src = '10.0.0.1'")
    assert feeding.after(20) == Totals(2, 1, 1000)
    assert feeding.rolled_up() == Totals(2, 1, 1000)
    assert feeding.after(40) == Totals(4, 2, 1507)
    assert feeding.rolled_up() == Totals(4, 2, 1507)
    assert feeding.after(60) == Totals(4, 2, 1507)
    feeding.insert("10.0.0.2", 20)
    assert feeding.after(60) == Totals(4, 2, 1507)
    assert feeding.after(900) == Totals(5, 3, 1527)
    assert feeding.after(1800) == Totals(5, 3, 1527)
    assert feeding.after(7200) == Totals(5, 3, 1527)
    assert feeding.rolled_up() == Totals(5, 3, 1527)


def test_rows_when_the_collector_ended_between_then_still_once(feeding: Feeding) -> None:
    feeding.insert("10.0.0.1", 1000)
    feeding.after(0)
    feeding.restart()
    feeding.insert("10.0.0.1", 50)
    assert feeding.after(900) == Totals(2, 2, 1050)
    feeding.restart()
    assert feeding.after(2700) == Totals(2, 2, 1050)


def test_rows_when_deleted_later_then_what_was_taken_stays(feeding: Feeding) -> None:
    feeding.insert("10.0.0.1", 1000)
    feeding.insert("10.0.0.2", 2000)
    feeding.after(0)
    feeding.run("DELETE FROM acct WHERE ip_src = '10.0.0.1'")
    assert feeding.after(900) == Totals(2, 2, 3000)
    feeding.run("DELETE FROM acct")
    assert feeding.after(2700) == Totals(2, 2, 3000)


def test_bins_when_old_at_the_first_start_then_taken_once_for_all(feeding: Feeding) -> None:
    feeding.insert("10.0.0.1", 1000, second=START - 86_400)
    assert feeding.after(0) == Totals(1, 1, 1000)
    assert feeding.collector is not None
    assert feeding.collector._taken == {}


def test_rows_when_part_of_the_log_is_gone_then_nothing_is_counted_twice(feeding: Feeding) -> None:
    feeding.insert("10.0.0.1", 1000)
    feeding.after(0)
    feeding.close()
    for file in (feeding.folder / "data" / "flowlog" / "flows").iterdir():
        file.unlink()
    feeding.collector = None
    feeding.restart()
    feeding.insert("10.0.0.1", 50)
    assert feeding.after(900).octets == 0


_NOTHING = (0, 0, 0)
_KEYS = st.tuples(st.integers(0, 2), st.integers(0, 1))
_COUNTED = st.dictionaries(
    _KEYS, st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(1, 3))
)


def batches_of(counted: dict[tuple[int, int], tuple[int, int, int]]) -> list[FlowBatch]:
    """Make flows of keys with octets, packets and a number of flows, as a feed does."""
    rows = [(*key, *counts) for key, counts in counted.items()]
    if not rows:
        return []
    source, protocol, octets, packets, flows = zip(*rows, strict=True)
    columns = {
        "source_address_lo": np.array(source, np.uint64),
        "protocol_identifier": np.array(protocol, np.uint8),
        "octet_delta_count": np.array(octets, np.uint64),
        "packet_delta_count": np.array(packets, np.uint64),
        "delta_flow_count": np.array(flows, np.uint64),
        "collection_time_milliseconds": np.full(len(rows), 5, np.int64),
    }
    return [FlowBatch(len(rows), columns)]


def counted_of(batches: list[FlowBatch]) -> dict[tuple[int, int], tuple[int, int, int]]:
    sums: dict[tuple[int, int], Counter[str]] = {}
    for batch in batches:
        names = (
            *("source_address_lo", "protocol_identifier"),
            *("octet_delta_count", "packet_delta_count", "delta_flow_count"),
        )
        for *key, octets, packets, flows in zip(
            *(batch.column(n).tolist() for n in names), strict=True
        ):
            found = sums.setdefault((key[0], key[1]), Counter())
            found.update(octets=octets, packets=packets, flows=flows)
    return {key: (c["octets"], c["packets"], c["flows"]) for key, c in sums.items()}


@settings(max_examples=200, deadline=None)
@given(before=_COUNTED, later=_COUNTED)
def test_more_than_when_any_rows_were_added_then_exactly_those(before, later) -> None:
    whole = {
        key: tuple(map(sum, zip(before.get(key, _NOTHING), later.get(key, _NOTHING), strict=True)))
        for key in {*before, *later}
    }
    found = batches_of(whole)
    if not found:
        return
    names = bin_columns(found)
    values = {name: [v for b in batches_of(before) for v in b.column(name)] for name in names}
    taken = pa.table({name: pa.array(values[name], arrow_type(name)) for name in names})
    assert counted_of(more_than(found, taken)) == later
