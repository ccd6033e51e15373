"""Addresses in flows replaced before anything is written: Crypto-PAn, which keeps prefixes.

`crypto_pan` is the algorithm, `address_map` applies it to networks and remembers, `redacting` finds
the addresses of a batch. Off until `anonymise.networks` names a network.
"""

from __future__ import annotations

from typing import Any

import click

from appliance import Check, Redactor, Setting, Settings, hookimpl
from appliance.plugins.anonymise.anonymise_settings import NETWORKS, SETTINGS


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings."""
    return SETTINGS


@hookimpl
def register_redactors(settings: Settings) -> list[Redactor]:
    """Return what replaces addresses, where there is a network."""
    if not settings[NETWORKS]:
        return []
    from appliance.plugins.anonymise.address_map import address_map_of
    from appliance.plugins.anonymise.redacting import AddressRedactor

    return [AddressRedactor(address_map_of(settings))]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return lines on the key and on what else could tell addresses."""
    if not settings[NETWORKS]:
        return []
    from appliance.plugins.anonymise.checks import AnonymisingCheck

    return [AnonymisingCheck(settings).findings]


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance anonymise`."""
    from appliance.plugins.anonymise.commands import anonymise

    return [anonymise]
