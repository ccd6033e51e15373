"""Rules that give records tags and labels; the messages are nfacctd's."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.flows import address_halves
from appliance.plugins.pmacct.maps.pre_tag_map import TagRules, read_rules

FLOW, EVENT, OPTION = 0, 1, 2


@pytest.fixture
def rules(tmp_path):
    def from_text(text: str) -> TagRules:
        (tmp_path / "m").write_text(text)
        return read_rules(tmp_path / "m")

    return from_text


def tagged(rules: TagRules, *records: tuple[str, int, int, int]) -> list[tuple[int, int, str]]:
    """Try rules on (exporter, kind, in, out)."""
    halves = [address_halves(record[0]) for record in records]
    kind, ingress, egress = (np.array([r[i] for r in records]) for i in (1, 2, 3))
    columns = {
        "exporter_address_hi": np.array([hi for hi, _ in halves], np.uint64),
        "exporter_address_lo": np.array([lo for _, lo in halves], np.uint64),
        "record_kind": kind.astype(np.uint8),
        "ingress_interface": ingress.astype(np.uint32),
        "egress_interface": egress.astype(np.uint32),
    }
    tags = rules.tags(columns.__getitem__, len(records))
    labels = [tags.label_texts[number] for number in tags.labels]
    return list(zip(tags.tag.tolist(), tags.tag2.tolist(), labels, strict=True))


V4, V6 = ("192.0.2.7", FLOW, 1, 2), ("2001:db8::1", FLOW, 1, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set_tag=1 ip=192.0.2.7\n", [(1, 0, ""), (0, 0, "")]),
        ("id=1 ip=192.0.2.0/24\nset_tag=2\n", [(1, 0, ""), (2, 0, "")]),
        ("set_tag=1 ip=0.0.0.0/0\n", [(1, 0, ""), (0, 0, "")]),
        ("set_tag=1 ip=::/0\n", [(0, 0, ""), (1, 0, "")]),
        ("set_tag=1 ip=2001:db8::/32\nset_label=x\n", [(0, 0, "x"), (1, 0, "")]),
        ("! c\n# c\nset_tag2=18446744073709551615\n", [(0, 2**64 - 1, "")] * 2),
        ("set_tag=1 in=1\nset_tag=2\n", [(1, 0, "")] * 2),
        ("set_tag=1 in=-1\nset_tag=2 out=2\n", [(2, 0, "")] * 2),
        ("set_tag=1 set_label=x\n", [(1, 0, "")] * 2),
        ("set_tag=1 set_tag2=7\n", [(1, 7, "")] * 2),
        ("set_tag=1 jeq=l\nset_tag=9\nset_label=x label=l\n", [(1, 0, "x")] * 2),
        ("set_tag=1 jeq=l ip=::/0\nset_tag=9\nset_label=x label=l\n", [(9, 0, ""), (1, 0, "x")]),
        ("set_tag=1 jeq=nosuch\nset_tag=9\n", [(1, 0, "")] * 2),
        ("set_label=x label=l\nset_tag=1 jeq=l\n", [(0, 0, "x")] * 2),
        (
            "set_tag=1 jeq=next\nset_tag=6 jeq=n stack=sum\nset_tag=9 label=n stack=or\n",
            [(15, 0, "")] * 2,
        ),
        ("set_label=a jeq=n\nset_label=b label=n\n", [(0, 0, "a,b")] * 2),
    ],
)
def test_rules_when_tried_then_the_first_that_matches_unless_it_jumps(rules, text, expected):
    assert tagged(rules(text), V4, V6) == expected


def test_rules_when_they_ask_for_a_kind_then_only_those(rules):
    found = rules("set_tag=1 sample_type=flow\nset_tag=2 sample_type=option\nset_tag=3\n")
    records = [("192.0.2.7", kind, 0, 0) for kind in (FLOW, EVENT, OPTION)]
    assert [tag for tag, _, _ in tagged(found, *records)] == [1, 3, 2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("set_tag=1 nosuch=2", "unknown key 'nosuch'. Ignored."),
        ("set_tag=1 in=1 in=2", "Multiple 'in' clauses part of the same statement. Line ignored."),
        ("set_tag=1 comms=1:2", "key 'comms' needs a BGP daemon. Line ignored."),
        ("set_tag=1 src_net=abc", "Bad source network address 'abc'. Line ignored."),
        ("set_tag=1 src_mac=zz", "Bad source MAC address 'zz'. Line ignored."),
        ("set_tag=1 engine_type=300", "bad 'engine_type' value: '300'. Line ignored."),
        ("set_tag=1 stack=mul", "Unknown 'stack' value: 'mul'. Line ignored."),
        ("set_tag=1 ip=abc", "Bad IP address or prefix 'abc'. Line ignored."),
        ("set_tag=a ip=::/0", "Invalid set_tag/id specified (non-digit chars). Line ignored."),
        (
            "set_tag=1 sample_type=x",
            "Invalid NetFlow/IPFIX 'sample_type' value. Line ignored.",
        ),
        ("set_tag=1 set_tos=x", "bad 'set_tos' value: 'x'. Line ignored."),
        ("set_tag=1 is_bi_flow=x", "bad 'is_bi_flow' value: 'x'. Line ignored."),
        *(
            (f"set_tag=1 mpls_vpn_rd={rd}", f"Invalid RD type specified '{rd}'. Line ignored.")
            for rd in ("7", "3:1:1", "0:65536:1", "0:1:x", "vrfid:x", "1:1", "2:-1:1", "0:1:1:1")
        ),
        ("set_tag", "malformed line: set_tag. Line ignored."),
        ("set_tag=1 in=x", "Bad interface 'x'. Line ignored."),
    ],
)
def test_rule_when_wrong_then_without_effect_and_said(rules, tmp_path, line, words):
    found = rules(f"! first\n{line}\nset_tag=5\n")
    assert found.warnings == (f"[{tmp_path}/m:2] {words}",)
    assert tagged(found, V4) == [(5, 0, "")]


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        (
            "set_tag=1 flowset_id=2",
            *("flowset_id", "flowset_id: which template a record had is not kept"),
        ),
        (
            "set_tag=1++",
            *("set_tag++", "set_tag++: records have no numbers that a restart keeps"),
        ),
        ("set_tag=1 filter='len > 9'", "filter", "filter: a flow cannot answer 'len'"),
    ],
)
def test_rule_when_nfacctd_would_act_upon_it_then_unsupported(rules, tmp_path, line, key, words):
    found = rules(f"! first\n{line}\nset_tag=5\n")
    assert found.unsupported == ((key, f"[{tmp_path}/m:2] {words}"),)
    assert tagged(found, V4) == [(5, 0, "")]


@pytest.mark.parametrize(
    ("condition", "matching"),
    [
        ("mpls_vpn_rd=0:65001:5", [0]),
        ("mpls_vpn_rd=-0:65001:5", [1, 2, 3]),
        ("mpls_vpn_rd=1:192.0.2.1:7", [1]),
        ("mpls_vpn_rd=1:3221225985:7", [1]),
        ("mpls_vpn_rd=vrfid:9", [2, 3]),
    ],
)
def test_rule_when_it_asks_for_a_route_distinguisher_then_as_written(rules, condition, matching):
    # Real nfacctd reads the key, and finds none.
    columns = {
        "octets_0_90": np.array([65001 << 32 | 5, 1 << 48 | 0xC0000201 << 16 | 7, 0, 0], np.uint64),
        "octets_0_234": np.array([0, 0, 9, 0], np.uint64),
        "octets_0_235": np.array([0, 0, 0, 9], np.uint64),
    }
    tags = rules(f"set_tag=1 {condition}\n").tags(columns.__getitem__, 4)
    assert np.flatnonzero(tags.tag).tolist() == matching


@pytest.mark.parametrize(
    ("kind", "matching"),
    [("flow-ipv4", [0]), ("flow-mpls-ipv4", [1]), ("flow-mpls-ipv6", []), ("-flow-ipv4", [1])],
)
def test_rule_when_it_asks_for_labels_then_of_records_that_have_one(rules, kind, matching):
    columns = {
        "record_kind": np.uint8(FLOW),
        "present_octets_0_70": np.array([False, True]),
        **{f"{end}_address_hi": np.uint64(0) for end in ("source", "destination")},
        **{f"{end}_address_lo": np.uint64(0xFFFF << 32) for end in ("source", "destination")},
    }
    tags = rules(f"set_tag=1 sample_type={kind}\n").tags(columns.__getitem__, 2)
    assert np.flatnonzero(tags.tag).tolist() == matching
