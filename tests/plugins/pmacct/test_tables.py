"""Tables by version: their names and columns, and how they are made when they are missing."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flows import address_halves
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables import new_tables
from appliance.plugins.pmacct.tables.plan import table_plans
from tests.plugins.pmacct.world import START, PmacctWorld, local

V1 = "mac_src mac_dst ip_src ip_dst src_port dst_port ip_proto packets bytes"
VERSIONS = {
    1: ("acct", V1),
    2: ("acct_v2", f"{V1} agent_id vlan"),
    3: ("acct_v3", f"{V1} agent_id vlan tos"),
    4: ("acct_v4", f"{V1} agent_id vlan tos flows"),
    5: ("acct_v5", f"{V1} agent_id vlan tos flows class_id"),
    6: ("acct_v6", f"{V1} agent_id vlan tos flows class_id as_src as_dst"),
    7: ("acct_v7", f"{V1} agent_id vlan tos flows class_id as_src as_dst tcp_flags"),
}
VERSIONS[8] = ("acct_v8", VERSIONS[7][1].replace("src_port dst_port", "port_src port_dst"))
VERSIONS[9] = ("acct", VERSIONS[8][1].replace("agent_id", "tag"))
"""What nfacctd 1.7.7 was seen to write."""


@pytest.mark.parametrize("version", VERSIONS)
def test_table_when_missing_then_made_by_version(world, version):
    table, columns = VERSIONS[version]
    world.configure(f"sql_table_version: {version}\nsql_history: 1m\naggregate: src_host, proto\n")
    world.flows(1)
    world.purge()
    world.load(60)
    names = [*columns.split(), "stamp_inserted", "stamp_updated"]
    if world.mariadb is None:
        found = [row[1] for row in world.sql(f"PRAGMA table_info({table})")]
    else:
        found = [row[0] for row in world.sql(f"SHOW COLUMNS FROM {table}")]
    assert sorted(found) == sorted(names)
    filled = "mac_src, ip_src, ip_dst, ip_proto, bytes"
    assert world.rows(filled, table) == [("0:0:0:0:0:0", "10.0.0.1", "0.0.0.0", "tcp", 100)]


def test_table_when_of_bgp_then_its_columns(world):
    world.configure("aggregate: src_as, dst_as, peer_src_ip, peer_dst_ip\n")
    world.flows(1, bgp_source_as_number=64512, bgp_next_hop_address_lo=0xFFFF_0A00_0009)
    world.purge()
    columns = "as_src, as_dst, peer_ip_src, peer_ip_dst, as_path, agent_id, bytes"
    assert world.rows(columns, "acct_bgp") == [(64512, 0, "192.0.2.1", "10.0.0.9", "", 0, 100)]


def test_table_when_as_numbers_are_old_then_in_the_place_of_addresses(world):
    world.configure("sql_table_version: 5\naggregate: src_as, dst_as, flows\n")
    world.flows(1, bgp_source_as_number=64512)
    world.purge()
    assert world.rows("ip_src, ip_dst, flows, bytes", "acct_v5") == [("64512", "0", 1, 100)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("aggregate: src_host, src_as\n", "SQL tables < v6 are unable to mix IP addresses"),
        ("aggregate: src_host, flows\n", "The accounting of flows requires SQL table v4"),
        ("aggregate: src_host, nosuch\n", "Unknown primitive 'nosuch'"),
    ],
)
def test_plan_when_nfacctd_would_not_start_then_refused(world, text, problem):
    world.configure(text)
    with pytest.raises(Exception, match=problem):
        table_plans(read_effective(world.folder / "c.conf"))


def test_table_when_its_name_has_variables_then_one_for_each_bin(world):
    world.configure(
        "sql_table: acct_%Y%m%d_%H%M\nsql_history: 1m\nsql_optimize_clauses: true\n"
        "nfacctd_time_new: true\naggregate: src_host\n"
    )
    for minute in range(2):
        world.flows(1, collection_time_milliseconds=(START + 60 * minute) * 1000)
    world.purge()
    for minute in range(2):
        second = START + 60 * minute
        name = "acct_" + local(second).replace("-", "").replace(" ", "_").replace(":", "")[:-2]
        assert world.rows("stamp_inserted, bytes", name) == [(local(second), 100)]


def test_table_when_its_name_has_the_exporter_and_tag_then_one_for_each(world):
    (world.folder / "pretag.map").write_text("set_tag=7 in=1\nset_tag=8\n")
    world.configure(
        "sql_table: t_$peer_src_ip_$tag_$ref\nsql_optimize_clauses: true\n"
        "pre_tag_map: pretag.map\naggregate: peer_src_ip, tag\n"
    )
    world.flows(2, ingress_interface=[1, 2])
    world.purge()
    assert world.rows("agent_id, bytes", "t_192_0_2_1_7_60") == [(7, 100)]
    assert world.rows("agent_id, bytes", "t_192_0_2_1_8_60") == [(8, 100)]


WILD = (
    "sql_table: acct_%Y%m%d_%H%M\nsql_history: 1m\nsql_optimize_clauses: true\n"
    "aggregate: src_host\n"
)


def n_tables(world: PmacctWorld) -> int:
    if world.mariadb is None:
        return len(world.sql("SELECT name FROM sqlite_master WHERE name LIKE 'acct%'"))
    return len(world.sql("SHOW TABLES LIKE 'acct%'"))


def wild_flows(world: PmacctWorld, first_day: int, n: int = 10) -> None:
    """One flow of this minute, and one at each of so many days that an exporter made up."""
    days = np.arange(first_day, first_day + n)
    starts = np.concatenate([[START], START - days * 86400]) * 1000
    world.flows(len(starts), flow_start_milliseconds=starts)


def test_tables_when_flows_claim_any_time_then_so_many_a_minute_and_no_row_is_lost(
    world, monkeypatch
):
    monkeypatch.setattr(new_tables, "NEW_TABLES_AT_ONCE", 5)
    world.configure(WILD)
    wild_flows(world, 1)
    world.purge()
    name = f"acct_{local(START)[:16]}".replace("-", "").replace(" ", "_").replace(":", "")
    assert n_tables(world) == 5
    assert world.warnings == [
        "plugin p: acct_%Y%m%d_%H%M would make 6 tables more than 60 a minute: their rows are in"
        f" {name}"
    ]
    rows = world.rows("stamp_inserted, bytes", name)
    assert rows == sorted((local(START - day * 86400), 100) for day in (0, 5, 6, 7, 8, 9, 10))
    # Three seconds later three tables more may be made.
    world.now += 3
    wild_flows(world, 20)
    world.purge()
    assert n_tables(world) == 8
    assert len(world.rows("bytes", name)) == 7 + 7


def test_tables_when_exporters_are_invented_then_the_rest_is_in_one_of_all(world, monkeypatch):
    monkeypatch.setattr(new_tables, "NEW_TABLES_AT_ONCE", 2)
    world.configure(
        "sql_table: t_$peer_src_ip\nsql_optimize_clauses: true\naggregate: peer_src_ip\n"
        "sql_table_version: 9\n"
    )
    first = address_halves("192.0.2.1")[1]
    world.flows(5, exporter_address_lo=[first + n for n in range(5)])
    world.purge()
    assert world.rows("peer_ip_src, bytes", "t_192_0_2_1") == [("192.0.2.1", 100)]
    assert world.rows("peer_ip_src, bytes", "t_0") == [(f"192.0.2.{n}", 100) for n in (3, 4, 5)]


def test_table_when_two_bins_have_one_name_then_the_rows_of_both(world):
    world.configure(WILD.replace("%Y%m%d_%H%M", "%H"))
    world.flows(2, flow_start_milliseconds=[START * 1000, (START - 86400) * 1000])
    world.purge()
    assert world.rows("bytes", f"acct_{local(START)[11:13]}") == [(100,), (100,)]


def test_table_when_a_schema_is_given_then_made_by_it(world):
    (world.folder / "schema.sql").write_text(
        "CREATE TABLE day_%d (ip_src CHAR(45), packets INT, bytes INT, site INT DEFAULT 4);\n"
    )
    world.configure("sql_table: day_%d\nsql_table_schema: schema.sql\nsql_optimize_clauses: true\n")
    world.flows(1)
    world.purge()
    table = f"day_{local(START)[8:10]}"
    assert world.rows("ip_src, bytes, site", table) == [("10.0.0.1", 100, 4)]


def test_table_when_its_schema_cannot_be_read_then_error_and_nothing_lost(world):
    world.configure("sql_table_schema: schema.sql\nsql_optimize_clauses: true\n")
    world.flows(1)
    world.load()
    with pytest.raises(StorageError, match=r"schema\.sql: no such file"):
        world.loader.finish(world.now)
    (world.folder / "schema.sql").write_text(
        "CREATE TABLE acct (ip_src CHAR(45), packets INT, bytes INT)"
    )
    world.purge()
    assert world.rows("ip_src, bytes") == [("10.0.0.1", 100)]


def test_table_when_it_lacks_a_column_then_error_that_names_it(world):
    world.configure("sql_optimize_clauses: true\naggregate: src_host, tos\n")
    world.sql("CREATE TABLE acct (ip_src CHAR(45), packets INT, bytes INT)")
    world.flows(1)
    world.load()
    with pytest.raises(StorageError, match="tos"):
        world.loader.finish(world.now)


def test_table_when_it_has_no_transactions_then_said_once(world):
    if world.mariadb is None:
        pytest.skip("every table of SQLite has them")
    world.configure("sql_optimize_clauses: true\n")
    world.sql("CREATE TABLE acct (ip_src CHAR(45), packets INT, bytes INT) ENGINE=MyISAM")
    for _ in range(2):
        world.flows(1)
        world.purge()
    assert ["MyISAM" in text for text in world.warnings] == [True]
    assert world.rows("ip_src, bytes") == [("10.0.0.1", 200)]
