"""When and how rows are written: bins, purges, rows that are there, crashes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.plugins.pmacct.configuration.overrides import overrides
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables import destination
from appliance.plugins.pmacct.tables.destination import Destination
from appliance.sql.addresses import database_address
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import TABLE_PROGRESS
from tests.plugins.pmacct.world import START, local

OWN = "sql_optimize_clauses: true\n"
HOUR = 1_801_429_200
"""2027-01-31 21:00 UTC."""


def stamps(world):
    return [stamp for (stamp,) in world.rows("stamp_inserted")]


@pytest.mark.parametrize(
    ("history", "second", "expected"),
    [
        ("sql_history: 60m\n", START + 5, START // 60 * 60),
        ("sql_history: 60m\n", START - 7200, START // 60 * 60 - 7200),
        ("sql_history: 60m\nsql_history_roundoff: m\n", START + 5, HOUR),
        ("sql_history: 1h\nsql_history_roundoff: h\n", START + 5, HOUR),
        ("sql_history: 10m\nsql_history_roundoff: m\n", START + 700, HOUR + 600),
        ("sql_history: 1m\n", START + 61, START // 60 * 60 + 60),
        ("sql_history: 300\n", START + 299, START // 60 * 60),
    ],
)
def test_bin_when_history_is_asked_for_then_on_its_grid(world, history, second, expected):
    world.configure(OWN + "nfacctd_time_new: true\n" + history)
    world.flows(1, collection_time_milliseconds=second * 1000)
    world.purge()
    assert stamps(world) == [local(expected)]


def test_bin_when_time_is_not_new_then_of_the_flow_start(world):
    world.configure(OWN + "sql_history: 1m\n")
    world.flows(2, flow_start_milliseconds=[(START - 600) * 1000, 0])
    world.purge()
    assert stamps(world) == [local(START - 600), local(START)]


def test_bin_when_months_then_of_the_calendar(world):
    world.configure(OWN + "nfacctd_time_new: true\nsql_history: 1M\nsql_history_roundoff: m\n")
    world.flows(2, collection_time_milliseconds=[(START - 86400) * 1000, (START + 864000) * 1000])
    world.purge()
    assert stamps(world) == [f"2027-{month}-01 00:00:00" for month in ("01", "02")]


def test_history_when_its_unit_is_unknown_then_said_and_no_stamps(world):
    world.configure(OWN + "sql_history: 60x\nsql_history_roundoff: mq\n")
    world.flows(1)
    world.purge()
    assert "Ignoring unknown time measuring unit: 'x'." in world.warnings[0]
    assert "ignoring unknown round off value: q" in world.warnings[1]
    assert world.rows("*") == [("10.0.0.1", 2, 100)]


def test_purge_when_the_refresh_time_is_over_then_and_not_before(world):
    world.configure(OWN + "sql_refresh_time: 100\nsql_startup_delay: 30\n")
    world.load()
    world.flows(1)
    world.load(29)
    with pytest.raises(Exception, match="acct"):
        world.rows("bytes")
    world.load(1)
    assert world.rows("bytes") == [(100,)]
    world.flows(1)
    world.load(99)
    assert world.rows("bytes") == [(100,)]
    world.load(1)
    assert world.rows("bytes") == [(200,)]


def test_purge_when_too_many_rows_wait_then_at_once(world):
    world.configure(OWN + "sql_cache_entries: 3\naggregate: src_port\nsql_refresh_time: 1000\n")
    world.flows(2, source_transport_port=[1, 2])
    world.load()
    with pytest.raises(Exception, match="acct"):
        world.rows("bytes")
    world.flows(2, source_transport_port=[3, 4])
    world.load()
    assert len(world.rows("bytes")) == 4


@pytest.mark.parametrize("history", ["", "sql_history: 1h\n"])
def test_purge_when_rows_are_there_then_added_to(world, history):
    world.configure(OWN + history + "aggregate: src_port, proto, tcpflags, flows\n")
    world.flows(2, source_transport_port=[1, 2], tcp_control_bits=1)
    world.purge()
    world.now += 60
    world.flows(3, source_transport_port=[2, 3, 3], tcp_control_bits=9)
    world.purge()
    assert world.rows("src_port, tcp_flags, packets, bytes, flows") == [
        (1, 1, 2, 100, 1), (2, 9, 4, 200, 2), (3, 9, 4, 200, 2),
    ]  # fmt: skip
    if history:
        updated = [stamp for (_, stamp) in world.rows("src_port, stamp_updated")]
        assert updated == [local(START), local(START + 60), local(START + 60)]


def test_purge_when_temporary_tables_are_not_allowed_then_row_by_row(world):
    world.configure(OWN + "aggregate: src_port, proto, tcpflags\n")
    world.flows(2, source_transport_port=[1, 2])
    world.purge()
    world.loader.followers[0].destination.temporary = False
    world.flows(2, source_transport_port=[2, 3], tcp_control_bits=8)
    world.purge()
    assert world.rows("src_port, tcp_flags, bytes") == [(1, 0, 100), (2, 8, 200), (3, 8, 100)]


def test_purge_when_loading_of_files_is_not_allowed_then_inserted(world):
    if world.mariadb is None:
        pytest.skip("SQLite has no LOAD DATA")
    world.mariadb.run("SET GLOBAL local_infile = OFF")
    try:
        world.configure(OWN + "aggregate: src_port, user\nsql_multi_values: 4096\n")
        world.flows(500, {(9, 1000): b"it's"}, source_transport_port=range(500))
        world.purge()
    finally:
        world.mariadb.run("SET GLOBAL local_infile = ON")
    assert world.rows("count(*), sum(bytes), max(user)") == [(500, 50_000, "it's")]
    assert not world.loader.followers[0].destination.local_data


@pytest.mark.parametrize("same", ["it's", '50% of "a,b"', "a\\b\\", "@x := NULL", "NULL", "", "é"])
@pytest.mark.parametrize("update", ["true", "false"])
def test_purge_when_a_value_is_the_same_in_all_rows_then_written_as_any_other(world, same, update):
    more = f"sql_num_hosts: true\nsql_dont_try_update: {update}\n"
    world.configure(OWN + more + "aggregate: src_host, src_port, user\n")
    for first in (1, 4):
        ports = list(range(first, first + 3))
        world.flows(3, {(9, 1000): same.encode()}, source_transport_port=ports)
        world.purge()
    found = world.rows("hex(ip_src), src_port, user, bytes")
    assert found == [("0A000001", port, same, 100) for port in range(1, 7)]


def test_purge_when_updates_are_off_then_only_inserted(world):
    world.configure(OWN + "sql_dont_try_update: true\n")
    for _ in range(2):
        world.flows(1)
        world.purge()
    assert world.rows("ip_src, bytes") == [("10.0.0.1", 100)] * 2


def test_purge_when_keys_clash_then_the_row_is_refused_and_counted(world):
    world.configure(OWN + "sql_dont_try_update: true\naggregate: src_port\n")
    world.sql("CREATE TABLE acct (src_port INT PRIMARY KEY, packets INT, bytes INT)")
    world.flows(2, source_transport_port=[1, 2])
    world.purge()
    world.flows(2, source_transport_port=[2, 3])
    world.purge()
    assert world.rows("src_port, bytes") == [(1, 100), (2, 100), (3, 100)]
    assert len(world.warnings) == 1
    assert "1 of 2 rows refused: " in world.warnings[0]


def test_purge_when_a_column_is_too_small_then_said(world):
    if world.mariadb is None:
        pytest.skip("SQLite keeps any number")
    world.configure(OWN + "sql_dont_try_update: true\n")
    world.sql("CREATE TABLE acct (ip_src CHAR(4), packets INT, bytes SMALLINT)")
    world.flows(1, octet_delta_count=100_000)
    world.purge()
    assert world.rows("ip_src, bytes") == [("10.0", 32767)]
    assert world.warnings == [
        "table acct: values changed by the database: Data truncated for column 'ip_src' at row 1"
    ]


def test_crash_when_rows_wait_then_nothing_lost_or_twice(world):
    world.configure(OWN + "sql_refresh_time: 1000\naggregate: src_port\n")
    world.flows(2, source_transport_port=[1, 2])
    world.purge()
    world.flows(2, source_transport_port=[2, 3])
    world.load()
    world.restart()
    world.flows(1, source_transport_port=4)
    world.purge()
    assert world.rows("src_port, bytes") == [(1, 100), (2, 200), (3, 100), (4, 100)]
    world.restart()
    world.purge()
    assert world.rows("sum(bytes)") == [(500,)]


@pytest.mark.parametrize("step", ["_insert", "_update", "execute"])
def test_crash_when_in_a_purge_then_all_of_it_or_nothing(world, monkeypatch, step):
    world.configure(OWN + "aggregate: src_port\nnfacctd_account_options: true\n")
    world.flows(3, source_transport_port=[1, 2, 3])
    world.purge()
    world.flows(3, source_transport_port=[2, 3, 4])
    world.load()
    whole = getattr(Destination, step)

    def failing(self, *arguments):
        found = whole(self, *arguments)
        if step != "execute" or TABLE_PROGRESS in arguments[0]:
            raise StorageError("killed")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Destination, step, failing)
        with pytest.raises(StorageError, match="killed"):
            world.loader.finish(world.now)
    assert world.rows("src_port, bytes") == [(1, 100), (2, 100), (3, 100)]
    world.restart()
    world.purge()
    assert world.rows("src_port, bytes") == [(1, 100), (2, 200), (3, 200), (4, 100)]


def test_database_when_away_then_error_and_later_everything(world):
    world.configure(OWN + "aggregate: src_port\n")
    world.flows(1)
    world.purge()
    if world.mariadb is not None:
        world.mariadb.stop()
    else:
        (world.folder / "pmacct.db").rename(world.folder / "gone")
        (world.folder / "pmacct.db").mkdir()
    world.flows(1)
    with pytest.raises(StorageError):
        world.load(60)
    if world.mariadb is not None:
        world.mariadb.start()
    else:
        (world.folder / "pmacct.db").rmdir()
        (world.folder / "gone").rename(world.folder / "pmacct.db")
    world.purge()
    assert world.rows("bytes") == [(200,)]


def test_tables_when_several_then_each_has_its_own_place_in_the_log(world):
    world.configure(
        OWN + "aggregate[a]: src_port\nsql_table[a]: a\naggregate[b]: proto\nsql_table[b]: b\n"
        "sql_refresh_time[a]: 10\nsql_refresh_time[b]: 1000\n",
        "KIND[a], KIND[b]",
    )
    world.flows(1)
    world.load()
    assert world.loader.cursor() == (0, 0)
    world.load(10)
    assert world.rows("src_port, bytes", "a") == [(50_000, 100)]
    assert world.loader.cursor() == (0, 0)
    world.purge()
    assert world.rows("ip_proto, bytes", "b") == [("tcp", 100)]
    assert world.loader.cursor() > (0, 0)


def test_log_when_another_than_before_then_from_its_beginning(world):
    world.configure(OWN)
    world.flows(1)
    world.purge()
    world.sql(f'UPDATE {TABLE_PROGRESS} SET content = \'{{"flows": [90, 0], "options": [90, 0]}}\'')
    world.restart()
    world.purge()
    assert world.rows("bytes") == [(200,)]
    assert "another" in world.warnings[0]


def test_server_when_named_by_its_socket_then_tables_and_roll_ups_are_there(world):
    if world.mariadb is None:
        pytest.skip("SQLite has no server")
    world.configure(OWN)
    config = world.folder / "c.conf"
    text = config.read_text().replace("127.0.0.1", f"unix:{world.mariadb.folder}/socket")
    config.write_text(text.replace("sql_user: appliance", "sql_user: near"))
    world.mariadb.run(
        "CREATE OR REPLACE USER 'near'@'localhost' IDENTIFIED BY 'sec@ret'",
        f"GRANT ALL ON {world.database}.* TO 'near'@'localhost'",
    )
    world.flows(1)
    world.purge()
    url = str(overrides(read_effective(config))["flows.database"])
    database = SqlDatabase(database_address(url, world.folder), lambda _: None)
    with database.transaction():
        assert database.rows("SELECT bytes FROM acct") == [(100,)]
    database.close()


def test_map_when_it_has_gone_then_the_loader_waits_for_it(world):
    world.configure(OWN + "pre_tag_map: m\naggregate: tag\n")
    (world.folder / "m").write_text("set_tag=5\n")
    loader = world.loader
    (world.folder / "m").unlink()
    world.flows(1)
    with pytest.raises(StorageError, match="m: file not found"):
        loader.load_once(world.now)
    (world.folder / "m").write_text("set_tag=5\n")
    world.purge()
    assert world.rows("agent_id, bytes") == [(5, 100)]


@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (src_port, dst_port, user)"])
def test_purge_when_many_rows_are_there_then_not_each_compared_with_each(world, key):
    world.configure(OWN + "aggregate: src_port, dst_port, user\nsql_refresh_time: 100000\n")
    columns = "src_port INT, dst_port INT, user VARCHAR(200), packets INT, bytes INT"
    world.sql(f"CREATE TABLE acct ({columns}{key})")
    n = 20_000
    ports = np.arange(n)
    for first in (0, n // 2):
        some = (first + ports) % 65536
        world.flows(n, {(9, 1000): b"x" * 80}, source_transport_port=some)
        began = time.monotonic()
        world.purge()
        # Comparing each with each takes a minute; this is a second where nothing else runs.
        assert time.monotonic() - began < 20
    assert world.rows("count(*), sum(bytes)") == [(n + n // 2, 200 * n)]


def test_crash_when_rows_are_added_to_then_the_inserted_ones_are_gone_too(world, monkeypatch):
    world.configure(OWN + "aggregate: src_port\nsql_history: 1m\nnfacctd_time_new: true\n")
    world.flows(1)
    world.purge()
    world.flows(2, collection_time_milliseconds=[START * 1000, (START + 600) * 1000])
    world.load()

    def failing(*_: object) -> None:
        raise StorageError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(destination, "merge_waiting", failing)
        with pytest.raises(StorageError, match="killed"):
            world.loader.finish(world.now)
    assert world.rows("bytes") == [(100,)]
    world.restart()
    world.purge()
    assert world.rows("bytes") == [(100,), (200,)]
