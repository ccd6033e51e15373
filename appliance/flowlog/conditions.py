"""Conditions on flows as SQL with parameters; texts become some in `appliance.query.language`.

`host`, `port`, `interface` and `as` mean either side; `where_branches` turns the first of them into
two disjoint branches, which DuckDB answers several times faster than an OR.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from appliance.flows import COLUMN, COLUMNS

if TYPE_CHECKING:
    from appliance.query.language.tree import Filter

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


class LongList(NamedTuple):
    """Networks in one of which one of some addresses must be.

    Attributes
    ----------
    addresses
        Without `_hi` and `_lo`.
    networks
        First and last address as 128-bit numbers, IPv4 as ::ffff:a.b.c.d.
    """

    addresses: tuple[str, ...]
    networks: Sequence[tuple[int, int]]


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
    filter
        The same as a filter, for what answers in another dialect; None where there is none.
    long_list
        What must hold at least, where that is a long list; None otherwise.
    """

    sides: tuple[str, ...]
    values: tuple[Any, ...]
    negated: bool = False
    filter: Filter | None = field(default=None, compare=False)
    long_list: LongList | None = field(default=None, compare=False)


def where_branches(
    conditions: Sequence[Condition], *, most: int = 2
) -> list[tuple[str, dict[str, Any]]]:
    """Combine conditions into the WHERE of disjoint branches, to be joined by UNION ALL.

    Parameters
    ----------
    most
        1 where the order of the rows counts.

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
        elif len(sides) == most == 2 and not split:
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
