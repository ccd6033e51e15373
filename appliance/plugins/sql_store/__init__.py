"""The SQL store: roll-ups of flows and the exporters, in SQLite or MySQL.

`store` is the whole; `loading` the way in, `questions` and `largest` the ways out. All SQL of the
appliance is in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.hookspecs import hookimpl
from appliance.plugins.sql_store.configuration import SETTINGS
from appliance.settings import Setting, Settings

if TYPE_CHECKING:
    from appliance.contracts import StoreFactory
    from appliance.plugins.sql_store.store import SqlStore


def open_store(url: str, settings: Settings) -> SqlStore:
    """Return the store at a URL; nothing is opened before it is used."""
    from appliance.plugins.sql_store.store import SqlStore

    return SqlStore(url, settings)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add where the databases are and what they keep."""
    return SETTINGS


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance rebuild`."""
    from appliance.plugins.sql_store.commands import rebuild

    return [rebuild]


@hookimpl
def register_stores() -> dict[str, StoreFactory]:
    """Open `sqlite:` and `mysql:` URLs."""
    return {"sqlite": open_store, "mysql": open_store}
