"""The fields of filters: what each is called, which columns it reads, what its values look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.flowlog.conditions import ADDRESSES, ALIASES, EITHER_SIDE
from appliance.flows import COLUMN, Column, column_pairs
from appliance.protocols import PROTOCOL_NAMES
from appliance.value_names import all_names

PROTOCOLS = {name: number for number, name in PROTOCOL_NAMES.items()} | {
    "icmpv6": 58,
    "icmp6": 58,
}
SERVICES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "dhcp": 67, "tftp": 69,
    "http": 80, "kerberos": 88, "pop3": 110, "ntp": 123, "imap": 143, "snmp": 161, "bgp": 179,
    "ldap": 389, "https": 443, "smb": 445, "syslog": 514, "ldaps": 636, "imaps": 993,
    "mysql": 3306, "rdp": 3389, "sip": 5060, "postgresql": 5432,
}  # fmt: skip
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "X": 63}
"""Letters of TCP flags (RFC 9293 section 3.1, RFC 3168); X is all of the first six, as nfdump has
it."""

WORDS: Mapping[str, Mapping[str, int]] = {
    "protocol_identifier": PROTOCOLS,
    "source_transport_port": SERVICES,
    "destination_transport_port": SERVICES,
    "flow_direction": {"ingress": 0, "egress": 1},
    "record_kind": {"flow": 0, "event": 1, "option": 2, "implausible": 3},
}
"""Names for numbers, by column."""

HELP = """\
A CONDITION is a filter; all given must hold. It has nfdump's words, joined by and, or, not and
parentheses: "src ip 10.0.0.1 and dst port in [80,443]", "not proto udp", "bytes > 1M", "flags S",
"duration > 60s". FIELD=VALUE works too (host=10.0.0.0/8, port=80,443), with = != < <= > >=, and ~
for a part of a text. Put texts with blanks into double quotes.

Fields: host, ip, net, port, as, if, vrf, mac, mask (either side; with src, dst, in or out before it
one side), exporter (address or name), next ip, proto, bytes, packets, flows, duration, bps, pps,
bpp, flags, tos, dscp, icmp-type, ip version, version, vlan, app (number or engine:selector),
direction (ingress, egress), kind (flow, event), or any column of the flow log by its name. "ip in
@bad" looks into a list of addresses that the settings name (search.lists). With a
database of countries (names) also country, as "src country DE"; with networks in the settings also
network, site, role ("dst site Vienna") and traffic_direction (inbound, outbound, through,
internal).
"""

_ADDRESSES = ("source_address", "destination_address")
_INTERFACES = ("ingress_interface", "egress_interface")


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of a filter means.

    Attributes
    ----------
    columns
        What it reads; of two, either side.
    noun
        What a value of it is called.
    shift
        The value is the column without so many of its low bits.
    """

    columns: tuple[str, ...]
    noun: str = "a number"
    shift: int = 0


_PORT, _ADDRESS, _AS = "a port", "an address or network", "an AS number"
_PAIRS: Mapping[str, Field] = {
    "ip": Field(_ADDRESSES, _ADDRESS),
    "host": Field(_ADDRESSES, _ADDRESS),
    "net": Field(_ADDRESSES, _ADDRESS),
    "port": Field(EITHER_SIDE["port"], _PORT),
    "as": Field(EITHER_SIDE["as"], _AS),
    "if": Field(_INTERFACES, "an interface"),
    "interface": Field(_INTERFACES, "an interface"),
    "vrf": Field(("ingress_vrf_id", "egress_vrf_id"), "a VRF"),
    "mask": Field(("source_prefix_length", "destination_prefix_length"), "a prefix length"),
    "mac": Field(("source_mac_address", "destination_mac_address"), "a MAC address"),
}
"""Fields of both sides, which a direction cuts to one."""

_FIELDS: Mapping[str, Field] = {
    **_PAIRS,
    "proto": Field(("protocol_identifier",), "a protocol"),
    "protocol": Field(("protocol_identifier",), "a protocol"),
    "bytes": Field(("octet_delta_count",)),
    "flows": Field(("delta_flow_count",)),
    "duration": Field(("duration",), "a duration"),
    "bps": Field(("bps",)),
    "pps": Field(("pps",)),
    "bpp": Field(("bpp",)),
    "flags": Field(("tcp_control_bits",), "TCP flags"),
    "tcp_flags": Field(("tcp_control_bits",), "TCP flags"),
    "dscp": Field(("ip_class_of_service",), "a DSCP", shift=2),
    "icmp-type": Field(("icmp_type_code",), "an ICMP type", shift=8),
    "ip version": Field(("ip version",), "4 or 6"),
    "app": Field(("application_id",), "an application"),
    "application": Field(("application_id",), "an application"),
    "exporter": Field(("exporter_address",), "an exporter"),
    "router ip": Field(("exporter_address",), "an exporter"),
    "next ip": Field(("ip_next_hop_address",), _ADDRESS),
    "bgp next ip": Field(("bgp_next_hop_address",), _ADDRESS),
    "src vlan": Field(("vlan_id",), "a VLAN"),
    "dst vlan": Field(("post_vlan_id",), "a VLAN"),
    "vlan": Field(("vlan_id",), "a VLAN"),
    "src tos": Field(("ip_class_of_service",)),
}
_SIDE = {"src": 0, "dst": 1, "in": 0, "out": 1}
_SHORT = {"source": "src", "destination": "dst", "input": "in", "output": "out"}


def find_field(direction: str, name: str) -> Field | None:
    """Return what a field means, with the word before it or ""; None where there is none."""
    short = _SHORT.get(direction, direction)
    if field := _FIELDS.get(f"{short} {name}".strip()):
        return field
    if short in _SIDE and (pair := _PAIRS.get(name)):
        if (short in ("in", "out")) != pair.columns[0].startswith("ingress_"):
            return None
        return Field((pair.columns[_SIDE[short]],), pair.noun)
    if short in ("", "src", "dst") and (both := column_pairs().get(name)):
        columns = both if not short else (both[_SIDE[short]],)
        return Field(tuple(column.name for column in columns), _noun(*columns))
    if direction:
        return None
    column = ALIASES.get(name, name)
    if column in ADDRESSES:
        return Field((column,), _ADDRESS)
    if column in COLUMN:
        noun = _PORT if column.endswith("_transport_port") else _noun(COLUMN[column])
        return Field((column,), noun)
    return None


def _noun(*columns: Column) -> str:
    if columns[0].has_names:
        return "a name"
    return "two letters" if columns[0].letters else "a number"


def words_of(column: str) -> Mapping[str, int]:
    """Return the words, or names, that stand for numbers of a column."""
    if column in COLUMN and COLUMN[column].has_names:
        return {name: number for number, name in all_names(column).items()}
    return WORDS.get(column, {})


def find_word(text: str, words: Mapping[str, int]) -> int | None:
    """Return the number of a word; upper and lower case are the same where that is one word."""
    if text in words:
        return words[text]
    same = {number for word, number in words.items() if word.casefold() == text.casefold()}
    return same.pop() if len(same) == 1 else None


def field_names() -> list[str]:
    """Return the names of all fields, without columns; sorted."""
    return sorted({*_FIELDS, *ALIASES, *EITHER_SIDE, *column_pairs()})
