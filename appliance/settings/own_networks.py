"""The setting `networks`: what the networks of the operator are called, where and what for.

A name is stored with flows as a number that is made of it, so that every collector has the same
one, and a name that comes back means the same.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from appliance.settings.raw_values import list_items, mapping_pairs, scalar_text, unknown
from appliance.settings.types import Network, UnfitSettingError

if TYPE_CHECKING:
    from appliance.settings.file import Settings

KEYS = ("name", "prefixes", "site", "role")
MAX_NAME = 64


class LocalNetwork(NamedTuple):
    """One network, by its name; site and role may be empty."""

    network: str
    prefixes: tuple[Network, ...]
    site: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class LocalNetworks:
    """The type of the setting."""

    expected: str = (
        "a list of networks such as"
        " {name: office, prefixes: [192.0.2.0/24], site: Vienna, role: users}"
    )

    def parse(self, raw: object, folder: Path) -> tuple[LocalNetwork, ...]:
        """Return the networks.

        Raises
        ------
        UnfitSettingError
            One lacks something, or has what another has.
        """
        networks = tuple(
            _network(number, dict(mapping_pairs(item)))
            for number, item in enumerate(list_items(raw), 1)
        )
        _refuse_repeated(
            (network.network, f"network {network.network}: is there twice") for network in networks
        )
        _refuse_repeated(
            (prefix, f"network {network.network}: {prefix} is there twice")
            for network in networks
            for prefix in network.prefixes
        )
        texts = {text for n in networks for text in (n.network, n.site, n.role) if text}
        _refuse_repeated(
            (name_number(text), f"{text}: has the number of another name, change one letter of it")
            for text in sorted(texts)
        )
        return networks


def _network(number: int, values: Mapping[str, object]) -> LocalNetwork:
    name = _text("name", values, f"network {number}")
    where = f"network {name or number}"
    for key in values:
        if key not in KEYS:
            raise UnfitSettingError(f"{where}: {key}: {unknown('key', key, KEYS)}")
    if not name:
        raise UnfitSettingError(f"{where}: has no name")
    prefixes = tuple(_prefix(scalar_text(p), where) for p in list_items(values.get("prefixes", "")))
    if not prefixes:
        raise UnfitSettingError(f"{where}: has no prefixes")
    return LocalNetwork(name, prefixes, _text("site", values, where), _text("role", values, where))


def _text(key: str, values: Mapping[str, object], where: str) -> str:
    text = scalar_text(values.get(key, "")).strip()
    if len(text) > MAX_NAME or not text.isprintable():
        raise UnfitSettingError(
            f"{where}: {key}: expected up to {MAX_NAME} characters in a line, found {text[:99]!r}"
        )
    return text


def _prefix(text: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        hint = f", did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        hint = ", such as 192.0.2.0/24"
    raise UnfitSettingError(f"{where}: expected a prefix, found {text[:99]!r}{hint}")


def _refuse_repeated(values: Iterable[tuple[object, str]]) -> None:
    earlier = set()
    for value, problem in values:
        if value in earlier:
            raise UnfitSettingError(problem)
        earlier.add(value)


def name_number(name: str) -> int:
    """Return the number that stands for a name with flows, 32 bits; of no name 0."""
    return (zlib.crc32(name.encode()) or 1) if name else 0


def inside_prefixes(settings: Settings) -> list[Network]:
    """Return the prefixes of the addresses that are inside, none within another."""
    named = (prefix for network in settings["networks"] for prefix in network.prefixes)
    prefixes = [*settings["local_networks"], *named]
    return [
        *ipaddress.collapse_addresses(p for p in prefixes if p.version == 4),
        *ipaddress.collapse_addresses(p for p in prefixes if p.version == 6),
    ]
