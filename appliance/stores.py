"""The way to the store of flows that a plugin opens (`appliance.contracts.stores`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.contracts import FlowStore, StoreFactory
from appliance.errors import SettingsError
from appliance.settings.file import Settings

DATABASE_SETTING = "flows.database"


def store_factory(
    factories: Mapping[str, StoreFactory], settings: Settings
) -> Callable[[], FlowStore] | None:
    """Return a function that opens the store that `flows.database` names; None: there is no store.

    Raises
    ------
    SettingsError
        It is configured, and no plugin opens URLs of that scheme.
    """
    url = str(settings[DATABASE_SETTING])
    scheme = url.partition(":")[0]
    if scheme not in factories:
        if not settings.is_changed(DATABASE_SETTING):
            return None
        known = ", ".join(f"{name}:" for name in factories) or "none, no plugin opens any"
        raise SettingsError(
            f"no plugin opens {scheme}: databases, expected {known}",
            file=settings.file,
            key=DATABASE_SETTING,
        )
    return lambda: factories[scheme](url, settings)
