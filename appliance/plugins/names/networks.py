"""The setting `networks`: what the networks of the operator are called, where and what for.

A name is stored with flows as a number that is made of it, so that every collector has the same
one, and a name that comes back means the same.
"""

from __future__ import annotations

import ipaddress
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from appliance.atomic_files import atomic_write
from appliance.settings.file import unknown
from appliance.settings.raw_values import list_items, mapping_pairs, scalar_text
from appliance.settings.types import Network, UnfitSettingError

KINDS = ("network", "site", "role")
"""What names are of; columns are called `source_` and `destination_` with these."""

KEYS = ("name", "prefixes", "site", "role")
MAX_NAME = 64
MAX_KEPT_NAMES = 100_000
KEPT_FILE = "networks.json"

INBOUND, OUTBOUND, THROUGH, INTERNAL = 1, 2, 3, 4
DIRECTIONS = {INBOUND: "inbound", OUTBOUND: "outbound", THROUGH: "through", INTERNAL: "internal"}
"""Values of the column `traffic_direction`."""


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
    # Filters have names in double quotes, and no way to say one.
    if len(text) > MAX_NAME or not text.isprintable() or '"' in text:
        raise UnfitSettingError(
            f"{where}: {key}: expected up to {MAX_NAME} characters in a line, no double quotes,"
            f" found {text[:99]!r}"
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


def current_names(networks: Sequence[LocalNetwork]) -> dict[str, set[str]]:
    """Return the names in the setting, by what they are of."""
    return {kind: {getattr(network, kind) for network in networks} - {""} for kind in KINDS}


def read_kept_names(folder: Path) -> dict[str, set[str]]:
    """Return the names that flows were stored with, as `current_names`; none where it fails."""
    kept: object = {}
    with suppress(OSError, ValueError, RecursionError):
        kept = json.loads((folder / KEPT_FILE).read_bytes())
    texts = kept if isinstance(kept, dict) else {}
    return {
        kind: {t for t in _items(texts.get(kind)) if isinstance(t, str) and t.isprintable()}
        for kind in KINDS
    }


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def keep_names(networks: Sequence[LocalNetwork], folder: Path) -> None:
    """Keep the names of the setting beside those of before, for flows that have them."""
    before, current = read_kept_names(folder), current_names(networks)
    kept = {kind: before[kind] | current[kind] for kind in KINDS}
    if kept == before or any(len(names) > MAX_KEPT_NAMES for names in kept.values()):
        return
    with suppress(OSError):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with atomic_write(folder / KEPT_FILE, 0o640) as file:
            file.write(json.dumps({kind: sorted(names) for kind, names in kept.items()}).encode())


class NetworkNames:
    """Names for the numbers in columns of networks, sites or roles: of the setting, and of before.

    Parameters
    ----------
    folder
        Where `keep_names` keeps them.
    """

    def __init__(self, networks: Sequence[LocalNetwork], folder: Path, kind: str) -> None:
        self._current = {name_number(text): text for text in current_names(networks)[kind]}
        self._folder, self._kind = folder, kind

    def names(self) -> dict[int, str]:
        """Return the names by number."""
        kept = read_kept_names(self._folder)[self._kind]
        return {name_number(text): text for text in kept} | self._current
