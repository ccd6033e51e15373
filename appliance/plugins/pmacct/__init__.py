"""pmacct: its configuration and what that asks for, and nfacctd itself.

`configuration` reads the language of nfacctd, `maps` and `filters` the files and rules that it
names. `tables` makes rows of the flow log and writes them, as `printing` does to files. `feed`
reads tables that nfacctd fills, `engine` runs it. `management` is the published API's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.errors import SettingsError
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.hookspecs import hookimpl
from appliance.plugins.pmacct.checks import collector_findings, primitives_findings
from appliance.plugins.pmacct.configuration.active_config import active_config
from appliance.plugins.pmacct.configuration.config_file import CollectorConfigFile
from appliance.plugins.pmacct.engine.nfacctd_engine import NfacctdEngine, engine_findings
from appliance.plugins.pmacct.engine.templates_file import TemplatesFile
from appliance.plugins.pmacct.pmacct_settings import SETTINGS, TIME_ZONE
from appliance.settings.file import BUILT_IN, Setting, Settings
from appliance.sql import is_sql_url

if TYPE_CHECKING:
    from appliance.contracts import (
        Check,
        Engine,
        FeedOrder,
        FlowFeed,
        LogLoader,
        OverridingFile,
        Route,
        TemplateFile,
    )


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add the settings of the configuration, of its files, and of tables that are read."""
    return [*SETTINGS]


@hookimpl
def settings_overrides(settings: Settings) -> list[OverridingFile]:
    """Add the collector configuration."""
    return [CollectorConfigFile(settings)]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Look at the collector configuration, at what it names, and at what the engine needs."""
    return [
        lambda: collector_findings(settings),
        lambda: primitives_findings(settings),
        lambda: engine_findings(settings),
    ]


@hookimpl
def register_engines(settings: Settings) -> list[Engine]:
    """Add pmacct's own daemon."""
    return [NfacctdEngine(settings)]


@hookimpl
def register_template_files(settings: Settings) -> list[TemplateFile]:
    """Add nfacctd's file of templates, where one is named."""
    path = settings["collector.templates_file"]
    return [TemplatesFile(path)] if path is not None else []


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance make-tables`."""
    from appliance.plugins.pmacct.commands import make_tables

    return [make_tables]


@hookimpl
def register_routes() -> list[Route]:
    """Add what starts, stops and configures the collector, below `/api/v1/admin/collector`."""
    from appliance.plugins.pmacct.management import collector_routes

    return collector_routes()


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
    from appliance.plugins.pmacct.tables.loader import PmacctLoader

    return [PmacctLoader(config, settings["data_directory"] / FLOW_LOG_FOLDER)]


@hookimpl
def flow_feed_from_order(order: FeedOrder, settings: Settings) -> FlowFeed | None:
    """Read tables of pmacct at `sqlite:` and `mysql:` URLs."""
    if not is_sql_url(order.url):
        return None
    from appliance.plugins.pmacct.feed.feed_plan import feed_of_order

    return feed_of_order(order, settings["data_directory"], settings[TIME_ZONE])
