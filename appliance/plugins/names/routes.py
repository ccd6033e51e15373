"""`/api/v1/names`: what is configured to name addresses, and the name of one by the DNS."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from appliance import RequestError, Settings
from appliance.plugins.names.reverse_names import ALL, INSIDE, STATES, ReverseNames
from appliance.settings.own_networks import LocalNetwork, inside_prefixes
from appliance.settings.types import Address
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import Query

TAG = "Names"
PATH = "/api/v1/names"
REVERSE_PATH = f"{PATH}/reverse"

EXAMPLE = {
    "as_database": True,
    "country_database": False,
    "networks": [
        {"name": "office", "prefixes": ["192.0.2.0/24"], "site": "Vienna", "role": "users"},
    ],
    "reverse": "inside",
}
REVERSE_EXAMPLE = {
    "address": "192.0.2.1",
    "state": "named",
    "name": OrNull("host.example.com"),
}
_ADDRESS = {
    "name": "address",
    "in": "query",
    "required": True,
    "schema": {"type": "string", "examples": ["192.0.2.1"]},
    "description": "IPv4 or IPv6.",
}
SCHEMA = operation("What is configured to name addresses", EXAMPLE, tag=TAG)
REVERSE_SCHEMA = {
    **operation("The name of an address by the DNS", REVERSE_EXAMPLE, tag=TAG),
    "parameters": [_ADDRESS],
    "description": f"`state` is one of {', '.join(STATES)}. Of `pending` ask again.",
}
PATIENCE_SECONDS = 0.2
"""So long an answer of the DNS is waited for; whoever asks again later gets it."""


def configured_names(settings: Settings) -> dict[str, Any]:
    """Return which databases are set, and the networks."""
    return {
        "as_database": settings["names.as_database"] is not None,
        "country_database": settings["names.country_database"] is not None,
        "networks": [_network(network) for network in settings["networks"]],
        "reverse": settings["names.reverse"],
    }


def reverse_name_route(names: ReverseNames) -> Callable[[Query], dict[str, Any]]:
    """Return the handler of `GET /api/v1/names/reverse`."""

    def reverse_name(query: Query) -> dict[str, Any]:
        address = _address(query.text("address") or "")
        known = names.name(address, PATIENCE_SECONDS)
        return {"address": str(address), "state": known.state, "name": known.name}

    return reverse_name


def _address(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    # A zone (RFC 4007) means something on one machine only.
    if address is None or "%" in text:
        raise RequestError(400, "address: expected an IPv4 or IPv6 address")
    return getattr(address, "ipv4_mapped", None) or address


def reverse_names_of(settings: Settings) -> ReverseNames:
    """Return what looks names up, for the addresses that the settings allow."""
    allowed = settings["names.reverse"]
    inside = inside_prefixes(settings)

    def asks_for(address: Address) -> bool:
        is_inside = any(address in prefix for prefix in inside)
        return allowed == ALL or (allowed == INSIDE and is_inside)

    return ReverseNames(asks_for, settings["names.resolvers"])


def _network(network: LocalNetwork) -> dict[str, Any]:
    return {
        "name": network.network,
        "prefixes": [str(prefix) for prefix in network.prefixes],
        "site": network.site,
        "role": network.role,
    }
