"""Filters in libpcap's language, on columns of flows; what is valid is what tcpdump says."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.flows import address_halves
from appliance.plugins.pmacct.filters.filter_language import read_filter

FLOWS = [
    # source, destination, ports, protocol, VLAN, type of service, TCP flags, destination MAC
    ("10.0.0.1", "203.0.113.1", 50001, 443, 6, 0, 0, 0x02, 0x001122334455),
    ("10.0.0.2", "203.0.113.2", 50002, 53, 17, 10, 184, 0, 0x001122334455),
    ("203.0.113.1", "10.0.0.1", 443, 50001, 6, 300, 0, 0x12, 0x01005E000005),
    ("192.168.5.47", "224.0.0.5", 0, 0, 1, 0, 0, 0, 0x01005E000005),
    ("2001:db8::1", "2001:db8:1::2", 50003, 53, 17, 0, 0, 0, 0),
    ("2001:db8::1", "2001:db8::2", 0, 0, 58, 0, 0, 0, 0),
    ("10.0.0.1", "10.0.0.2", 80, 80, 132, 0, 0, 0, 0),
]


def columns() -> dict[str, Any]:
    made = defaultdict(lambda: 0)
    for side, place in (("source", 0), ("destination", 1)):
        halves = [address_halves(str(flow[place])) for flow in FLOWS]
        for half, name in enumerate(("hi", "lo")):
            made[f"{side}_address_{name}"] = np.array([h[half] for h in halves], np.uint64)
    names = ("source_transport_port", "destination_transport_port", "protocol_identifier")
    names += ("vlan_id", "ip_class_of_service", "tcp_control_bits", "destination_mac_address")
    for place, name in enumerate(names, 2):
        made[name] = np.array([flow[place] for flow in FLOWS], np.uint64)
    return made


def taken(text: str) -> list[int]:
    mask = read_filter(text).mask(columns().__getitem__)
    return np.flatnonzero(np.broadcast_to(mask, (len(FLOWS),))).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dst port 443", [0]),
        ("port 443", [0, 2]),
        ("tcp port 443 or 53", [0, 2]),
        ("port 443 or 53", [0, 1, 2, 4]),
        ("port (443 or 53)", [0, 1, 2, 4]),
        ("udp dst port domain", [1, 4]),
        ("portrange 50-100", [1, 4, 6]),
        ("src portrange 50002-50001", [0, 1]),
        ("host 10.0.0.1", [0, 2, 6]),
        ("src host 10.0.0.1 or src host 10.0.0.2 and udp", [1]),
        ("src host 10.0.0.1 or (src host 10.0.0.2 and udp)", [0, 1, 6]),
        ("not host 10.0.0.1 and 10.0.0.2", [1]),
        ("host 10.0.0.1 and not 10.0.0.2", [0, 2]),
        ("src net 10", [0, 1, 6]),
        ("net 203.0.113.0/24", [0, 1, 2]),
        ("dst net 203.0.113.0 mask 255.255.255.254", [0]),
        ("src and dst net 10.0.0.0/8", [6]),
        ("src or dst net 2001:db8:1::/48", [4]),
        ("ip", [0, 1, 2, 3, 6]),
        ("ip6", [4, 5]),
        ("icmp", [3]),
        ("icmp6", [5]),
        ("ip6 proto 17", [4]),
        ("proto \\udp", [1, 4]),
        ("proto sctp or icmp", None),
        ("vlan", [1, 2]),
        ("vlan 300", [2]),
        ("not vlan", [0, 3, 4, 5, 6]),
        ("vlan and port 443", [2]),
        ("ip multicast", [3]),
        ("ether multicast", [2, 3]),
        ("ether dst 00:11:22:33:44:55", [0, 1]),
        ("ether proto \\ip6", [4, 5]),
        ("tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", [0]),
        ("tcp[13] & 0x10 != 0", [2]),
        ("ip[1] = 184", [1]),
        ("(ip[12:4] >= 0x0a000001) and (ip[12:4] <= 0x0a000001)", [0, 6]),
        ("udp[2:2] = 53", [1]),
        ("1 = 2", []),
        ("! tcp && !udp", [3, 5, 6]),
    ],
)
def test_filter_when_evaluated_then_the_flows_that_it_describes(text, expected):
    if expected is None:
        with pytest.raises(ValueError, match="value"):
            read_filter(text)
    else:
        assert taken(text) == expected


def test_filter_when_columns_are_one_value_then_one_answer():
    assert (
        read_filter("dst port 25").mask({"destination_transport_port": 25}.get and one) == np.True_
    )


def one(name: str) -> int:
    return {"destination_transport_port": 25, "protocol_identifier": 6}[name]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("foo", "expected a condition such as 'host 10.0.0.1', found 'foo'"),
        ("port", "expected a value, found 'the end'"),
        ("port 80 443", "unexpected '443'"),
        ("(port 80", "expected ')', found 'the end'"),
        ("port 80)", "unexpected ')'"),
        ("host a.example", "'a.example' is no address (names of hosts are not looked up)"),
        ("net 10.0.0.1/8", "'10.0.0.1/8' has bits set behind its length"),
        ("port 70000", "no port has the number 70000"),
        ("portrange 80", "'80' is no range of ports"),
        ("icmp port 3", "'icmp' has no ports"),
        ("ip6 net 10.0.0.0/8", "10.0.0.0/8 is no address of 'ip6'"),
        ("ip proto tcp", "expected a value, found 'tcp' (write \\tcp)"),
        ("vlan 5000", "no VLAN has the number 5000"),
        ("len > 60", "a flow cannot answer 'len'"),
        ("less 100", "a flow cannot answer 'less'"),
        ("tcp[4:4] = 1", "a flow does not keep tcp[4:4]"),
        ("ether[0] & 1 = 1", "a flow does not keep ether[0]"),
        ("ether host zz", "'zz' is no Ethernet address"),
        ("not " * 200 + "tcp", "it is nested too deeply"),
        ("(" * 5000 + "ip[1] = 1", "it is nested too deeply"),
    ],
)
def test_filter_when_a_flow_cannot_answer_it_then_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - compared in full
        read_filter(text)
    assert str(refused.value) == reason


WORDS = [
    *("host", "net", "port", "portrange", "proto", "src", "dst", "and", "or", "not", "(", ")"),
    *("tcp", "udp", "ip", "ip6", "icmp", "vlan", "10", "10.0.0.1", "10.0.0.0/8", "80", "80-90"),
    *("2001:db8::1", "tcp[13]", "ip[12:4]", "=", "&", ">", "0x10", "\\tcp", "multicast", "ether"),
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)))
def test_filter_when_it_is_anything_then_flows_or_one_sentence(text):
    try:
        predicate = read_filter(text)
    except ValueError:
        return
    assert np.broadcast_to(predicate.mask(columns().__getitem__), (len(FLOWS),)).dtype == np.bool_


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join))
def test_filter_when_read_then_libpcap_reads_it_too(text):
    try:
        read_filter(text)
    except ValueError:
        return
    command = ["tcpdump", "-d", "-y", "EN10MB", text]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    # libpcap refuses what can never be true, such as ports of two protocols at once.
    assert outcome.returncode == 0 or "rejects all" in outcome.stderr, outcome.stderr
