"""Conditions on flows as people type them, such as `source=10.0.0.0/8`, made into SQL with
parameters.

A condition is a field, a comparison and one or several values, perhaps with `not` before it. Values
never become part of the SQL text. `host`, `port`, `interface` and `as` mean either side;
`where_branches` turns the first of them into two disjoint branches, which DuckDB answers several
times faster than an OR.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.errors import InvalidQueryError
from appliance.flows import COLUMN, COLUMNS, address_halves
from appliance.protocols import PROTOCOL_NAMES

PROTOCOLS = {name: number for number, name in PROTOCOL_NAMES.items()} | {"icmpv6": 58}
"""What conditions call protocols: their names, and the other common one of ipv6-icmp."""

ADDRESSES = tuple(c.name.removesuffix("_hi") for c in COLUMNS if c.name.endswith("_hi"))
"""Columns that are two halves, by their common name."""

EITHER_SIDE = {
    "host": ("source_address", "destination_address"),
    "port": ("source_transport_port", "destination_transport_port"),
    "interface": ("ingress_interface", "egress_interface"),
    "as": ("bgp_source_as_number", "bgp_destination_as_number"),
}

ALIASES = {
    "source": "source_address",
    "destination": "destination_address",
    "exporter": "exporter_address",
    "next_hop": "ip_next_hop_address",
    "source_port": "source_transport_port",
    "destination_port": "destination_transport_port",
    "protocol": "protocol_identifier",
    "tos": "ip_class_of_service",
    "tcp_flags": "tcp_control_bits",
    "octets": "octet_delta_count",
    "packets": "packet_delta_count",
    "direction": "flow_direction",
    "source_as": "bgp_source_as_number",
    "destination_as": "bgp_destination_as_number",
    "vlan": "vlan_id",
    "version": "export_protocol_version",
    "application": "application_id",
    "domain": "observation_domain_id",
    "kind": "record_kind",
}

_WORDS = {
    "protocol_identifier": PROTOCOLS,
    "flow_direction": {"ingress": 0, "egress": 1},
    "record_kind": {"flow": 0, "event": 1, "option": 2, "implausible": 3},
}
_CONDITION = re.compile(
    r"\s*(?P<not>not\s+)?(?P<field>\w+)\s*(?P<sign><=|>=|!=|=|<|>|~)\s*(?P<value>.*\S)\s*"
)
_MAX_VALUES = 256
_MAX_NAMED = 8
_WELL_KNOWN = ("icmp", "tcp", "udp", "ipv6-icmp", "gre", "esp")
"""Values that messages name where there are too many to name all."""

HELP = """\
A CONDITION is FIELD=VALUE; all given must hold. Commas give alternatives (port=80,443); != < <= >
>= compare; ~ looks for a part of a text; "not " before a condition turns it round.

Fields: source, destination, exporter, next_hop (an address or network); source_port,
destination_port, protocol (name or number), octets, packets, ingress_interface,
egress_interface, source_as, destination_as, application_id (number or engine:selector),
direction (ingress, egress), vlan, tos, tcp_flags, kind (flow, event), or any column of the flow
log by its name. host, port, interface and as mean either side.
"""


@dataclass(frozen=True)
class Condition:
    """One condition as SQL.

    Attributes
    ----------
    sides
        SQL expressions of which one must hold, with `{0}`, `{1}`, ... for the parameters.
    values
        The parameters.
    negated
        None of the sides may hold; a record without the column then satisfies it.
    """

    sides: tuple[str, ...]
    values: tuple[Any, ...]
    negated: bool = False


def parse_condition(text: str) -> Condition:
    """Read one condition.

    Raises
    ------
    InvalidQueryError
        It is not understood; the text says what was expected.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidQueryError(f"condition {text!r} is not FIELD=VALUE, such as source=10.0.0.0/8")
    field, sign = match["field"], match["sign"]
    columns = EITHER_SIDE.get(field) or (ALIASES.get(field, field),)
    if any(column not in COLUMN and column not in ADDRESSES for column in columns):
        known = sorted({*ALIASES, *EITHER_SIDE})
        raise InvalidQueryError(
            f"unknown field {field!r}, expected one of {', '.join(known)} or a column"
        )
    texts = [part.strip() for part in match["value"].split(",")]
    if len(texts) > _MAX_VALUES or not all(texts):
        raise InvalidQueryError(
            f"condition {text!r} needs 1 to {_MAX_VALUES} values between commas"
        )
    values: list[Any] = []
    sides = []
    for column in columns:
        values = []  # both sides have the same parameters
        choices = [_comparison(column, sign, part, values) for part in texts]
        sides.append("(" + " OR ".join(choices) + ")")
    return Condition(tuple(sides), tuple(values), bool(match["not"]) != (sign == "!="))


def where_branches(conditions: Sequence[Condition]) -> list[tuple[str, dict[str, Any]]]:
    """Combine conditions into the WHERE of disjoint branches, to be joined by UNION ALL.

    Returns
    -------
    list
        One or two pairs of SQL and its named parameters; together the branches give every matching
        row once.
    """
    parameters: dict[str, Any] = {}
    common: list[str] = []
    split: list[str] = []
    for number, condition in enumerate(conditions):
        names = [f"c{number}_{place}" for place in range(len(condition.values))]
        parameters.update(zip(names, condition.values, strict=True))
        sides = [side.format(*(f"${name}" for name in names)) for side in condition.sides]
        if condition.negated:
            common.append(f"({' OR '.join(sides)}) IS NOT TRUE")
        elif len(sides) == 2 and not split:
            split = sides
        else:
            common.append(f"({' OR '.join(sides)})")
    if not split:
        return [(" AND ".join(common) or "TRUE", parameters)]
    first, second = split
    branches = ([first, *common], [second, f"{first} IS NOT TRUE", *common])
    return [(" AND ".join(parts), parameters) for parts in branches]


def condition_columns(conditions: Sequence[Condition]) -> set[str]:
    """Return the columns that conditions look at."""
    words = {word for c in conditions for side in c.sides for word in re.findall(r"\w+", side)}
    return words & COLUMN.keys()


def _comparison(column: str, sign: str, text: str, values: list[Any]) -> str:
    if column in ADDRESSES:
        return _address(column, sign, text, values)
    if COLUMN[column].dtype == object:
        return _text(column, sign, text, values)
    if sign == "~":
        raise InvalidQueryError(f"~ looks for a part of a text, but {column} is a number")
    values.append(_number(column, text))
    kind = {"u": "UBIGINT", "i": "BIGINT", "f": "DOUBLE"}[COLUMN[column].dtype.kind]
    same = f"{column} {'=' if sign == '!=' else sign} {{{len(values) - 1}}}::{kind}"
    absent = COLUMN[column].absent
    # Stored as null: what is absent equals its value, where that is not simply nothing.
    if absent and values[-1] == absent and sign in ("=", "!="):
        return f"({same} OR {column} IS NULL)"
    return same


def _address(column: str, sign: str, text: str, values: list[Any]) -> str:
    if sign not in ("=", "!="):
        raise InvalidQueryError(f"addresses are compared with = or !=, not {sign}")
    try:
        network = ipaddress.ip_network(text, strict=False)
        low_hi, low_lo = address_halves(str(network.network_address))
        high_hi, high_lo = address_halves(str(network.broadcast_address))
    except ValueError:
        raise InvalidQueryError(
            f"{text!r} is no address or network, such as 192.0.2.0/24"
        ) from None
    place = len(values)
    if low_hi != high_hi:
        values += (low_hi, high_hi)
        return f"{column}_hi BETWEEN {{{place}}}::UBIGINT AND {{{place + 1}}}::UBIGINT"
    values += (low_hi, low_lo, high_lo)
    return (
        f"({column}_hi = {{{place}}}::UBIGINT AND {column}_lo BETWEEN"
        f" {{{place + 1}}}::UBIGINT AND {{{place + 2}}}::UBIGINT)"
    )


def _text(column: str, sign: str, text: str, values: list[Any]) -> str:
    values.append(text)
    place = len(values) - 1
    if sign == "~":
        return f"contains(lower({column}), lower({{{place}}}))"
    if sign in ("=", "!="):
        return f"{column} = {{{place}}}"
    raise InvalidQueryError(f"texts are compared with =, != or ~, not {sign}")


def _number(column: str, text: str) -> int | float:
    words = _WORDS.get(column, {})
    if text.lower() in words:
        return words[text.lower()]
    dtype = COLUMN[column].dtype
    try:
        if dtype.kind == "f":
            return float(text)
        number = _integer(column, text)
    except ValueError:
        some = [word for word in words if len(words) <= _MAX_NAMED or word in _WELL_KNOWN]
        expected = f"a name such as {', '.join(some)} or a number" if words else "a number"
        raise InvalidQueryError(f"{text!r} is no value of {column}, expected {expected}") from None
    if not (0 if dtype.kind == "u" else -(2**63)) <= number < 2**63 * (1 + (dtype.kind == "u")):
        raise InvalidQueryError(f"{text} is out of the range of {column}")
    return number


def _integer(column: str, text: str) -> int:
    if column.endswith("mac_address"):
        digits = text.replace(":", "").replace("-", "")
        if len(digits) != 12:
            raise ValueError(text)
        return int(digits, 16)
    if column == "application_id" and ":" in text:
        engine, selector = (int(part) for part in text.split(":"))
        # As `application_key` of the decoder makes it, RFC 6759 section 4.
        return engine << 56 | selector
    return int(text, 0)
