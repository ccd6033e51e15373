"""The SQL store: roll-ups of flows, exporters and accounts, in SQLite or MySQL.

`store` is the whole of flows; `loading` the way in, `questions` and `largest` the ways out.
`accounts` stands beside it. All SQL of the appliance is in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.errors import SettingsError
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.hookspecs import hookimpl
from appliance.nfacctd.active_config import active_config
from appliance.plugins.sql_store.configuration import SETTINGS
from appliance.settings import BUILT_IN, Setting, Settings

if TYPE_CHECKING:
    from appliance.contracts import (
        AccountStore,
        BackupPart,
        FeedOrder,
        FlowFeed,
        LogLoader,
        StoreFactory,
    )
    from appliance.plugins.sql_store.store import SqlStore

SCHEMES = ("sqlite", "mysql")


def open_store(url: str, settings: Settings) -> SqlStore:
    """Return the store at a URL; nothing is opened before it is used."""
    from appliance.plugins.sql_store.store import SqlStore

    return SqlStore(url, settings)


@hookimpl
def account_store_from_url(url: str, settings: Settings) -> AccountStore | None:
    """Keep accounts at `sqlite:` and `mysql:` URLs."""
    from appliance.plugins.sql_store.accounts import SqlAccounts
    from appliance.plugins.sql_store.appliance_database import accounts_database

    if url.partition(":")[0] not in SCHEMES:
        return None
    return SqlAccounts(accounts_database(url, settings["data_directory"]))


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add where the databases are and what they keep."""
    return SETTINGS


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance rebuild` and `appliance make-tables`."""
    from appliance.plugins.sql_store.commands import rebuild
    from appliance.plugins.sql_store.pmacct.making import make_tables

    return [rebuild, make_tables]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save both databases."""
    from appliance.plugins.sql_store.copies import database_backups

    return database_backups(settings)


@hookimpl
def register_stores() -> dict[str, StoreFactory]:
    """Open `sqlite:` and `mysql:` URLs."""
    return dict.fromkeys(SCHEMES, open_store)


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Fill the tables that a collector configuration asks for."""
    try:
        config = active_config(settings)
    except SettingsError:
        # The collector says so when it starts; what looks after it goes on.
        return []
    # Of the engine nfacctd, they are nfacctd's to fill.
    if config is None or not config.filled_plugins or settings["collector.engine"] != BUILT_IN:
        return []
    from appliance.plugins.sql_store.pmacct.loader import PmacctLoader

    return [PmacctLoader(config, settings["data_directory"] / FLOW_LOG_FOLDER)]


@hookimpl
def flow_feed_from_order(order: FeedOrder, settings: Settings) -> FlowFeed | None:
    """Read tables of pmacct at `sqlite:` and `mysql:` URLs."""
    if order.url and order.url.partition(":")[0] not in SCHEMES:
        return None
    from appliance.plugins.sql_store.pmacct.feed_plan import feed_of

    zone = settings["flows.pmacct_time_zone"]
    return feed_of(order, active_config(settings), settings["data_directory"], zone)
