"""Roll-ups of flows in SQLite or MySQL, with the exporters beside them: the default `FlowStore`.

`store` is the whole; `loading` the way in, `questions` and `largest` the ways out. Where another
database answers (`search.source`), `source_store` stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.hookspecs import hookimpl
from appliance.plugins.rollups.configuration import SETTINGS
from appliance.settings.file import Setting, Settings
from appliance.sql import SCHEMES

if TYPE_CHECKING:
    from appliance.contracts import BackupPart, StoreFactory
    from appliance.plugins.rollups.store import SqlStore


def open_store(url: str, settings: Settings) -> SqlStore:
    """Return the store at a URL; nothing is opened before it is used."""
    from appliance.plugins.rollups.source_store import SourceStore
    from appliance.plugins.rollups.store import SqlStore
    from appliance.query.sources import query_source

    source = query_source(settings)
    return SqlStore(url, settings) if source is None else SourceStore(url, settings, source)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add how long roll-ups are kept, and how many names."""
    return SETTINGS


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance rebuild`."""
    from appliance.plugins.rollups.commands import rebuild

    return [rebuild]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save the roll-ups, and the appliance database for the names of exporters."""
    from appliance.sql.copies import database_backups

    return database_backups(settings)


@hookimpl
def register_stores() -> dict[str, StoreFactory]:
    """Open `sqlite:` and `mysql:` URLs."""
    return dict.fromkeys(SCHEMES, open_store)
