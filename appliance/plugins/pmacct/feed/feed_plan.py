"""Which feed a collector configuration, or an order on the command line, asks for."""

from __future__ import annotations

import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.contracts import FeedOrder
from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.overrides import database_url
from appliance.plugins.pmacct.feed.feed_names import ApplicationNames
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.plugins.pmacct.feed.table_feed import ELEMENTS, FeedPlan, TableFeed
from appliance.plugins.pmacct.tables.plan import TablePlan, table_plans
from appliance.plugins.pmacct.tables.sql_tables import is_dynamic

_WRITING_SECONDS = 10.0
_NAME, _DESCRIPTION, _IDENTIFIER = 96, 94, 95


def feed_of_order(order: FeedOrder, folder: Path, zone: str = "") -> TableFeed:
    """Return the feed of a table that is named on the command line; nothing is opened yet.

    Parameters
    ----------
    folder
        Where relative SQLite files are.
    zone
        The time zone of the stamps by its IANA name; empty: what the table's own place says.

    Raises
    ------
    SettingsError
        There is no such zone.
    """
    return TableFeed(SourceTable(order.url, order.table, folder), FeedPlan(zone=_zone(zone)))


def feed_of_config(config: EffectiveConfig | None, zone: str = "") -> TableFeed:
    """Return the feed of the first table with bins that a collector configuration fills.

    Parameters
    ----------
    config
        The collector configuration in force.
    zone
        As for `feed_of_order`.

    Raises
    ------
    SettingsError
        The configuration fills no table that can be read.
    """
    if config is None:
        raise SettingsError(
            "the engine nfacctd needs a collector configuration", key="collector.config"
        )
    return _feed(config, _zone(zone))


def _feed(config: EffectiveConfig, zone: datetime.tzinfo | None) -> TableFeed:
    plans = [plan for plan in table_plans(config)[0] if plan.database is not None]
    timed = next((plan for plan in plans if plan.history is not None), None)
    if timed is None:
        raise SettingsError(
            "no table has sql_history: without it nobody can tell when flows were counted",
            file=config.path,
        )
    if is_dynamic(timed.table):
        raise SettingsError(
            f"table {timed.table}: a feed needs one table, without % or $ in its name",
            file=config.path,
        )
    seconds = timed.history.seconds if timed.history is not None else 0
    plan = FeedPlan(
        roles=_roles(timed),
        bin_seconds=seconds,
        margin_seconds=timed.refresh_seconds + timed.startup_delay + _WRITING_SECONDS,
        zone=zone or (datetime.UTC if timed.times.utc and not timed.times.by_server else None),
    )
    return TableFeed(_source(config, timed), plan, _names(config, plans))


def _zone(name: str) -> datetime.tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise SettingsError(
            f"expected a time zone, such as Europe/Berlin or UTC, not {name[:40]}",
            key="flows.pmacct_time_zone",
        ) from None


def _roles(plan: TablePlan) -> dict[str, str]:
    """Return what the columns of custom primitives hold."""
    return {
        column.name: ELEMENTS[column.custom.element]
        for column in plan.columns
        if column.custom is not None
        and column.custom.enterprise == 0
        and column.custom.element in ELEMENTS
    }


def _names(config: EffectiveConfig, plans: list[TablePlan]) -> ApplicationNames | None:
    """Return the table with names of applications, where one is filled."""
    for plan in plans:
        columns = {
            column.custom.element: column.name
            for column in plan.columns
            if column.custom is not None and column.custom.enterprise == 0
        }
        if _NAME in columns and _IDENTIFIER in columns:
            wanted = [columns[_IDENTIFIER], columns[_NAME]]
            wanted += [columns[_DESCRIPTION]] if _DESCRIPTION in columns else []
            return ApplicationNames(_source(config, plan), tuple(wanted))
    return None


def _source(config: EffectiveConfig, plan: TablePlan) -> SourceTable:
    plugin = next(p for p in config.sql_plugins if p.name == plan.plugin)
    return SourceTable(database_url(config, plugin), plan.table, config.path.parent)
