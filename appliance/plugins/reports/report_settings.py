"""Whose 95th percentile is in reports, and how many of them are kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from appliance import Integer, Setting
from appliance.settings.raw_values import list_items, mapping_pairs, scalar_text
from appliance.settings.types import UnfitSettingError

MAX_CUSTOMERS = 200


class Customer(NamedTuple):
    """Filters of what a customer receives and sends."""

    ingress: str
    egress: str


@dataclass(frozen=True, slots=True)
class Customers:
    """Customers by name: networks, or a filter for each direction."""

    expected: str = (
        "customers by name with networks or filters, such as {Acme: [192.0.2.0/24], Other: {in:"
        " 'out if 3', out: 'in if 3'}}"
    )

    def parse(self, raw: object, folder: Path) -> dict[str, Customer]:
        """Return the customers, in the order of the file."""
        customers = {name: _customer(value) for name, value in mapping_pairs(raw)}
        if len(customers) > MAX_CUSTOMERS:
            raise UnfitSettingError(f"at most {MAX_CUSTOMERS} customers")
        return customers


def _customer(value: object) -> Customer:
    if isinstance(value, Mapping):
        filters = {key: scalar_text(text) for key, text in mapping_pairs(value)}
        if set(filters) != {"in", "out"}:
            raise ValueError(value)
        return Customer(filters["in"], filters["out"])
    items = list_items(value) if isinstance(value, list | tuple) else [value]
    networks = [ipaddress.ip_network(scalar_text(item)) for item in items]
    if not networks:
        raise ValueError(value)
    return Customer(
        *(" or ".join(f"{side} net {network}" for network in networks) for side in ("dst", "src"))
    )


CUSTOMERS = Setting(
    "reports.customers",
    Customers(),
    {},
    "Whose 95th percentile is in reports: networks, or filters of what they receive (in) and send"
    " (out).",
)
KEPT = Setting(
    "reports.kept",
    Integer(1, 3660),
    400,
    "So many reports of each named one are kept, and can be shown when the flows are gone.",
)
REPORT_SETTINGS: list[Setting[object]] = [CUSTOMERS, KEPT]
