"""Names for numbers: AS and country of addresses, from databases that the operator supplies, and
the operator's own networks; names and counters of interfaces, by SNMP or as exporters send them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance import (
    HINT,
    OK,
    SIGNED_IN,
    BackupPart,
    Check,
    Column,
    CounterSink,
    Enricher,
    Finding,
    Poller,
    Route,
    Setting,
    Settings,
    ValueNames,
    hookimpl,
)
from appliance.plugins.names.networks import (
    DIRECTIONS,
    KINDS,
    NetworkNames,
    keep_names,
)
from appliance.plugins.names.reverse_names import ALL, INSIDE, OFF, Resolvers
from appliance.plugins.names.snmp import snmp_settings
from appliance.settings.types import Choice, OptionalFilePath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.plugins.names.known_ranges import KnownRanges

AS_DATABASE = Setting(
    "names.as_database",
    OptionalFilePath(),
    "",
    "AS of addresses: a file in MaxMind's format (GeoLite2-ASN, DB-IP, IPinfo).",
)
COUNTRY_DATABASE = Setting(
    "names.country_database",
    OptionalFilePath(),
    "",
    "Country of addresses: a file in MaxMind's format; may be the same as of AS.",
)
REVERSE = Setting(
    "names.reverse",
    Choice((OFF, INSIDE, ALL)),
    INSIDE,
    "For which addresses a page of a host asks the DNS for a name: off: none; inside: those in"
    " networks and local_networks; all: others, too, whose name servers then learn who is looked"
    " at. Flows keep no such names.",
)
RESOLVERS = Setting(
    "names.resolvers",
    Resolvers(),
    [],
    "The DNS servers that are asked for names, such as 192.0.2.53. Empty: those of the machine.",
)
OLD_DAYS = 60
FOLDER = "names"
"""In the data directory: what was read of the databases."""


@hookimpl
def register_settings() -> list[Setting[object]]:
    """Return the settings."""
    return [AS_DATABASE, COUNTRY_DATABASE, REVERSE, RESOLVERS, *snmp_settings.SETTINGS]


@hookimpl
def register_columns() -> list[Column]:
    """Return countries and networks of both sides, and the way between networks."""
    from appliance.plugins.names.columns import COLUMNS

    return list(COLUMNS)


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Return the enricher, where there is a database or a network."""
    files, networks = database_files(settings), settings["networks"]
    if not (files or networks):
        return []
    from appliance.plugins.names.enriching import AddressEnricher
    from appliance.plugins.names.known_ranges import known_by_settings
    from appliance.plugins.names.table import DatabaseFollower

    folder = Path(settings["data_directory"]) / FOLDER

    def known_networks() -> Sequence[KnownRanges]:
        if not networks:
            return ()
        keep_names(networks, folder)
        return known_by_settings(networks, settings["local_networks"])

    return [AddressEnricher(DatabaseFollower(files, folder, known_networks))]


@hookimpl
def register_value_names(settings: Settings) -> list[ValueNames]:
    """Return the names of networks, and of AS, where there is a database."""
    folder, files = Path(settings["data_directory"]) / FOLDER, database_files(settings)
    names = [
        ValueNames(
            (f"source_{kind}", f"destination_{kind}"),
            NetworkNames(settings["networks"], folder, kind).names,
        )
        for kind in KINDS
    ]
    names.append(ValueNames(("traffic_direction",), lambda: DIRECTIONS))
    if files:
        from appliance.plugins.names.as_names import AS_COLUMNS, KeptNames
        from appliance.plugins.names.databases import cache_file

        kept = KeptNames([cache_file(path, folder) for path in files])
        names.append(ValueNames(AS_COLUMNS, kept.names))
    return names


@hookimpl
def register_routes(settings: Settings) -> list[Route]:
    """Return the routes below `/api/v1/names`, and those of interfaces."""
    from appliance.plugins.names import routes
    from appliance.plugins.names.snmp.agent_routes import agent_routes
    from appliance.plugins.names.snmp.interface_routes import interface_routes

    reverse_name = routes.reverse_name_route(routes.reverse_names_of(settings))
    of_addresses = [
        Route("GET", path, handler, role=SIGNED_IN, schema=schema)
        for path, handler, schema in (
            (routes.PATH, routes.configured_names, routes.SCHEMA),
            (routes.REVERSE_PATH, reverse_name, routes.REVERSE_SCHEMA),
        )
    ]
    return [*of_addresses, *interface_routes(), *agent_routes()]


@hookimpl
def register_pollers(settings: Settings) -> list[Poller]:
    """Return what asks exporters by SNMP, where there are credentials."""
    from appliance.plugins.names.snmp.own_agents import own_agents

    if not snmp_settings.is_configured(settings) and not any(own_agents(settings).raw().values()):
        return []
    from appliance.plugins.names.snmp.poller import SnmpPoller

    return [SnmpPoller(settings)]


@hookimpl
def register_counter_sinks(settings: Settings) -> list[CounterSink]:
    """Return what keeps the counters of interfaces that exporters send."""
    from appliance.plugins.names.counter_keeper import CounterKeeper

    return [CounterKeeper(settings)]


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance interfaces`."""
    from appliance.plugins.names.snmp.commands import interfaces

    return [interfaces]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save names of interfaces, which nobody can be asked for again, and credentials."""
    from appliance.interface_history import interface_history
    from appliance.plugins.names.snmp.own_agents import own_agents
    from appliance.sql.copies import SqliteCopy

    return [
        SqliteCopy("interfaces", interface_history(settings).path),
        SqliteCopy("snmp", own_agents(settings).path),
    ]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return what looks at the databases and at the credentials."""
    return [
        lambda: [_finding(path) for path in database_files(settings)],
        lambda: _missing(settings),
        lambda: [
            Finding(HINT, "SNMP", text) for text in snmp_settings.credential_problems(settings)
        ],
    ]


def _missing(settings: Settings) -> list[Finding]:
    wanted = (AS_DATABASE.name, COUNTRY_DATABASE.name, "networks")
    names = [name for name in wanted if not settings[name]]
    text = f"flows get no names from {', '.join(names)}: not set"
    return [Finding(OK, "addresses", text)] if names else []


def _finding(path: Path) -> Finding:
    from appliance.plugins.names.databases import DatabaseError, read_metadata

    try:
        made, kind = read_metadata(path)
    except DatabaseError as error:
        return Finding(HINT, "addresses", f"{error}: AS and countries are not filled in")
    age = (time.time() - made) / 86400
    text = f"{path}: {kind}, {age:.0f} days old"
    return (
        Finding(HINT, "addresses", f"{text}: get a newer one")
        if age > OLD_DAYS
        else Finding(OK, "addresses", text)
    )


def database_files(settings: Settings) -> Sequence[Path]:
    """Return the databases of the settings, each once."""
    paths = (settings[AS_DATABASE.name], settings[COUNTRY_DATABASE.name])
    return tuple(dict.fromkeys(path for path in paths if path is not None))
