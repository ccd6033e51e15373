"""Settings that name targets: addresses, or mappings with `to` that say more.

What an address may be, and what else a mapping has, is said by who has the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar

from appliance.settings.raw_values import list_items, mapping_pairs, scalar_text, unknown
from appliance.settings.types import UnfitSettingError


class Target(Protocol):
    """What has an address."""

    @property
    def to(self) -> object:
        """Where it is; printed in problems."""
        ...


T = TypeVar("T", bound=Target)


def parse_targets(raw: object, most: int, parse_one: Callable[[object], T]) -> tuple[T, ...]:
    """Return the targets of a setting: one, or a list.

    Parameters
    ----------
    parse_one
        Returns the target of an address or mapping.

    Raises
    ------
    UnfitSettingError
        One is there twice, or there are too many.
    """
    items = [raw] if isinstance(raw, Mapping) else list_items(raw)
    targets = tuple(parse_one(item) for item in items)
    if len(targets) > most:
        raise UnfitSettingError(f"expected up to {most} targets, found {len(targets)}")
    addresses = [target.to for target in targets]
    for address in addresses:
        if addresses.count(address) > 1:
            raise UnfitSettingError(f"{address}: is there twice")
    return targets


def target_values(item: object, keys: Collection[str], longest: int) -> tuple[str, dict[str, Any]]:
    """Return the address of a target, cut to a length, and all that is said of it by key.

    Raises
    ------
    UnfitSettingError
        A key is unknown.
    ValueError
        The address is no text.
    """
    values = dict(mapping_pairs(item)) if isinstance(item, Mapping) else {"to": item}
    where = scalar_text(values.get("to", ""))[:longest]
    for key in values:
        if key not in keys:
            raise UnfitSettingError(f"{where}: {key}: {unknown('key', key, keys)}")
    return where, values
