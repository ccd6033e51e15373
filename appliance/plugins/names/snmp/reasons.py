"""Why flows and counters of an interface differ: one table of rules, the first that fits counts.

Flows count octets of layer 3 of what is exported; ifHCInOctets and ifHCOutOctets count octets of
layer 2 of everything (RFC 2863 section 6). They never agree to the octet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

MIN_OCTETS = 1_000_000
"""Below, timing decides: there is too little to compare."""

ETHERNET_OCTETS, LONGEST_FRAMING_OCTETS = 14, 38
"""Of a packet: the header alone; with VLAN tag, check sum, preamble and gap."""

_AGREES = 0.05
_NEAR = 0.3
_MISSING = 0.02
_RAREST_SAMPLING = 1 / 100_000
"""Less than that is no sampling that anybody configures."""

_MOST = 0.2
_FAR = 5.0
"""So many times the counters are no fault of counting."""

_STANDARD_ERRORS = 3.0
_FULL_PACKET = 1500
"""Octets: fewer packets cannot carry as much, but for jumbo frames."""

_FRAMING_TOLERANCE_OCTETS = 1.0


@dataclass(frozen=True, slots=True)
class Facts:
    """One direction of one interface, over the bins that have both flows and counters.

    Attributes
    ----------
    direction
        `in` or `out`.
    flow_octets, flow_packets
        By flows, sampling applied.
    counter_octets
        By the interface's counter.
    other_ratio
        Flows to counters of the other direction; None where that has too little.
    sampling_rate
        One packet of so many; None where it differs from record to record.
    is_sampling_assumed
        Whether nobody told a rate.
    lost_share
        Of the exporter's records, by their sequence numbers.
    has_other_flows
        Whether the exporter sends flows of other interfaces.
    record_rate
        The sampling rate of one of its last flows, for where it differs; None: not known.
    """

    direction: str
    flow_octets: float
    flow_packets: float
    counter_octets: float
    other_ratio: float | None = None
    sampling_rate: float | None = 1
    is_sampling_assumed: bool = False
    lost_share: float = 0.0
    has_other_flows: bool = True
    record_rate: float | None = None

    @property
    def ratio(self) -> float:
        """Flows to counters; 0 where there are no octets by counters."""
        return self.flow_octets / self.counter_octets if self.counter_octets else 0.0

    @property
    def tolerance(self) -> float:
        """How far the ratio can be from what it should be by chance, sampling included."""
        rate = max(self.sampling_rate or self.record_rate or 1, 1)
        # Also of an interface without flows: so many would be sampled of what it counts.
        packet_octets = self.flow_octets / self.flow_packets if self.flow_packets else _FULL_PACKET
        packets = max(self.flow_packets, self.counter_octets / max(packet_octets, 1))
        return _AGREES + (_STANDARD_ERRORS / sqrt(max(packets / rate, 1)) if rate > 1 else 0.0)

    @property
    def framing_octets(self) -> float:
        """What counters have more than flows, for each packet."""
        difference = self.counter_octets - self.flow_octets
        return difference / self.flow_packets if self.flow_packets else 0.0


class Rule(NamedTuple):
    """A reason: its name, when it is likely, and a sentence on it and on what helps."""

    name: str
    fits: Callable[[Facts], bool]
    sentence: Callable[[Facts], str]


class Reason(NamedTuple):
    """The likely reason of one direction of one interface."""

    name: str
    sentence: str


def _agrees(facts: Facts) -> bool:
    return abs(facts.ratio - 1) <= facts.tolerance


def _is_missing(facts: Facts) -> bool:
    least = _RAREST_SAMPLING if facts.is_sampling_assumed else _MISSING
    return facts.ratio < least and (facts.other_ratio or 0) < least


def _is_one_way(facts: Facts) -> bool:
    other = facts.other_ratio
    return facts.ratio < _MOST and other is not None and abs(other - 1) <= _NEAR


def _is_scaled_twice(facts: Facts) -> bool:
    rate = facts.sampling_rate or 1
    return rate > 1 and abs(facts.ratio / rate - 1) <= _NEAR


def _loses(facts: Facts) -> bool:
    expected = 1 - facts.lost_share
    return facts.lost_share >= 0.01 and abs(facts.ratio - expected) <= facts.tolerance


def _has_framing(facts: Facts) -> bool:
    low, high = ETHERNET_OCTETS, LONGEST_FRAMING_OCTETS
    tolerance = _FRAMING_TOLERANCE_OCTETS
    return low - tolerance <= facts.framing_octets <= high + tolerance


RULES: tuple[Rule, ...] = (
    Rule(
        "too_little",
        lambda facts: max(facts.flow_octets, facts.counter_octets) < MIN_OCTETS,
        lambda facts: "too little traffic to compare",
    ),
    Rule(
        "no_counters",
        lambda facts: facts.counter_octets == 0,
        lambda facts: "the interface counts no octets: a logical interface, or another ifIndex",
    ),
    Rule(
        "lost",
        lambda facts: _loses(facts) and facts.ratio < 1 - _AGREES / 2,
        lambda facts: f"{facts.lost_share:.1%} of the exporter's records are lost on the way here",
    ),
    Rule("agrees", _agrees, lambda facts: "flows and counters agree"),
    Rule(
        "layer_2",
        _has_framing,
        lambda facts: (
            f"counters are of layer 2: {facts.framing_octets:.0f} octets of framing a packet"
        ),
    ),
    Rule(
        "not_configured",
        lambda facts: _is_missing(facts) and facts.has_other_flows,
        lambda facts: "the exporter sends no flows of this interface: turn flow export on there",
    ),
    Rule(
        "no_flows",
        _is_missing,
        lambda facts: "the exporter sends no flows of any interface",
    ),
    Rule(
        "one_way",
        _is_one_way,
        lambda facts: (
            "only one direction is exported: of what goes"
            f" {facts.direction} there are next to no flows, so they are not metered where they are"
            f" to be seen ({'ingress' if facts.direction == 'in' else 'egress'} here, or ingress on"
            " every other interface)"
        ),
    ),
    Rule(
        "scaled_twice",
        _is_scaled_twice,
        lambda facts: (
            f"sampling is applied twice: the exporter multiplies by {facts.sampling_rate:g} itself,"
            " set its rate to 1 in collector.sampling_overrides"
        ),
    ),
    Rule(
        "sampling_unknown",
        lambda facts: facts.is_sampling_assumed and 0 < facts.ratio <= 0.5,
        lambda facts: (
            f"the sampling rate is not known: about one packet of {1 / facts.ratio:.0f} is"
            " exported, set its rate in collector.sampling_overrides"
        ),
    ),
    Rule(
        "metered_twice",
        lambda facts: abs(facts.ratio - 2) <= 2 * facts.tolerance,
        lambda facts: "packets are exported twice, as they come in and as they go out",
    ),
    Rule(
        "other_interface",
        lambda facts: facts.ratio >= _FAR,
        lambda facts: (
            f"flows are {facts.ratio:.0f} times what it carries: their ifIndex is of another"
            " interface, or the rate in collector.sampling_overrides is too high"
        ),
    ),
    Rule(
        "unexplained",
        lambda facts: True,
        lambda facts: "no rule explains it",
    ),
)


def likely_reason(facts: Facts) -> Reason:
    """Return the first reason of the table that fits."""
    rule = next(rule for rule in RULES if rule.fits(facts))
    return Reason(rule.name, rule.sentence(facts))
