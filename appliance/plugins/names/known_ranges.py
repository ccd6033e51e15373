"""What is known of ranges of addresses: by a database, and by the settings of networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from appliance.flows import V4_MAPPED, AnyArray
from appliance.plugins.names.databases import AddressDatabase
from appliance.plugins.names.networks import KINDS
from appliance.plugins.names.ranges import AddressRange, AddressRanges, flatten
from appliance.settings.own_networks import LocalNetwork, name_number
from appliance.settings.types import Network

AS, COUNTRY, PLACE = "as_number", "country", "place"

OUTSIDE, INSIDE, NOWHERE = 0, 1, 2
"""Values of `PLACE`: of an address that there is none, neither."""


class KnownRanges(NamedTuple):
    """What is known, by what it is and by the number of the range; 0 where it is not."""

    ranges: AddressRanges
    values: Mapping[str, AnyArray]


def known_by_database(database: AddressDatabase) -> KnownRanges:
    """Return `AS` (uint32) and `COUNTRY` (uint16) as a database says them."""
    return KnownRanges(database.ranges, {AS: database.as_numbers, COUNTRY: database.countries})


def known_by_settings(
    networks: Sequence[LocalNetwork], others: Iterable[Network]
) -> list[KnownRanges]:
    """Return the numbers of names of networks (uint32), and the `PLACE` of addresses (uint8).

    Parameters
    ----------
    others
        Are inside as well, without a name.
    """
    named = [
        prefix_range(prefix, number)
        for number, network in enumerate(networks, 1)
        for prefix in network.prefixes
    ]
    values = {
        kind: np.array([0, *(name_number(getattr(n, kind)) for n in networks)], np.uint32)
        for kind in KINDS
    }
    inside = (prefix_range(prefix, INSIDE) for prefix in chain(_prefixes(networks), others))
    places = flatten([*inside, AddressRange(0, 0, NOWHERE)])
    return [
        KnownRanges(flatten(named), values),
        KnownRanges(places, {PLACE: np.array([OUTSIDE, INSIDE, NOWHERE], np.uint8)}),
    ]


def _prefixes(networks: Sequence[LocalNetwork]) -> Iterator[Network]:
    return chain.from_iterable(network.prefixes for network in networks)


def prefix_range(prefix: Network, number: int) -> AddressRange:
    """Return the addresses of a prefix, with a number for what is known of them."""
    base = V4_MAPPED if prefix.version == 4 else 0
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    return AddressRange(base | first, base | last, number)
