"""Flows in ClickHouse, for more than one machine holds: several collectors write into one cluster.

`writer` follows the flow log, `source` answers questions, `http` talks to servers, `schema` says
which tables there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance import (
    Check,
    LogLoader,
    MetricsCollector,
    QuerySource,
    QuerySourceFactory,
    Setting,
    Settings,
    SettingsError,
    TemplateFile,
    hookimpl,
)
from appliance.plugins.clickhouse.configuration import (
    ADDRESSES,
    CLUSTER,
    DATABASE,
    DAYS,
    SAMPLE_DAYS,
    SETTINGS,
    SUM_DAYS,
    collector_name,
    servers_of,
)

if TYPE_CHECKING:
    from appliance.plugins.clickhouse.cluster import Cluster
    from appliance.plugins.clickhouse.writer import ClickHouseLoader

FOLDER = "clickhouse"
"""In the data directory: what the writer keeps beside the flow log."""


def cluster_of(settings: Settings) -> Cluster:
    """Return the servers that are configured; nothing is opened.

    Raises
    ------
    SettingsError
        Several servers, but no cluster.
    """
    from appliance.plugins.clickhouse.cluster import Cluster
    from appliance.plugins.clickhouse.schema import Layout

    if len(settings[ADDRESSES]) > 1 and not settings[CLUSTER]:
        problem = "several clickhouse.addresses need the name of their cluster"
        raise SettingsError(problem, file=settings.file, key=CLUSTER.name)
    return Cluster(servers_of(settings), Layout(settings[DATABASE], settings[CLUSTER]))


def loader_of(settings: Settings) -> ClickHouseLoader:
    """Return what writes the flow log to the servers that are configured; nothing is opened."""
    from appliance.flowlog import FLOW_LOG_FOLDER
    from appliance.plugins.clickhouse.retention import Kept
    from appliance.plugins.clickhouse.writer import ClickHouseLoader

    return ClickHouseLoader(
        cluster_of(settings),
        collector_name(settings),
        Path(settings["data_directory"]) / FLOW_LOG_FOLDER,
        Kept(
            settings[DAYS],
            settings[SUM_DAYS],
            settings[SAMPLE_DAYS],
            settings["samples.hour_rows"],
            settings["samples.day_rows"],
        ),
    )


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings."""
    return SETTINGS


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Return the writer, where there is a server."""
    return [loader_of(settings)] if settings[ADDRESSES] else []


@hookimpl
def register_template_files(settings: Settings) -> list[TemplateFile]:
    """Return the templates that collectors share by ClickHouse, where there is a server."""
    if not settings[ADDRESSES]:
        return []
    from appliance.plugins.clickhouse.shared_knowledge import SharedKnowledge

    return [SharedKnowledge(Path(settings["data_directory"]) / FOLDER)]


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance clickhouse`."""
    from appliance.plugins.clickhouse.commands import clickhouse

    return [clickhouse]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return lines on the servers, where there are some."""
    if not settings[ADDRESSES]:
        return []
    from appliance.plugins.clickhouse.checks import ClickHouseCheck

    folder = Path(settings["data_directory"]) / FOLDER
    return [ClickHouseCheck(cluster_of(settings), collector_name(settings), folder).findings]


@hookimpl
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return what the writer counts, where there is a server."""
    if not settings[ADDRESSES]:
        return []
    from appliance.plugins.clickhouse.metrics import WriterMetrics

    return [WriterMetrics(Path(settings["data_directory"]) / FOLDER)]


def query_source(settings: Settings) -> QuerySource:
    """Return what answers questions from the servers that are configured.

    Raises
    ------
    SettingsError
        There are none.
    """
    from appliance.plugins.clickhouse.schema import Layout
    from appliance.plugins.clickhouse.source import ClickHouseSource

    if not settings[ADDRESSES]:
        problem = "search.source is clickhouse, so that a server is needed"
        raise SettingsError(problem, file=settings.file, key=ADDRESSES.name)
    layout = Layout(settings[DATABASE], settings[CLUSTER])
    return ClickHouseSource(servers_of(settings), layout)


@hookimpl
def register_query_sources(settings: Settings) -> dict[str, QuerySourceFactory]:
    """Return `clickhouse`."""
    return {"clickhouse": query_source}
