"""Names of the operator's networks, sites and roles: for columns, and kept for flows of before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from appliance.atomic_files import atomic_write
from appliance.settings.own_networks import LocalNetwork, name_number

KINDS = ("network", "site", "role")
"""What names are of; columns are called `source_` and `destination_` with these."""

MAX_KEPT_NAMES = 100_000
KEPT_FILE = "networks.json"

INBOUND, OUTBOUND, THROUGH, INTERNAL = 1, 2, 3, 4
DIRECTIONS = {INBOUND: "inbound", OUTBOUND: "outbound", THROUGH: "through", INTERNAL: "internal"}
"""Values of the column `traffic_direction`."""


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
