"""What a filter in libpcap's language can ask of a flow: addresses, ports, protocols, VLAN, octets.

`filter_language` reads the sentence, this module turns a value and its qualifiers (pcap-filter(7))
into a predicate on columns of `appliance.flows`. A flow has no frame, so that a VLAN hides nothing:
`port 25` finds it in any VLAN.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from appliance.plugins.pmacct.filters.predicates import (
    DESTINATION,
    SOURCE,
    Predicate,
    has_bits,
    is_between,
    is_inside,
    is_ip,
    is_one_of,
)
from appliance.settings.types import Network

DIRECTIONS = ("src", "dst")
KINDS = ("host", "net", "port", "portrange", "proto")
_PROTOCOL, _VLAN = "protocol_identifier", "vlan_id"
_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "igrp": 9, "udp": 17, "icmp6": 58, "pim": 103}
_NUMBERS |= {"esp": 50, "ah": 51, "vrrp": 112, "carp": 112, "sctp": 132}
_WITH_PORTS = (6, 17, 132)
PROTOCOLS = ("ether", "ip", "ip6", *_NUMBERS)
_SIDES = {"src": SOURCE, "dst": DESTINATION}
_PORTS = {"src": "source_transport_port", "dst": "destination_transport_port"}
_MACS = {"src": "source_mac_address", "dst": "destination_mac_address"}
_MAC = re.compile(r"(?:[0-9a-f]{1,2}[:.-]){5}[0-9a-f]{1,2}", re.IGNORECASE)
_ETHER_TYPES = {"ip": 4, "ip6": 6, "0x800": 4, "0x0800": 4, "0x86dd": 6, "2048": 4, "34525": 6}


@dataclass(frozen=True, slots=True)
class Qualifiers:
    """What stands before a value: `tcp src or dst port`.

    Attributes
    ----------
    protocol
        One of `PROTOCOLS`, or empty.
    direction
        `src`, `dst`, `src or dst` or `src and dst`; empty means `src or dst`.
    kind
        One of `KINDS`; empty means host.
    """

    protocol: str = ""
    direction: str = ""
    kind: str = ""


def protocol_predicate(name: str) -> Predicate:
    """Return the predicate of a protocol's name that stands alone.

    Raises
    ------
    ValueError
        It says nothing of a flow.
    """
    if name in _NUMBERS:
        family = {"icmp": is_ip(4), "igmp": is_ip(4), "icmp6": is_ip(6)}.get(name)
        number = is_one_of(_PROTOCOL, (_NUMBERS[name],))
        return number if family is None else number & family
    if name == "ether":
        raise ValueError("'ether' needs an address or a type")
    return is_ip(4 if name == "ip" else 6)


def value_predicate(qualifiers: Qualifiers, value: str) -> Predicate:
    """Return the predicate of a value with its qualifiers.

    Raises
    ------
    ValueError
        The value does not go with them, or a flow has no such thing.
    """
    if qualifiers.protocol == "ether":
        return _ether(qualifiers, value)
    if qualifiers.kind in ("port", "portrange"):
        return _port(qualifiers, value)
    if qualifiers.protocol not in ("", "ip", "ip6"):
        raise ValueError(f"'{qualifiers.protocol}' does not go with a {qualifiers.kind or 'host'}")
    if qualifiers.kind == "proto":
        predicate = _proto(value)
        family = qualifiers.protocol
        return predicate & protocol_predicate(family) if family else predicate
    network = _network(value) if qualifiers.kind == "net" else _host(value)
    if qualifiers.protocol == ("ip6" if network.version == 4 else "ip"):
        raise ValueError(f"{value} is no address of '{qualifiers.protocol}'")
    return _either(qualifiers, _SIDES, lambda address: is_inside(address, network))


def vlan_predicate(value: str) -> Predicate:
    """Return the predicate of `vlan`, with a number or without.

    Raises
    ------
    ValueError
        No VLAN has such a number.
    """
    if not value:
        return is_between(_VLAN, 1, 65535)
    number = whole_number(value)
    if number > 4095:
        raise ValueError(f"no VLAN has the number {value}")
    return is_one_of(_VLAN, (number,)) & is_between(_VLAN, 1, 65535)


def multicast_predicate(protocol: str) -> Predicate:
    """Return the predicate of `multicast`: of Ethernet where no protocol stands before it.

    Raises
    ------
    ValueError
        The protocol knows none.
    """
    if protocol in ("", "ether"):
        # The bit of the first octet that says group (IEEE 802 section 8).
        return has_bits(_MACS["dst"], 1 << 40)
    groups = {"ip": "224.0.0.0/4", "ip6": "ff00::/8"}
    if protocol not in groups:
        raise ValueError(f"'{protocol} multicast' says nothing of a flow")
    return is_inside(DESTINATION, ipaddress.ip_network(groups[protocol]))


def whole_number(text: str) -> int:
    """Read a number as C does: decimal, 0x hexadecimal or 0 octal.

    Raises
    ------
    ValueError
        It is none.
    """
    octal = len(text) > 1 and text.startswith("0") and text.isdecimal()
    try:
        return int(text, 8 if octal else 0)
    except ValueError:
        raise ValueError(f"'{text}' is no number") from None


def _either(
    qualifiers: Qualifiers, columns: dict[str, str], condition: Callable[[str], Predicate]
) -> Predicate:
    """Return a predicate of the source's column, the destination's, either or both."""
    if qualifiers.direction in columns:
        return condition(columns[qualifiers.direction])
    source, destination = (condition(columns[side]) for side in DIRECTIONS)
    both = qualifiers.direction == "src and dst"
    return source & destination if both else source | destination


def _ether(qualifiers: Qualifiers, value: str) -> Predicate:
    if qualifiers.kind == "proto":
        family = _ETHER_TYPES.get(value.removeprefix("\\").lower())
        if family is None:
            raise ValueError(f"a flow has no Ethernet type {value}")
        return is_ip(family)
    if qualifiers.kind not in ("", "host") or not _MAC.fullmatch(value):
        raise ValueError(f"'{value}' is no Ethernet address")
    number = int("".join(part.zfill(2) for part in re.split("[:.-]", value)), 16)
    return _either(qualifiers, _MACS, lambda column: is_one_of(column, (number,)))


def _port(qualifiers: Qualifiers, value: str) -> Predicate:
    low, dash, high = value.partition("-")
    if qualifiers.kind == "portrange" and not dash:
        raise ValueError(f"'{value}' is no range of ports")
    if qualifiers.kind == "port":
        low, high = value, value
    ends = sorted((_port_number(low), _port_number(high)))
    protocols: tuple[int, ...] = _WITH_PORTS
    if qualifiers.protocol in ("tcp", "udp", "sctp"):
        protocols = (_NUMBERS[qualifiers.protocol],)
    elif qualifiers.protocol:
        raise ValueError(f"'{qualifiers.protocol}' has no ports")
    ports = _either(qualifiers, _PORTS, lambda column: is_between(column, ends[0], ends[1]))
    return ports & is_one_of(_PROTOCOL, protocols)


def _port_number(text: str) -> int:
    if text.isascii() and text.isdecimal():
        if int(text) > 65535:
            raise ValueError(f"no port has the number {text}")
        return int(text)
    try:
        return socket.getservbyname(text)
    except (OSError, UnicodeError):
        raise ValueError(f"unknown port '{text}'") from None


def _proto(text: str) -> Predicate:
    name = text.removeprefix("\\").lower()
    if name.isascii() and name.isdecimal():
        number = int(name)
    elif name in _NUMBERS:
        number = _NUMBERS[name]
    else:
        try:
            number = socket.getprotobyname(name)
        except (OSError, UnicodeError):
            raise ValueError(f"unknown protocol '{text}'") from None
    if number > 255:
        raise ValueError(f"no protocol has the number {number}")
    return is_one_of(_PROTOCOL, (number,))


def _host(text: str) -> Network:
    try:
        return ipaddress.ip_network(str(ipaddress.ip_address(text)))
    except ValueError:
        pass
    if "/" in text:
        return _network(text)
    raise ValueError(f"'{text}' is no address (names of hosts are not looked up)")


def _network(text: str) -> Network:
    """Return a network: `10.0.0.0/8`, `10`, `192.168` or `2001:db8::/32`."""
    address, slash, length = text.partition("/")
    parts = address.split(".")
    if ":" not in address and all(p.isascii() and p.isdecimal() for p in parts) and len(parts) <= 4:
        # Octets that are left out are zero; without a length they are also those of hosts.
        length = length if slash else str(8 * len(parts))
        address = ".".join((*parts, *["0"] * (4 - len(parts))))
    try:
        return ipaddress.ip_network(f"{address}/{length}" if length else address)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"'{text}' has bits set behind its length") from None
        raise ValueError(f"'{text}' is no network") from None
