"""Lines of pmacct's maps (`set_tag=1 ip=10.0.0.0/8 filter='dst port 25'`) and their conditions.

A word is `key=value`; quotes keep blanks in a value. What the keys that match ask of a flow follows
nfacctd 1.7.7; a leading minus asks for the opposite. What the other keys set is left to the maps.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from appliance.flows import UNKNOWN_DIRECTION, RecordKind, octets_column
from appliance.plugins.pmacct.configuration.aggregates import (
    CUSTOMER_VLAN,
    EGRESS_VRF,
    INGRESS_VRF,
    INITIATOR_OCTETS,
    MPLS_LABELS,
    PSEUDOWIRE,
    RESPONDER_OCTETS,
    ROUTE_DISTINGUISHER,
)
from appliance.plugins.pmacct.configuration.keys import leading_number
from appliance.plugins.pmacct.filters.filter_language import read_filter
from appliance.plugins.pmacct.filters.predicates import (
    DESTINATION,
    SOURCE,
    Predicate,
    everything,
    has_bits,
    has_element,
    is_inside,
    is_ip,
    is_one_of,
)
from appliance.settings.types import Network

SAMPLE_TYPES = {"flow": RecordKind.FLOW, "event": RecordKind.EVENT, "option": RecordKind.OPTION}
_WORD = re.compile(r"(?:'[^']*(?:'|$)|[^\s'])+")
_MAC = re.compile(r"(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", re.IGNORECASE)
_VERSION, _KIND = "export_protocol_version", "record_kind"
_GROUP = 1 << 40
"""The bit of an Ethernet address that says group (IEEE 802 section 8)."""

_RD_BITS = {"0": (16, 32), "1": (32, 16), "2": (32, 16)}
"""How long the two numbers of a route distinguisher are, by its type."""

UNSUPPORTED = MappingProxyType({"flowset_id": "which template a record had is not kept"})
"""Keys that nfacctd acts upon and the appliance does not, and why."""

REFUSABLE = frozenset((*UNSUPPORTED, "filter", "set_tag++", "set_tag2++"))
"""What an `UnsupportedKeyError` may name."""

BGP_ONLY = frozenset(
    (
        *("src_comms", "comms", "peer_src_as", "peer_dst_as", "src_local_pref", "local_pref"),
        *("src_roa", "dst_roa", "src_med", "med", "set_cos"),
    )
)
"""Keys that do nothing in nfacctd either without a BGP daemon."""


class UnsupportedKeyError(ValueError):
    """A line has a key that nfacctd would act upon."""

    def __init__(self, key: str, reason: str = "") -> None:
        super().__init__(f"{key}: {reason}" if reason else key)
        self.key = key


def line_values(text: str, known: frozenset[str]) -> dict[str, str]:
    """Return the values of a line by key.

    Raises
    ------
    UnsupportedKeyError
        The appliance does not act upon one of its keys.
    ValueError
        nfacctd ignores the line; its words for why.
    """
    values: dict[str, str] = {}
    for word in _WORD.findall(text):
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"malformed line: {text.strip()}. Line ignored.")
        if key in UNSUPPORTED:
            raise UnsupportedKeyError(key, UNSUPPORTED[key])
        if key in BGP_ONLY:
            raise ValueError(f"key '{key}' needs a BGP daemon. Line ignored.")
        if key not in known:
            raise ValueError(f"unknown key '{key}'. Ignored.")
        if key in values:
            raise ValueError(f"Multiple '{key}' clauses part of the same statement. Line ignored.")
        values[key] = value.replace("'", "")
    return values


def condition_of(values: Mapping[str, str]) -> Predicate:
    """Return the predicate of what a line asks of a flow.

    Raises
    ------
    ValueError
        A value does not fit; nfacctd's words.
    """
    predicate = everything()
    for key, value in values.items():
        if key in CONDITIONS:
            predicate &= CONDITIONS[key](value)
    return predicate


def _with_negation(read: Callable[[str], Predicate]) -> Callable[[str], Predicate]:
    """Return a reader that takes a leading minus for the opposite."""

    def condition(value: str) -> Predicate:
        return ~read(value[1:]) if value.startswith("-") else read(value)

    return condition


def _in_templates(read: Callable[[str], Predicate]) -> Callable[[str], Predicate]:
    """Return a reader of what NetFlow v5 does not have, so that no record of it matches."""
    return lambda value: read(value) & ~is_one_of(_VERSION, (5,))


def _exporter(value: str) -> Predicate:
    try:
        return is_inside("exporter_address", ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"Bad IP address or prefix '{value}'. Line ignored.") from None


def _network(what: str, address: str) -> Callable[[str], Predicate]:
    def condition(value: str) -> Predicate:
        try:
            network: Network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"Bad {what} address '{value}'. Line ignored.") from None
        return is_inside(address, network)

    return condition


def _interface(column: str) -> Callable[[str], Predicate]:
    def condition(value: str) -> Predicate:
        if not (value.isascii() and value.isdecimal()):
            raise ValueError(f"Bad interface '{value}'. Line ignored.")
        return is_one_of(column, (int(value),))

    return condition


def _number(column: str) -> Callable[[str], Predicate]:
    return lambda value: is_one_of(column, (leading_number(value),))


def _element(element: int) -> Callable[[str], Predicate]:
    return _number(octets_column(0, element))


def _engine(what: str, shift: int) -> Callable[[str], Predicate]:
    """Return a reader of an engine of NetFlow v5, whose domain here is type and identifier."""

    def condition(value: str) -> Predicate:
        number = leading_number(value)
        if not (value.isascii() and value.isdecimal()) or (shift and number > 255):
            raise ValueError(f"bad '{what}' value: '{value}'. Line ignored.")
        octet = Predicate(
            frozenset(("observation_domain_id",)),
            lambda columns: (columns("observation_domain_id") >> shift) & 255 == number,
        )
        of_v5 = octet & is_one_of(_VERSION, (5,))
        if shift:
            return of_v5
        # Of the other versions it is the observation domain.
        others = is_one_of("observation_domain_id", (number,)) & ~is_one_of(_VERSION, (5,))
        return of_v5 | others

    return condition


def _mac(what: str, column: str) -> Callable[[str], Predicate]:
    def condition(value: str) -> Predicate:
        if not _MAC.fullmatch(value):
            raise ValueError(f"Bad {what} MAC address '{value}'. Line ignored.")
        number = int("".join(part.zfill(2) for part in value.split(":")), 16)
        return is_one_of(column, (number,))

    return condition


def _multicast(value: str) -> Predicate:
    group = has_bits("destination_mac_address", _GROUP)
    return group if value.lower() == "true" else ~group


def _direction(value: str) -> Predicate:
    number = leading_number(value)
    # To nfacctd a record that does not say came in.
    return is_one_of("flow_direction", (number,) if number else (0, UNKNOWN_DIRECTION))


def _sample_type(value: str) -> Predicate:
    kind, _, family = value.partition("-")
    families = ("ipv4", "ipv6", "mpls-ipv4", "mpls-ipv6")
    if kind not in SAMPLE_TYPES or (family and (kind != "flow" or family not in families)):
        raise ValueError("Invalid NetFlow/IPFIX 'sample_type' value. Line ignored.")
    predicate = is_one_of(_KIND, (SAMPLE_TYPES[kind],))
    if not family:
        return predicate
    labelled = has_element(MPLS_LABELS[0])
    by_label = labelled if family.startswith("mpls-") else ~labelled
    return predicate & is_ip(int(family[-1])) & by_label


def _is_bi_flow(value: str) -> Predicate:
    both = has_element(INITIATOR_OCTETS) & has_element(RESPONDER_OCTETS)
    if value.lower() not in ("true", "false"):
        raise ValueError(f"bad 'is_bi_flow' value: '{value}'. Line ignored.")
    return both if value.lower() == "true" else ~both


def _route_distinguisher(value: str) -> Predicate:
    """Return a predicate of `vrfid:7`, or of a distinguisher as RFC 4364 section 4.2 has it."""
    kind, *parts = value.split(":")
    if kind == "vrfid" and len(parts) == 1 and parts[0].isdecimal():
        return _element(INGRESS_VRF)(parts[0]) | _element(EGRESS_VRF)(parts[0])
    problem = ValueError(f"Invalid RD type specified '{value}'. Line ignored.")
    try:
        first, second = (_administrator(kind, part) for part in parts)
    except ValueError:
        raise problem from None
    bits = _RD_BITS.get(kind)
    if bits is None or first >> bits[0] or second >> bits[1]:
        raise problem
    number = int(kind) << 48 | first << bits[1] | second
    return is_one_of(octets_column(0, ROUTE_DISTINGUISHER), (number,))


def _administrator(kind: str, text: str) -> int:
    return int(ipaddress.IPv4Address(text)) if kind == "1" and "." in text else int(text)


def _filter(value: str) -> Predicate:
    try:
        return read_filter(value)
    except ValueError as problem:
        # nfacctd knows more of the language, so the line might act there.
        raise UnsupportedKeyError("filter", str(problem)) from None


CONDITIONS: Mapping[str, Callable[[str], Predicate]] = MappingProxyType(
    {
        "ip": _exporter,
        "in": _with_negation(_interface("ingress_interface")),
        "out": _with_negation(_interface("egress_interface")),
        "src_net": _with_negation(_network("source network", SOURCE)),
        "dst_net": _with_negation(_network("destination network", DESTINATION)),
        "src_as": _with_negation(_number("bgp_source_as_number")),
        "dst_as": _with_negation(_number("bgp_destination_as_number")),
        "nexthop": _with_negation(_network("nexthop", "ip_next_hop_address")),
        "bgp_nexthop": _with_negation(_network("BGP nexthop", "bgp_next_hop_address")),
        "engine_type": _with_negation(_engine("engine_type", 8)),
        "engine_id": _with_negation(_engine("engine_id", 0)),
        "source_id": _with_negation(_engine("engine_id", 0)),
        "vlan": _in_templates(_with_negation(_number("vlan_id"))),
        "direction": _in_templates(_with_negation(_direction)),
        "nat_event": _in_templates(_with_negation(_number("nat_event"))),
        "fwdstatus": _in_templates(_with_negation(_number("forwarding_status"))),
        "src_mac": _in_templates(_with_negation(_mac("source", "source_mac_address"))),
        "dst_mac": _in_templates(_with_negation(_mac("destination", "destination_mac_address"))),
        "is_multicast": _multicast,
        "cvlan": _in_templates(_with_negation(_element(CUSTOMER_VLAN))),
        "mpls_pw_id": _in_templates(_with_negation(_element(PSEUDOWIRE))),
        "mpls_vpn_rd": _with_negation(_route_distinguisher),
        "is_bi_flow": _with_negation(_is_bi_flow),
        "sample_type": _with_negation(_sample_type),
        "filter": _filter,
    }
)
"""The predicate of a key that matches, from its value."""
