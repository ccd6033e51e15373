"""The enricher: AS, country and network of both sides of a flow, and its way between networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from appliance import FlowBatch
from appliance.flows import AnyArray, constant, is_constant
from appliance.plugins.names.columns import TRAFFIC_DIRECTION
from appliance.plugins.names.known_ranges import AS, INSIDE, NOWHERE, OUTSIDE, PLACE
from appliance.plugins.names.networks import INBOUND, INTERNAL, OUTBOUND, THROUGH
from appliance.plugins.names.table import AddressTable, DatabaseFollower

_AS_COLUMNS = {
    "source": "bgp_source_as_number",
    "destination": "bgp_destination_as_number",
}

AS_TRANS = 23456
_PRIVATE_AS = ((64512, 65535), (4_200_000_000, 4_294_967_295))
"""For private use (RFC 6996), the last of each reserved (RFC 7300): they say nothing of others."""

_DIRECTIONS = np.zeros((NOWHERE + 1, NOWHERE + 1), np.uint8)
"""By the places of source and destination; 0 where one has no address."""
_DIRECTIONS[OUTSIDE, OUTSIDE], _DIRECTIONS[OUTSIDE, INSIDE] = THROUGH, INBOUND
_DIRECTIONS[INSIDE, OUTSIDE], _DIRECTIONS[INSIDE, INSIDE] = OUTBOUND, INTERNAL


class AddressEnricher:
    """Adds countries and networks, and AS where the exporter says none, or a private one."""

    def __init__(self, follower: DatabaseFollower) -> None:
        self.follower = follower

    def __call__(self, batch: FlowBatch) -> FlowBatch | None:
        """Return the batch with more columns; None where nothing is known."""
        if batch.options or not batch.n_records:
            return None
        table = self.follower.follow()
        added: dict[str, AnyArray] = {}
        places = []
        for side in _AS_COLUMNS:
            if table is not None and f"{side}_address_lo" in batch.columns:
                known = _known(table, batch, side)
                places += [known.pop(PLACE)] if PLACE in known else []
                added |= known
        if len(places) == len(_AS_COLUMNS):
            added[TRAFFIC_DIRECTION] = _direction(*places)
        return replace(batch, columns=batch.columns | added) if added else None


def _known(table: AddressTable, batch: FlowBatch, side: str) -> dict[str, AnyArray]:
    """Return the columns of one side, and its `PLACE`."""
    numbers = table.index.numbers(
        batch.column(f"{side}_address_hi"), batch.column(f"{side}_address_lo")
    )
    columns = {}
    for name, values in table.values.items():
        known = _take(values, numbers)
        if name == AS:
            column = _AS_COLUMNS[side]
            columns[column] = _fill(batch.columns.get(column), known)
        else:
            columns[PLACE if name == PLACE else f"{side}_{name}"] = known
    return columns


def _direction(source: AnyArray, destination: AnyArray) -> AnyArray:
    if is_constant(source) and is_constant(destination):
        return constant(_DIRECTIONS[source[:1], destination[:1]], len(source))
    return _DIRECTIONS.reshape(-1).take(source * np.uint8(len(_DIRECTIONS)) + destination)


def _take(values: AnyArray, numbers: AnyArray) -> AnyArray:
    if is_constant(numbers):
        return constant(values[numbers[:1]], len(numbers))
    # Numbers are of the table itself, so that none needs to be refused.
    return values.take(numbers, mode="clip")


def _fill(own: AnyArray | None, known: AnyArray) -> AnyArray:
    """Return what exporters say, and what is known where they say nothing."""
    if own is None or not own.any():
        return known
    is_filled = says_nothing(own) & (known != 0)
    # What np.where does, in a sixth of its time where both are mixed.
    filled: AnyArray = own ^ ((own ^ known) * is_filled)
    return filled


def says_nothing(as_numbers: AnyArray) -> Any:
    """Tell of each AS number whether it is none, private, or a stand-in (RFC 6793 section 9)."""
    is_nothing = (as_numbers == 0) | (as_numbers == AS_TRANS)
    for first, last in _PRIVATE_AS:
        # One comparison: numbers below the first wrap to high ones.
        is_nothing |= as_numbers - np.uint32(first) <= np.uint32(last - first)
    return is_nothing
