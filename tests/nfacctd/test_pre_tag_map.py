"""Rules that give records tags and labels; the messages are nfacctd's."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.flows import address_halves
from appliance.nfacctd.pre_tag_map import TagRules, read_rules

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
        ("set_tag=1 flowset_id=2", "flowset_id", "flowset_id"),
        ("set_tag=1++", "set_tag++", "set_tag++"),
        ("set_tos=7 in=1", "set_tos", "set_tos"),
        ("set_tag=1 sample_type=flow-mpls-ipv4", "sample_type", "sample_type: flow-mpls-ipv4"),
        ("set_tag=1 filter='len > 9'", "filter", "filter: a flow cannot answer 'len'"),
    ],
)
def test_rule_when_nfacctd_would_act_upon_it_then_unsupported(rules, tmp_path, line, key, words):
    found = rules(f"! first\n{line}\nset_tag=5\n")
    assert found.unsupported == ((key, f"[{tmp_path}/m:2] {words}"),)
    assert tagged(found, V4) == [(5, 0, "")]
