"""What stands in a row: keys, sums, custom primitives, tags, as nfacctd writes them."""

from __future__ import annotations

import pytest

from appliance.flows import RecordKind, address_halves
from tests.plugins.pmacct.world import START, local

OWN = "sql_optimize_clauses: true\n"


def lo(address: str) -> int:
    return address_halves(address)[1]


def test_rows_when_flows_share_the_key_then_summed_up(world):
    world.configure(OWN + "aggregate: src_host, dst_port, proto, flows\n")
    world.flows(3)
    world.flows(2, destination_transport_port=[80, 443], octet_delta_count=[7, 8])
    world.purge()
    assert world.rows("ip_src, dst_port, ip_proto, packets, bytes, flows") == [
        ("10.0.0.1", 80, "tcp", 2, 7, 1),
        ("10.0.0.1", 443, "tcp", 8, 308, 4),
    ]


def test_rows_when_a_record_stands_for_several_flows_then_all_are_counted(world):
    world.configure(OWN + "aggregate: dst_port, flows\n")
    world.flows(2, delta_flow_count=[5, 2])
    world.flows(2, destination_transport_port=[443, 80])
    world.flows(1, record_kind=int(RecordKind.EVENT), delta_flow_count=9)
    world.purge()
    assert world.rows("dst_port, flows") == [(80, 1), (443, 8)]


def test_rows_when_nothing_tells_the_protocol_then_as_nfacctd(world):
    world.configure(OWN + "aggregate: proto\n")
    world.flows(2, protocol_identifier=[255, 6])
    world.flows(1, protocol_identifier=255)
    world.purge()
    assert world.rows("ip_proto, bytes") == [("0", 200), ("tcp", 100)]


def test_rows_when_nothing_tells_flows_apart_then_one(world):
    world.configure(OWN + "aggregate: none\n")
    world.flows(5, octet_delta_count=[1, 2, 3, 4, 5])
    world.flows(2)
    world.purge()
    assert world.rows("packets, bytes") == [(14, 215)]


def test_rows_when_addresses_are_of_both_families_then_text(world):
    world.configure(OWN + "aggregate: src_host, dst_host, peer_src_ip, src_mac\n")
    hi, low = address_halves("2001:db8::1")
    world.flows(
        2,
        source_address_hi=[0, hi],
        source_address_lo=[lo("10.1.2.3"), low],
        destination_address_lo=0,
        source_mac_address=[0, 0x0102030A0B0C],
    )
    world.purge()
    assert world.rows("ip_src, ip_dst, peer_ip_src, mac_src") == [
        ("10.1.2.3", "", "192.0.2.1", "00:00:00:00:00:00"),
        ("2001:db8::1", "", "192.0.2.1", "01:02:03:0a:0b:0c"),
    ]


def test_rows_when_nets_are_asked_for_then_masked(world):
    world.configure(OWN + "aggregate: src_net, dst_net, src_mask\n")
    hi, low = address_halves("2001:db8:ffff::1")
    world.flows(
        3,
        source_address_hi=[0, hi, 0],
        source_address_lo=[lo("10.1.2.3"), low, lo("10.9.9.9")],
        source_prefix_length=[8, 32, 0],
    )
    world.purge()
    assert world.rows("net_src, net_dst, mask_src") == [
        ("0.0.0.0", "0.0.0.0", 0),
        ("10.0.0.0", "0.0.0.0", 8),
        ("2001:db8::", "0.0.0.0", 32),
    ]


def test_rows_when_flags_differ_then_joined_and_no_key(world):
    world.configure(OWN + "aggregate: proto, tcpflags\n")
    world.flows(2, tcp_control_bits=[2, 0x1D0])
    world.flows(1, tcp_control_bits=8, protocol_identifier=17)
    world.purge()
    assert world.rows("ip_proto, tcp_flags, bytes") == [("tcp", 0xD2, 200), ("udp", 8, 100)]


def test_rows_when_protocol_has_no_name_then_its_number(world):
    world.configure(OWN + "aggregate: proto\n")
    world.flows(4, protocol_identifier=[0, 58, 132, 253])
    world.purge()
    assert [name for (name,) in world.rows("ip_proto")] == ["0", "253", "ipv6-icmp", "sctp"]


def test_rows_when_a_record_has_no_address_or_is_a_reverse_half_then_left_out(world):
    world.configure(OWN + "aggregate: src_host\n")
    world.flows(1, source_address_lo=0, destination_address_lo=0)
    world.flows(2, reverse=[0, 1])
    world.purge()
    assert world.rows("ip_src, bytes") == [("10.0.0.1", 100)]


@pytest.mark.parametrize(
    ("element", "name", "octets", "expected"),
    [
        ((0, 195), "dscp", b"\x2e", 46),
        ((0, 195), "dscp", b"\0\x2e", 0),
        ((0, 95), "appid", b"\x0d\0\x01\xf1", "0D-00-01-F1"),
        ((0, 95), "appid", b"\x0d\x01\xf1", "0D-01-F1"),
        ((0, 95), "appid", bytes(range(0x14, 0x1D)), "14-15-16-17-"),
        ((0, 96), "appname", b"http".ljust(24, b"\0"), "http"),
        ((0, 96), "appname", b"a" * 24, "a" * 24),
        ((0, 96), "appname", b"http", ""),
        ((9, 1000), "user", b"alice", "alice"),
        ((9, 1001), "code", b"\xab\xcd\xef\x01", "abcdef01"),
        ((9, 1001), "code", b"\x00\x0a\x0b\x0c", "a0b0c"),
        ((9, 1001), "code", b"\x0a\x0b", "0"),
    ],
)
def test_custom_primitive_when_its_octets_come_then_text(world, element, name, octets, expected):
    world.configure(OWN + f"aggregate: src_host, {name}\n")
    world.flows(1, {element: octets})
    world.flows(1)
    world.purge()
    empty = {"dscp": 0, "code": "0"}.get(name, "")
    want = {(expected, 100), (empty, 100)} if expected != empty else {(empty, 200)}
    assert set(world.rows(f"{name}, bytes")) == want


@pytest.mark.parametrize(
    "text", ["it's", 'a "quote", and more', "back\\slash", "line\nend", "NULL", "\\N", "ü€", "a;b"]
)
def test_custom_text_when_it_has_any_character_then_stored_as_it_is(world, text):
    world.configure(OWN + "aggregate: src_host, user\n")
    world.flows(1, {(9, 1000): text.encode()})
    world.purge()
    assert world.rows("user, bytes") == [(text, 100)]
    assert world.warnings == []


def test_options_when_they_are_accounted_then_rows_without_sums(world):
    world.configure(OWN + "nfacctd_account_options: true\naggregate: appid, appname\n")
    name = b"http".ljust(24, b"\0")
    world.options(1, {(0, 95): b"\x03\0\0\x50", (0, 96): name})
    world.flows(1, {(0, 95): b"\x03\0\0\x50"})
    world.flows(1)
    world.options(1)
    world.purge()
    assert world.rows("appid, appname, packets, bytes") == [
        ("", "", 2, 100),
        ("03-00-00-50", "", 2, 100),
        ("03-00-00-50", "http", 0, 0),
    ]


def test_options_when_not_accounted_then_left_out(world):
    world.configure(OWN + "aggregate: appid\n")
    world.options(1, {(0, 95): b"\x03\0\0\x50"})
    world.flows(1)
    world.purge()
    assert world.rows("appid, bytes") == [("", 100)]


def test_tags_when_a_map_names_them_then_by_kind_and_exporter(world):
    (world.folder / "pretag.map").write_text(
        "set_tag=1 ip=192.0.2.0/24 sample_type=flow jeq=named\n"
        "set_tag=2 sample_type=option\n"
        "set_tag=3 sample_type=event\n"
        "set_label=edge label=named in=7\n"
        "set_tag2=9\n"
    )
    world.configure(
        OWN + "nfacctd_account_options: true\npre_tag_map: pretag.map\n"
        "aggregate: tag, tag2, label\nsql_table_version: 9\n"
    )
    world.flows(2, ingress_interface=[7, 8])
    world.flows(1, record_kind=RecordKind.EVENT, octet_delta_count=0, packet_delta_count=0)
    world.options(1)
    world.purge()
    assert world.rows("tag, tag2, label, bytes") == [
        (1, 0, "edge", 100), (1, 9, "", 100), (2, 0, "", 0), (3, 0, "", 0),
    ]  # fmt: skip


def test_sums_when_renormalized_then_times_the_sampling_rate(world):
    world.configure(OWN + "nfacctd_renormalize: true\naggregate: sampling_rate\n")
    world.flows(2, sampling_rate=[10.0, 0.0])
    world.purge()
    assert world.rows("sampling_rate, packets, bytes") == [(0, 2, 100), (1, 20, 1000)]


def test_sums_when_not_renormalized_then_raw_with_the_rate_beside(world):
    world.configure(OWN + "aggregate: sampling_rate\n")
    world.flows(1, sampling_rate=10.0)
    world.purge()
    assert world.rows("sampling_rate, packets, bytes") == [(10, 2, 100)]


def test_sums_when_larger_than_any_counter_then_bounded(world):
    world.configure(OWN + "aggregate: src_host\n")
    world.flows(4, octet_delta_count=2**64 - 1, packet_delta_count=[1, 2, 3, 4])
    world.flows(2, octet_delta_count=[2**63, 2**63 + 1])
    world.purge()
    assert world.rows("packets, bytes") == [(14, 1 << 60)]


def test_hosts_and_protocols_when_numeric_then_octets_and_numbers(world):
    world.configure(OWN + "sql_num_hosts: true\nsql_num_protos: true\naggregate: src_host, proto\n")
    world.flows(1)
    world.purge()
    assert world.rows("hex(ip_src), ip_proto, bytes") == [("0A000001", 6, 100)]


def test_times_when_asked_for_then_with_their_fraction(world):
    world.configure(OWN + "aggregate: timestamp_start, timestamp_arrival\n")
    world.flows(1, flow_start_milliseconds=START * 1000 - 1)
    world.purge()
    columns = "timestamp_start, timestamp_start_residual, timestamp_arrival_residual"
    assert world.rows(columns) == [(local(START - 1), 999000, 0)]
    world.sql("DROP TABLE acct")
    world.configure(OWN + "aggregate: timestamp_export, export_proto_seqno, class, as_path\n")
    world.flows(1)
    world.purge()
    columns = "timestamp_export, timestamp_export_residual, export_proto_seqno, class_id"
    assert world.rows(columns, "acct_bgp") == [(local(0), 0, 0, "unknown")]
    world.configure(OWN + "aggregate: timestamp_start\ntimestamps_secs: true\n")
    world.flows(1, flow_start_milliseconds=START * 1000 - 1)
    world.purge()
    assert world.rows("timestamp_start") == [(local(START - 1),)]


def test_times_when_nothing_tells_them_then_those_of_second_zero_and_added_to(world):
    world.configure(OWN + "aggregate: src_host, timestamp_export\n")
    for octets in (100, 7):
        world.flows(1, octet_delta_count=octets)
        world.purge()
    assert world.rows("timestamp_export, timestamp_export_residual, bytes") == [(local(0), 0, 107)]
    assert world.warnings == []


def test_built_ins_when_made_of_octets_then_read(world):
    world.configure(OWN + "aggregate: etype, cos, vxlan, mpls_label_top\n")
    hi, low = address_halves("2001:db8::1")
    world.flows(
        3,
        {
            (0, 256): [b"\x81\x00", b"", b""],
            (0, 244): [b"\x05", b"", b""],
            (0, 351): [b"\0\0\0\0\x01\x02\x03", b"", b""],
            (0, 70): [b"\x00\x01\x00", b"", b""],
        },
        source_address_hi=[0, 0, hi],
        source_address_lo=[lo("10.0.0.1"), lo("10.0.0.1"), low],
    )
    world.purge()
    assert world.rows("etype, cos, vxlan, mpls_label_top") == [
        ("800", 0, 0, 0), ("8100", 5, 0x10203, 16), ("86dd", 0, 0, 0),
    ]  # fmt: skip


def test_rows_when_both_ways_are_summed_then_each_flow_counts_for_either_end(world):
    world.configure(OWN + "aggregate: sum_port, proto\n")
    world.flows(2, source_transport_port=[443, 5000], octet_delta_count=[1, 10])
    world.purge()
    assert world.rows("src_port, bytes") == [(443, 12), (5000, 10)]
    world.sql("DROP TABLE acct")
    world.configure(OWN + "aggregate: sum_host\n")
    world.flows(1, octet_delta_count=0)
    world.purge()
    assert world.rows("ip_src") == [("10.0.0.1",), ("198.51.100.1",)]


STITCHED = OWN + "aggregate: src_host\nnfacctd_stitching: true\n"
EXTREMES = "timestamp_min, timestamp_min_residual, timestamp_max, timestamp_max_residual"


def test_rows_when_stitched_then_the_earliest_start_and_the_latest_end(world):
    # Real nfacctd keeps the first start, and many a first end.
    world.configure(STITCHED)
    start = START * 1000
    world.flows(
        3,
        flow_start_milliseconds=[start + 5877, start + 2999, start + 4000],
        flow_end_milliseconds=[start + 6544, start + 9100, start + 7000],
    )
    world.purge()
    extremes = (local(START + 2), 999_000, local(START + 9), 100_000)
    assert world.rows(f"{EXTREMES}, packets") == [(*extremes, 6)]


def test_rows_when_stitched_and_purged_again_then_added_to_where_the_times_are_equal(world):
    world.configure(STITCHED)
    for end in (6544, 6544, 9100):
        world.flows(flow_start_milliseconds=START * 1000, flow_end_milliseconds=START * 1000 + end)
        world.purge()
    first, second = (
        (local(START), 0, local(START + 6), 544_000),
        (local(START), 0, local(START + 9)),
    )
    assert world.rows(f"{EXTREMES}, packets") == [(*first, 4), (*second, 100_000, 2)]


def test_rows_when_stitched_and_flows_tell_no_times_then_the_second_of_their_arrival(world):
    world.now += 0.75
    for keys in ("", "nfacctd_time_new: true\n"):
        world.configure(STITCHED + keys + "timestamps_secs: true\n")
        times = {} if not keys else {"flow_start_milliseconds": 1, "flow_end_milliseconds": 2}
        world.flows(**times)
        world.purge()
        assert world.rows("timestamp_min, timestamp_max") == [(local(START), local(START))]


def test_rows_when_stitched_and_counted_both_ways_then_each_has_the_times(world):
    world.configure(OWN + "aggregate: sum_host\nnfacctd_stitching: true\n")
    world.flows(flow_start_milliseconds=START * 1000, flow_end_milliseconds=START * 1000 + 5000)
    world.purge()
    ends = (local(START), local(START + 5))
    assert world.rows("ip_src, timestamp_min, timestamp_max") == [
        ("10.0.0.1", *ends),
        ("198.51.100.1", *ends),
    ]


def test_rows_when_stitched_in_a_table_of_pmacct_then_none_is_refused(world):
    world.configure("aggregate: src_host\nnfacctd_stitching: true\nsql_table_version: 9\n")
    for end in (1, 2):
        world.flows(flow_start_milliseconds=START * 1000, flow_end_milliseconds=START * 1000 + end)
        world.purge()
    assert world.warnings == []
    assert len(world.rows("ip_src", "acct")) == 2


def test_packets_when_a_firewall_updates_a_flow_then_only_its_end_has_the_responders_octets(world):
    # An update counts what the end of the flow counts once more; nfacctd counts both.
    world.configure(OWN + "aggregate: src_host\ntmp_asa_bi_flow: true\n")
    kinds = [int(RecordKind.EVENT), int(RecordKind.FLOW)]
    responder = {(0, 232): (2000).to_bytes(8, "big")}
    world.flows(2, responder, record_kind=kinds, octet_delta_count=[0, 100], packet_delta_count=0)
    world.purge()
    assert world.rows("packets, bytes") == [(2000, 100)]
