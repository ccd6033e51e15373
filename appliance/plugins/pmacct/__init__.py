"""The tables of pmacct: what the plugins `mysql`, `sqlite3` and `print` of a configuration ask for.

`plan` says what a table holds, `values` and `aggregation` make its rows of the flow log, `tables`
and `destination` write them, and `loader` follows the log. `feed` reads tables that nfacctd fills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.errors import SettingsError
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.hookspecs import hookimpl
from appliance.nfacctd.active_config import active_config
from appliance.nfacctd.checks import collector_findings, primitives_findings
from appliance.nfacctd.config_file import CollectorConfigFile
from appliance.nfacctd.templates_file import TemplatesFile
from appliance.plugins.pmacct.configuration import TIME_ZONE
from appliance.plugins.pmacct.nfacctd_engine import NfacctdEngine, engine_findings
from appliance.settings import BUILT_IN, Setting, Settings
from appliance.sql import is_sql_url

if TYPE_CHECKING:
    from appliance.contracts import (
        Check,
        Engine,
        FeedOrder,
        FlowFeed,
        LogLoader,
        OverridingFile,
        TemplateFile,
    )


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add the time zone of tables that are read."""
    return [TIME_ZONE]


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
    from appliance.plugins.pmacct.loader import PmacctLoader

    return [PmacctLoader(config, settings["data_directory"] / FLOW_LOG_FOLDER)]


@hookimpl
def flow_feed_from_order(order: FeedOrder, settings: Settings) -> FlowFeed | None:
    """Read tables of pmacct at `sqlite:` and `mysql:` URLs."""
    if not is_sql_url(order.url):
        return None
    from appliance.plugins.pmacct.feed_plan import feed_of_order

    return feed_of_order(order, settings["data_directory"], settings[TIME_ZONE])
