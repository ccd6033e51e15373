"""Octets of headers in a filter of libpcap's language: `ip[12:4] >= 0xc0a80001`, `tcp[13] & 2 = 2`.

Only octets that a flow keeps can be asked for: addresses, ports, protocol, type of service, TCP
flags, type and code of ICMP. Arithmetic is that of the filter machine, 32 bits without sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from appliance.plugins.pmacct.filters.filter_primitives import protocol_predicate, whole_number
from appliance.plugins.pmacct.filters.predicates import Columns, Mask, Predicate, everything, is_ip

_FIELD = re.compile(r"([a-z0-9]+)\[([a-z0-9]+)(?::([124]))?\]")
_BITS = np.uint64(0xFFFFFFFF)

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "&": np.bitwise_and,
        "|": np.bitwise_or,
        "^": np.bitwise_xor,
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
    }
)
RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "=": np.equal,
        "==": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
    }
)
_NAMES = {"tcpflags": 13, "icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1}
_NAMES |= {"tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32}
_PORTS = {
    (0, 2): ("source_transport_port", 0),
    (2, 2): ("destination_transport_port", 0),
}
_ICMP = {(0, 1): ("icmp_type_code", 8), (1, 1): ("icmp_type_code", 0)}
_KEPT: Mapping[str, Mapping[tuple[int, int], tuple[str, int]]] = MappingProxyType(
    {
        "ip": {
            (1, 1): ("ip_class_of_service", 0),
            (9, 1): ("protocol_identifier", 0),
            **{(12 + i, 1): ("source_address_lo", 24 - 8 * i) for i in range(4)},
            **{(16 + i, 1): ("destination_address_lo", 24 - 8 * i) for i in range(4)},
            **{(12 + i, 2): ("source_address_lo", 16 - 8 * i) for i in range(3)},
            **{(16 + i, 2): ("destination_address_lo", 16 - 8 * i) for i in range(3)},
            (12, 4): ("source_address_lo", 0),
            (16, 4): ("destination_address_lo", 0),
        },
        "ip6": {(6, 1): ("protocol_identifier", 0)},
        "tcp": {**_PORTS, (13, 1): ("tcp_control_bits", 0)},
        "udp": _PORTS,
        "sctp": _PORTS,
        "icmp": _ICMP,
        "icmp6": _ICMP,
    }
)
"""Octets of headers (RFC 791, 9293, 768, 792, 4443) by offset and length: column, bits to shift."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A number of each row.

    Attributes
    ----------
    condition
        What a row must be for the number to exist, such as a segment of TCP.
    values
        Returns the numbers, uint64 within 32 bits.
    """

    condition: Predicate
    columns: frozenset[str]
    values: Callable[[Columns], Any]

    @classmethod
    def of_text(cls, text: str) -> Operand:
        """Return the operand of a number, a name such as `tcp-syn`, or octets such as `tcp[13]`.

        Raises
        ------
        ValueError
            It is none of them, or a flow does not keep these octets.
        """
        if not text.endswith("]"):
            named = _NAMES.get(text)
            number = np.uint64((whole_number(text) if named is None else named) & 0xFFFFFFFF)
            return cls(everything(), frozenset(), lambda columns: number)
        protocol, name, shift, length = _parse_field(text)
        mask, bits = np.uint64((1 << 8 * length) - 1), np.uint64(shift)
        # As the filter machine has it, the offsets of what is above IP count behind IPv4 only.
        family = is_ip(6 if protocol in ("ip6", "icmp6") else 4)
        return cls(
            protocol_predicate(protocol) & family,
            frozenset((name,)),
            lambda columns: (np.asarray(columns(name)).astype(np.uint64) >> bits) & mask,
        )

    def with_operator(self, sign: str, other: Operand) -> Operand:
        """Return what an operator makes of two operands."""
        calculate = OPERATORS[sign]
        return Operand(
            self.condition & other.condition,
            self.columns | other.columns,
            lambda columns: calculate(self.values(columns), other.values(columns)) & _BITS,
        )


def _parse_field(text: str) -> tuple[str, str, int, int]:
    """Return protocol, column, bits to shift and octets of `tcp[13]`."""
    match = _FIELD.fullmatch(text)
    if match is not None:
        protocol, written, length = match[1], match[2], int(match[3] or 1)
        named = _NAMES.get(written)
        start = whole_number(written) if named is None else named
        if (start, length) in _KEPT.get(protocol, {}):
            return (protocol, *_KEPT[protocol][start, length], length)
    raise ValueError(f"a flow does not keep {text}")


def comparison(left: Operand, sign: str, right: Operand) -> Predicate:
    """Return the predicate of a comparison; a row without one of the numbers does not fulfil it."""
    relation = RELATIONS[sign]

    def mask(columns: Columns) -> Mask:
        return np.asarray(relation(left.values(columns), right.values(columns)))

    return left.condition & right.condition & Predicate(left.columns | right.columns, mask)
