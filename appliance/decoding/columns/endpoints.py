"""Between whom a flow was: addresses of two families, prefix lengths, ports, and what ICMP has
instead of ports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.tunnels import headers_of, innermost, of_header
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.flows import COLUMN, UNKNOWN_PROTOCOL, V4_MAPPED

Columns = dict[str, NDArray[Any]]

ADDRESSES = {
    # Column: elements of IPv6 and of IPv4.
    "source_address": (27, 8),
    "destination_address": (28, 12),
    "ip_next_hop_address": (62, 15),
    "bgp_next_hop_address": (63, 18),
    "post_nat_source_address": (281, 225),
    "post_nat_destination_address": (282, 226),
}
_ANY_ADDRESS = frozenset(element for pair in ADDRESSES.values() for element in pair)
_ENDS = ("source_address", "destination_address")
_IPV4_BITS = np.uint64(0xFFFF_FFFF)
_OF_HEADER = (
    *("protocol_identifier", "ip_class_of_service", "tcp_control_bits", "ip_version"),
    "flow_label_ipv6",
)
_ICMP_TYPE_AND_CODE = ((176, 177), (178, 179))
_ANY_ICMP = frozenset(element for pair in _ICMP_TYPE_AND_CODE for element in pair)
_PORTS = ("source_transport_port", "destination_transport_port")
_ICMP, _ICMP_V6, _TCP, _UDP = 1, 58, 6, 17
_PREFIX_LENGTHS = ("source_prefix_length", "destination_prefix_length")
_FILLED = {
    element: name
    for name in (*_OF_HEADER, *_PREFIX_LENGTHS, *_PORTS, "icmp_type_code")
    for element in COLUMN[name].elements
}
"""Elements, each of one column only, and that column."""
_ONLY_IN = (
    (_ICMP, (32, 176, 177)),
    (_ICMP_V6, (139, 178, 179)),
    (_TCP, (182, 183, 6)),
    (_UDP, (180, 181)),
)
"""Protocols, and the elements that no other one has; the first that a record fills decides."""
_ANY_ONLY_IN = frozenset(element for _, elements in _ONLY_IN for element in elements)


def endpoint_columns(group: RecordGroup) -> Columns:
    """Fill the columns of both ends, of next hops and of translated addresses."""
    headers = headers_of(group)
    if len(headers.plans) == 1:
        return _columns_of_header(group)
    groups = [of_header(group, plan) for plan in headers.plans]
    columns = [_columns_of_header(one) | _other_columns(one) for one in groups]
    return innermost(group, headers, columns)


def _columns_of_header(group: RecordGroup) -> Columns:
    columns = _addresses(group)
    columns.update(_prefix_lengths(group))
    columns.update(_ports(group))
    columns.update(_icmp(group, columns))
    columns.update(_protocol(group, columns))
    return columns


def _other_columns(group: RecordGroup) -> Columns:
    """Return what else a header has; where there is but one, `flow_columns` reads it."""
    found = {name: values for name in _OF_HEADER if (values := _all_of(group, name))}
    return {name: values[0] for name, values in found.items()}


def _addresses(group: RecordGroup) -> Columns:
    columns: Columns = {}
    for name, (v6, v4) in ADDRESSES.items() if group.has_any(_ANY_ADDRESS) else ():
        at6, at4 = group.index(v6), group.index(v4)
        short = None if at4 is None else _ipv4_mapped_low(group, at4, name)
        if at6 is None:
            if short is not None:
                columns[f"{name}_lo"] = short
            continue
        hi, lo = group.records.halves(at6)
        if short is not None:
            # Both families in one record (of the ends see `tunnels`): whichever is not zero.
            is_v6 = (hi | lo) > 0
            hi, lo = np.where(is_v6, hi, 0), np.where(is_v6, lo, short)
        columns[f"{name}_hi"], columns[f"{name}_lo"] = hi, lo
    return columns


def _ipv4_mapped_low(group: RecordGroup, field: int, name: str) -> NDArray[Any]:
    """Read an IPv4 address as the low half of an IPv4-mapped one."""
    number = group.records.unsigned(field)
    mapped = number.astype(np.uint64) if number.itemsize <= 4 else number & _IPV4_BITS
    nothing = mapped == 0
    mapped |= np.uint64(V4_MAPPED)
    if name not in _ENDS:
        mapped[nothing] = 0  # No such address, rather than 0.0.0.0.
    return mapped


def _prefix_lengths(group: RecordGroup) -> Columns:
    return {
        name: _first_not_zero(lengths)
        for name in _PREFIX_LENGTHS
        if (lengths := _all_of(group, name))
    }


def _ports(group: RecordGroup) -> Columns:
    return {name: _first_not_zero(ports) for name in _PORTS if (ports := _all_of(group, name))}


def _icmp(group: RecordGroup, columns: Columns) -> Columns:
    found = _all_of(group, "icmp_type_code")
    for pair in _ICMP_TYPE_AND_CODE if group.has_any(_ANY_ICMP) else ():
        kind, code = (group.unsigned(element) for element in pair)
        if kind is not None:
            high = kind.astype(np.uint16) << np.uint16(8)
            found.append(high if code is None else high | code.astype(np.uint8))
    if found:
        return {"icmp_type_code": _first_not_zero(found)}
    # Where no element holds type and code, the destination port of v5 and v9 does.
    protocol, port = group.unsigned(4), columns.get("destination_transport_port")
    if protocol is None or port is None:
        return {}
    is_icmp = (protocol == _ICMP) | (protocol == _ICMP_V6)
    return {"icmp_type_code": np.where(is_icmp, port, np.uint16(0))} if is_icmp.any() else {}


def _protocol(group: RecordGroup, columns: Columns) -> Columns:
    """Tell the protocol of a layout without element 4 by elements that only one protocol has."""
    if group.index(4) is not None:
        return {}
    if not group.has_any(_ANY_ONLY_IN):
        return {}
    protocol = np.full(group.n_records, UNKNOWN_PROTOCOL, np.uint8)
    has_ports = any(name in columns for name in _PORTS)
    for number, elements in reversed(_ONLY_IN):
        for values in (v for e in elements if (v := group.unsigned(e)) is not None):
            # Type 0, code 0 is an echo reply: no value of ICMP, but for want of ports.
            is_icmp = number in (_ICMP, _ICMP_V6) and not has_ports
            protocol = np.where((values != 0) | is_icmp, np.uint8(number), protocol)
    return {"protocol_identifier": protocol} if (protocol != UNKNOWN_PROTOCOL).any() else {}


def _all_of(group: RecordGroup, name: str) -> list[NDArray[Any]]:
    """Return every element of the layout that can fill a column, the most wanted first."""
    dtype = COLUMN[name].dtype
    fields = group.plan.recall(_fields_of_column).get(name, ())
    return [group.records.unsigned(field).astype(dtype, copy=False) for field in fields]


def _fields_of_column(plan: DecodePlan) -> dict[str, list[int]]:
    """Return the fields that can fill a column, the most wanted first, of those in `_FILLED`."""
    found: dict[str, list[int]] = {}
    for element in _FILLED.keys() & plan.elements:
        found.setdefault(_FILLED[element], []).append(plan.first_index[0, element])
    for name, fields in found.items():
        rank = COLUMN[name].elements.index
        fields.sort(key=lambda field: rank(plan.fields[field].element))
    return found


def _first_not_zero(choices: list[NDArray[Any]]) -> NDArray[Any]:
    chosen = choices[0]
    for other in choices[1:]:
        chosen = np.where(chosen != 0, chosen, other)
    return chosen
