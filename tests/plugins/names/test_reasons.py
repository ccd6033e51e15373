"""Why flows and counters differ: a case for each rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.plugins.names.snmp.reasons import RULES, Facts, likely_reason

GIGABYTE = 1e9
FACTS = Facts("in", GIGABYTE, GIGABYTE / 1000, GIGABYTE, other_ratio=1.0)
"""A gigabyte in packets of 1000 octets, of which flows and counters say the same."""

CASES = {
    "too_little": replace(FACTS, flow_octets=900_000, counter_octets=5000),
    "no_counters": replace(FACTS, counter_octets=0),
    "lost": replace(FACTS, flow_octets=0.9 * GIGABYTE, lost_share=0.1),
    "agrees": replace(FACTS, flow_octets=0.98 * GIGABYTE),
    "layer_2": replace(
        FACTS, flow_octets=1e8, flow_packets=1e6, counter_octets=1e8 + 18e6, other_ratio=0.85
    ),
    "not_configured": replace(FACTS, flow_octets=1000, flow_packets=10, other_ratio=0.0),
    "no_flows": replace(
        FACTS, flow_octets=0, flow_packets=0, other_ratio=0.0, has_other_flows=False
    ),
    "one_way": replace(FACTS, direction="out", flow_octets=0, flow_packets=0, other_ratio=0.97),
    "scaled_twice": replace(FACTS, flow_octets=100 * GIGABYTE, sampling_rate=100),
    "sampling_unknown": replace(
        FACTS,
        flow_octets=GIGABYTE / 512,
        flow_packets=GIGABYTE / 512_000,
        is_sampling_assumed=True,
        other_ratio=1 / 500,
    ),
    "metered_twice": replace(FACTS, flow_octets=2.02 * GIGABYTE, other_ratio=2.0),
    "other_interface": replace(FACTS, flow_octets=30 * GIGABYTE, other_ratio=12.0),
    "unexplained": replace(FACTS, flow_octets=1.5 * GIGABYTE),
}


@pytest.mark.parametrize(
    "sampled", [{"sampling_rate": 1000}, {"sampling_rate": None, "record_rate": 1000}]
)
def test_reason_when_sampled_then_chance_is_allowed_for_but_no_missing_flows(sampled: Any):
    few = {"flow_packets": 400_000, "counter_octets": GIGABYTE / 2, **sampled}
    assert likely_reason(replace(FACTS, **few, flow_octets=0.55 * GIGABYTE)).name == "agrees"
    assert likely_reason(replace(FACTS, **few, flow_octets=0.7 * GIGABYTE)).name == "unexplained"
    none = replace(CASES["not_configured"], flow_octets=0, flow_packets=0, **sampled)
    assert likely_reason(none).name == "not_configured"


@pytest.mark.parametrize("name", CASES)
def test_reason_when_figures_are_so_then_this_one(name: str):
    reason = likely_reason(CASES[name])
    assert reason.name == name
    assert reason.sentence
    assert reason.sentence[0].islower() or reason.sentence[0].isdigit()
    assert not reason.sentence.endswith(".")


def test_reason_when_nothing_is_exported_and_no_rate_is_known_then_not_sampling():
    facts = replace(FACTS, flow_octets=0, flow_packets=0, is_sampling_assumed=True)
    assert likely_reason(replace(facts, other_ratio=0.0)).name == "not_configured"
    assert likely_reason(replace(facts, other_ratio=0.5)).name == "unexplained"


def test_rules_when_listed_then_each_has_a_case():
    assert [rule.name for rule in RULES] == list(CASES)


def test_reason_when_a_rate_is_missing_then_about_that_rate_is_said():
    assert "about one packet of 512" in likely_reason(CASES["sampling_unknown"]).sentence


def test_reason_when_few_packets_are_sampled_then_chance_is_allowed_for():
    """1000 sampled packets: the sum is right within some 10 %, three standard errors."""
    sampled = replace(FACTS, flow_octets=0.91 * GIGABYTE, sampling_rate=1000)
    assert likely_reason(sampled).name == "agrees"
    assert likely_reason(replace(sampled, sampling_rate=1)).name != "agrees"
