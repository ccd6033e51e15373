"""The settings of anonymisation: whose addresses are replaced, and where the key is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import Settings
from appliance.settings.file import Setting
from appliance.settings.raw_values import list_items, scalar_text
from appliance.settings.types import Network, OptionalFilePath

ALL, INSIDE = "all", "inside"
EVERYTHING: tuple[Network, ...] = (
    ipaddress.IPv4Network("0.0.0.0/0"),
    ipaddress.IPv6Network("::/0"),
)


@dataclass(frozen=True, slots=True)
class AnonymisedNetworks:
    """Networks, or words that stand for some."""

    expected: str = "all, inside, or a list of networks such as 10.0.0.0/8 or 2001:db8::/32"

    def parse(self, raw: object, folder: Path) -> tuple[Network | str, ...]:
        """Return networks and words, as they are written."""
        texts = [scalar_text(item) for item in list_items(raw)]
        return tuple(
            text if text in (ALL, INSIDE) else ipaddress.ip_network(text) for text in texts
        )


def networks_of(settings: Settings) -> list[Network]:
    """Return the networks whose addresses are replaced, words resolved, none within another.

    One within another has no meaning of its own: were its prefix kept and that of the larger one
    not, two addresses could become the same. Adjacent ones are not joined, each keeps its own.
    """
    networks: list[Network] = []
    for item in settings[NETWORKS]:
        if item == ALL:
            networks += EVERYTHING
        elif item == INSIDE:
            networks += settings["local_networks"]
            networks += [prefix for named in settings["networks"] for prefix in named.prefixes]
        elif not isinstance(item, str):
            networks.append(item)
    return outermost(networks)


def outermost(networks: Iterable[Network]) -> list[Network]:
    """Return the networks that are not within another one, each once."""
    kept: list[Network] = []
    for network in sorted(set(networks), key=_size_and_place):
        if not any(_is_within(network, larger) for larger in kept):
            kept.append(network)
    return kept


def _size_and_place(network: Network) -> tuple[int, int, int]:
    return network.prefixlen, network.version, int(network.network_address)


def _is_within(network: Network, larger: Network) -> bool:
    return network.version == larger.version and int(network.network_address) & int(
        larger.netmask
    ) == int(larger.network_address)


NETWORKS = Setting(
    "anonymise.networks",
    AnonymisedNetworks(),
    [],
    "Whose addresses are replaced in flows before anything is written (Crypto-PAn): inside"
    " (networks and local_networks), networks, or all. The bits of a network's prefix stay, so that"
    " an address stays in its network; all keeps none. What was written before stays as it is.",
)
KEY_FILE = Setting(
    "anonymise.key_file",
    OptionalFilePath(),
    "",
    "The key, made by `appliance anonymise key FILE`; who has it can turn addresses back. Keep it"
    " off this machine as well: another key gives other addresses.",
)
SETTINGS: list[Setting[Any]] = [NETWORKS, KEY_FILE]
