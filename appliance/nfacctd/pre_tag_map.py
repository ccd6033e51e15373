"""Reads pmacct's `pre_tag_map`: rules that give records a tag, a second tag or a label.

A line is `set_tag=1 ip=10.0.0.0/8 sample_type=flow jeq=next`. The first rule that matches ends the
look-up, unless it jumps: `jeq` goes on at the rule with that `label`. Follows nfacctd 1.7.7, whose
words the warnings are. Rules are tried on whole columns; what they match is a mask of rows.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flows import RecordKind, address_halves
from appliance.nfacctd.config import at_line, is_comment, read_lines
from appliance.setting_types import Network

SAMPLE_TYPES = {"flow": RecordKind.FLOW, "event": RecordKind.EVENT, "option": RecordKind.OPTION}
_KNOWN = {"set_tag", "id", "set_tag2", "id2", "set_label", "ip", "in", "out", "sample_type"}
_KNOWN |= {"jeq", "label"}
_OTHERS = {
    *("set_tos", "engine_type", "engine_id", "source_id", "flowset_id", "nexthop", "bgp_nexthop"),
    *("filter", "is_bi_flow", "direction", "nat_event", "src_mac", "dst_mac", "vlan", "cvlan"),
    *("src_net", "dst_net", "is_multicast", "mpls_pw_id", "src_as", "dst_as", "stack", "src_comms"),
    *("comms", "peer_src_as", "peer_dst_as", "src_local_pref", "local_pref", "src_roa", "dst_roa"),
    *("mpls_vpn_rd", "src_med", "med", "fwd_status", "set_cos"),
}
"""Keys that nfacctd knows and that do not act here."""

LARGEST_TAG = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that a rule asks for; `negated`: any other."""

    index: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. None: the rule does not ask for it, or does not set it."""

    tag: int | None = None
    tag2: int | None = None
    label: str | None = None
    network: Network | None = None
    ingress: Interface | None = None
    egress: Interface | None = None
    kind: RecordKind | None = None
    jump: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The columns of rows that rules look at, of equal length."""

    exporter_hi: NDArray[np.uint64]
    exporter_lo: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    ingress: NDArray[np.uint32]
    egress: NDArray[np.uint32]


@dataclass(slots=True)
class Tags:
    """What rules gave to rows; `labels` numbers into `label_texts`, of which the first is empty."""

    tag: NDArray[np.uint64]
    tag2: NDArray[np.uint64]
    labels: NDArray[np.int64]
    label_texts: list[str] = field(default_factory=lambda: [""])


@dataclass(frozen=True, slots=True)
class TagRules:
    """The rules of a file in its order, and a sentence for each line that was ignored."""

    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()

    def tags(self, subject: Subject) -> Tags:
        """Try the rules on rows, those of every row together."""
        n = len(subject.kind)
        tags = Tags(np.zeros(n, np.uint64), np.zeros(n, np.uint64), np.zeros(n, np.int64))
        # Where each row goes on: the number of a rule. Jumps only go forward.
        at = np.zeros(n, np.int64)
        places = {rule.name: i for i, rule in reversed(list(enumerate(self.rules))) if rule.name}
        for number, rule in enumerate(self.rules):
            found = np.flatnonzero((at <= number) & matches(rule, subject))
            if not len(found):
                continue
            _set(tags, rule, found)
            target = places.get(rule.jump, -1) if rule.jump else -1
            at[found] = target if target > number else len(self.rules)
        return tags


def matches(rule: Rule, subject: Subject) -> NDArray[np.bool_]:
    """Return which rows a rule matches."""
    found = np.ones(len(subject.kind), np.bool_)
    if rule.network is not None:
        found &= _inside(rule.network, subject)
    if rule.kind is not None:
        found &= subject.kind == rule.kind
    for wanted, column in ((rule.ingress, subject.ingress), (rule.egress, subject.egress)):
        if wanted is not None:
            found &= (column == wanted.index) != wanted.negated
    return found


def read_rules(path: Path) -> TagRules:
    """Read a file of rules.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    rules: list[Rule] = []
    warnings: list[str] = []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        try:
            rules.append(_rule(text))
        except ValueError as problem:
            warnings.append(f"[{at_line(path, number)}] {problem}")
    return TagRules(tuple(rules), tuple(warnings))


def _set(tags: Tags, rule: Rule, found: NDArray[np.intp]) -> None:
    if rule.tag is not None:
        tags.tag[found] = rule.tag
    if rule.tag2 is not None:
        tags.tag2[found] = rule.tag2
    if rule.label is not None:
        if rule.label not in tags.label_texts:
            tags.label_texts.append(rule.label)
        tags.labels[found] = tags.label_texts.index(rule.label)


def _inside(network: Network, subject: Subject) -> NDArray[np.bool_]:
    hi, lo = address_halves(str(network.network_address))
    length = network.prefixlen + (96 if network.version == 4 else 0)
    v4 = (subject.exporter_hi == 0) & (subject.exporter_lo >> np.uint64(32) == 0xFFFF)
    # An IPv4 address is no IPv6 address to nfacctd, so ::/0 is IPv6 only.
    family = v4 if network.version == 4 else ~v4
    masks = ((1 << length) - 1) << (128 - length)
    high, low = np.uint64(masks >> 64), np.uint64(masks & LARGEST_TAG)
    return np.asarray(
        family
        & (subject.exporter_hi & high == np.uint64(hi))
        & (subject.exporter_lo & low == np.uint64(lo)),
        np.bool_,
    )


def _rule(text: str) -> Rule:
    """Return the rule of a line; `ValueError` has nfacctd's words for why there is none."""
    values: dict[str, str] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"malformed line: {text.strip()}. Line ignored.")
        if key in _OTHERS:
            raise ValueError(f"key '{key}' does not act here. Line ignored.")
        if key not in _KNOWN:
            raise ValueError(f"unknown key '{key}'. Ignored.")
        values[key] = value
    tag = _tag(values, "set_tag", "id")
    tag2 = _tag(values, "set_tag2", "id2")
    label: str | None = values.get("set_label")
    if tag is not None or tag2 is not None:
        # In nfacctd tags go before a label of the same rule, which is not set then.
        label = None
    return Rule(
        tag=tag,
        tag2=tag2 if tag is None else None,
        label=label,
        network=_network(values.get("ip")),
        ingress=_interface(values.get("in")),
        egress=_interface(values.get("out")),
        kind=_kind(values.get("sample_type")),
        jump=values.get("jeq", ""),
        name=values.get("label", ""),
    )


def _tag(values: dict[str, Any], key: str, alias: str) -> int | None:
    written = values.get(key, values.get(alias))
    if written is None:
        return None
    if not (written.isascii() and written.isdecimal()) or int(written) > LARGEST_TAG:
        raise ValueError(f"Invalid {key}/{alias} specified (non-digit chars). Line ignored.")
    return int(written)


def _network(written: str | None) -> Network | None:
    if written is None:
        return None
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ValueError(f"Bad IP address or prefix '{written}'. Line ignored.") from None


def _interface(written: str | None) -> Interface | None:
    if written is None:
        return None
    digits = written.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"Bad interface '{written}'. Line ignored.")
    return Interface(int(digits), written.startswith("-"))


def _kind(written: str | None) -> RecordKind | None:
    if written is None:
        return None
    if written not in SAMPLE_TYPES:
        raise ValueError("Invalid NetFlow/IPFIX 'sample_type' value. Line ignored.")
    return SAMPLE_TYPES[written]
