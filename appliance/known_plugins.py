"""Which plugins there are, without importing one: ours in their order, and those installed beside.

The commands of ours stand here, too, so that `appliance --help` and completion need not import
every plugin to learn them. What a plugin registers is the truth: a test compares both.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import NamedTuple

from appliance.errors import ApplianceError, StartupError

GROUP = "appliance.plugins"

BUILT_IN_PLUGINS: tuple[str, ...] = (
    "appliance.plugins.netflow_v1",
    "appliance.plugins.netflow_v5",
    "appliance.plugins.netflow_v7",
    "appliance.plugins.netflow_v9",
    "appliance.plugins.ipfix",
    "appliance.plugins.sflow",
    "appliance.plugins.names",
    "appliance.plugins.alerts",
    "appliance.plugins.reports",
    "appliance.plugins.rollups",
    "appliance.plugins.clickhouse",
    "appliance.plugins.kafka",
    "appliance.plugins.replicate",
    "appliance.plugins.stream",
    "appliance.plugins.anonymise",
    "appliance.plugins.sql_accounts",
    "appliance.plugins.pmacct",
    "appliance.plugins.auth",
    "appliance.plugins.users",
    "appliance.plugins.oidc",
    "appliance.plugins.analytics",
    "appliance.plugins.devices",
    "appliance.plugins.explore",
    "appliance.plugins.captures",
    "appliance.plugins.metrics",
    "appliance.plugins.host",
    "appliance.plugins.console",
)

RENAMED_PLUGINS = {
    "sql_store": "rollups, sql_accounts and pmacct",
    "collector_control": "part of pmacct",
}
"""What became of built-ins that configurations of older versions may name."""


class BuiltInCommand(NamedTuple):
    """Where the code of a built-in plugin's command is, and its line in `appliance --help`.

    Attributes
    ----------
    module
        Below that of the plugin.
    attribute
        The name of the click command in it.
    """

    plugin: str
    module: str
    attribute: str
    help: str


BUILT_IN_COMMANDS: Mapping[str, BuiltInCommand] = MappingProxyType(
    {
        "interfaces": BuiltInCommand(
            "names",
            "snmp.commands",
            "interfaces",
            "Compare flows of interfaces with their counters.",
        ),
        "alerts": BuiltInCommand(
            "alerts", "commands", "alerts", "Show what is the matter, and say when that is so."
        ),
        "report": BuiltInCommand(
            "reports",
            "commands",
            "report",
            "Report on a day, week or month, now or regularly by mail.",
        ),
        "rebuild": BuiltInCommand(
            "rollups", "commands", "rebuild", "Fill the flow database again from the flow log."
        ),
        "clickhouse": BuiltInCommand(
            "clickhouse",
            "commands",
            "clickhouse",
            "Move the flow log to ClickHouse, and compare both.",
        ),
        "replication": BuiltInCommand(
            "replicate",
            "commands",
            "replication",
            "Show what other collectors got, and what they lack.",
        ),
        "stream": BuiltInCommand(
            "stream", "commands", "stream", "Write flows as lines of JSON while they come."
        ),
        "anonymise": BuiltInCommand(
            "anonymise",
            "commands",
            "anonymise",
            "Make the key of anonymisation, and turn addresses into others and back.",
        ),
        "make-tables": BuiltInCommand(
            "pmacct",
            "commands",
            "make_tables",
            "Make the tables that the collector configuration names.",
        ),
        "token": BuiltInCommand(
            "auth", "commands", "token_group", "Make, list and revoke tokens for the REST API."
        ),
        "secret": BuiltInCommand(
            "auth", "commands", "secret_group", "Look after the secret that signs tokens."
        ),
        "user": BuiltInCommand(
            "users", "commands", "user_group", "Add, list, change and delete accounts."
        ),
    }
)
"""By name, in the order of the plugins."""


def installed_plugins() -> tuple[EntryPoint, ...]:
    """Return the entry points that other distributions offer."""
    return tuple(importlib.metadata.entry_points(group=GROUP))


@contextmanager
def name_import_failure(plugin: str, part: str) -> Iterator[None]:
    """Let what a plugin's code raises while it is imported name the plugin.

    Raises
    ------
    StartupError
        In place of anything but our own errors, which say what is wrong themselves.
    """
    try:
        yield
    except ApplianceError:
        raise
    # Whatever a plugin raises while it is imported is its author's mistake; the text names it.
    except Exception as error:
        problem = f"{part} cannot be imported: {type(error).__name__}: {error}"
        raise StartupError(f"plugin {plugin}: {problem}") from error
