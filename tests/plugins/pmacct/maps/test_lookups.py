"""Files of networks, ports and sampling rates; what they do to rows is compared with nfacctd."""

from __future__ import annotations

import ipaddress
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import SettingsError
from appliance.flows import address_halves
from appliance.plugins.pmacct.maps.lookups import read_ports, read_resolution
from appliance.plugins.pmacct.maps.networks import NetworkEntry, networks_table, read_networks
from appliance.plugins.pmacct.maps.sampling_map import read_sampling_map


def looked_up(table, *addresses: str) -> list[int]:
    halves = np.array([address_halves(address) for address in addresses], np.uint64)
    return table.origin_as[table.entries(halves[:, 0], halves[:, 1])].tolist()


def test_networks_when_they_hold_each_other_then_the_longest_prefix_counts(tmp_path):
    (tmp_path / "n").write_text(
        "! c\n1,10.0.0.0/8\n2,10.1.0.0/16\n3,10.1.1.1/32\n"
        "4,::/0\n5,2001:db8::/32\n6,2001:db8::1/128\n"
    )
    table = read_networks(tmp_path / "n")
    addresses = (
        "10.2.0.1",
        "10.1.2.1",
        "10.1.1.1",
        "11.0.0.1",
        "2001:db8::1",
        "2001:db8::2",
        "fe80::1",
    )
    assert looked_up(table, *addresses) == [1, 2, 3, 0, 6, 5, 4]


def test_network_when_it_has_a_peer_and_a_next_hop_then_kept(tmp_path):
    (tmp_path / "n").write_text("label,192.0.2.1,70001_65002,203.0.113.7/24\n")
    table = read_networks(tmp_path / "n")
    assert (table.origin_as[1], table.peer_as[1], table.length[1]) == (65002, 70001, 24)
    assert (table.next_hop_hi[1], table.next_hop_lo[1]) == address_halves("192.0.2.1")


def test_network_when_a_line_is_none_then_ignored_and_said(tmp_path):
    (tmp_path / "n").write_text(
        "10.0.0.0\n1,abc/8\nx,1,10.0.0.0/8\n99999999999,10.0.0.0/8\n7,10.0.0.0/8\n"
    )
    table = read_networks(tmp_path / "n")
    assert [warning.partition("] ")[2] for warning in table.warnings] == [
        "Missing '/' separator. Ignoring.",
        "Invalid network 'abc/8'. Ignoring.",
        "Invalid next hop 'x'. Ignoring.",
        "Invalid AS number '99999999999'. Ignoring.",
    ]
    assert looked_up(table, "10.0.0.1") == [7]


ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(ADDRESSES, st.integers(0, 32)), max_size=20), st.lists(ADDRESSES, min_size=1)
)
def test_networks_when_looked_up_then_as_the_standard_library_says(prefixes, addresses):
    networks = [ipaddress.ip_network(f"{address}/{n}", strict=False) for address, n in prefixes]
    table = networks_table([NetworkEntry(n, i) for i, n in enumerate(networks, 1)], [])
    expected = []
    for address in addresses:
        # An IPv4-mapped IPv6 address is one of IPv4 in the flow log.
        plain = getattr(address, "ipv4_mapped", None) or address
        fits = [(n.prefixlen, i) for i, n in enumerate(networks, 1) if plain in n]
        expected.append(max(fits)[1] if fits else 0)
    assert looked_up(table, *map(str, addresses)) == expected


def test_sampling_map_when_rules_overlap_then_the_first_counts(tmp_path):
    (tmp_path / "s").write_text("id=50 ip=192.0.2.10 in=1\nid=70 ip=192.0.2.0/24\n")
    columns = defaultdict(lambda: 0)
    hi, lo = address_halves("192.0.2.10")
    columns |= {"exporter_address_hi": hi, "exporter_address_lo": lo}
    columns["ingress_interface"] = np.array([1, 2], np.uint32)
    assert read_sampling_map(tmp_path / "s").rates(columns.__getitem__, 2).tolist() == [50, 70]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("id=50 in=1", "required key missing. Required keys are: 'id', 'ip'. Line ignored."),
        ("id=0 ip=10.0.0.1", "required key missing. Required keys are: 'id', 'ip'. Line ignored."),
        ("id=x ip=10.0.0.1", "Invalid set_tag/id specified (non-digit chars). Line ignored."),
        ("id=5 ip=10.0.0.1 src_net=10.0.0.0/8", "unknown key 'src_net'. Ignored."),
    ],
)
def test_sampling_rule_when_wrong_then_ignored_and_said(tmp_path, line, words):
    (tmp_path / "s").write_text(f"{line}\n")
    found = read_sampling_map(tmp_path / "s")
    assert (found.rules, found.warnings) == ((), (f"[{tmp_path}/s:1] {words}",))


def test_ports_when_read_then_what_is_none_is_said(tmp_path):
    (tmp_path / "p").write_text("! c\n443\nabc\n 80 \n70000\n")
    ports, warnings = read_ports(tmp_path / "p")
    assert ports == (443, 80)
    assert warnings == [f"[{tmp_path}/p:{n}] invalid port specified." for n in (3, 5)]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"nfacctd_as": "file"}, "'file' needs a networks_file"),
        ({"networks_file": "nosuch"}, "file not found"),
        ({"ports_file": "nosuch"}, "file not found"),
        ({"sampling_map": "nosuch"}, "file not found"),
    ],
)
def test_lookups_when_a_file_is_missing_then_refused(tmp_path, values, reason):
    def file(key):
        return tmp_path / values[key] if key in values else None

    with pytest.raises(SettingsError, match=reason):
        read_resolution(lambda key: values.get(key, ""), file, ("src_host",))
