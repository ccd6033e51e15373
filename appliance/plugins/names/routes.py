"""`/api/v1/names`: what is configured to name addresses."""

from __future__ import annotations

from typing import Any

from appliance import Settings
from appliance.plugins.names.networks import LocalNetwork

TAG = "Names"
PATH = "/api/v1/names"

EXAMPLE = {
    "as_database": True,
    "country_database": False,
    "networks": [
        {"name": "office", "prefixes": ["192.0.2.0/24"], "site": "Vienna", "role": "users"},
    ],
}


def configured_names(settings: Settings) -> dict[str, Any]:
    """Return which databases are set, and the networks."""
    return {
        "as_database": settings["names.as_database"] is not None,
        "country_database": settings["names.country_database"] is not None,
        "networks": [_network(network) for network in settings["networks"]],
    }


def _network(network: LocalNetwork) -> dict[str, Any]:
    return {
        "name": network.network,
        "prefixes": [str(prefix) for prefix in network.prefixes],
        "site": network.site,
        "role": network.role,
    }
