"""Names for numbers: AS and country of addresses, from databases that the operator supplies, and
names of interfaces, by SNMP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance import (
    HINT,
    OK,
    BackupPart,
    Check,
    Column,
    Enricher,
    Finding,
    Poller,
    Route,
    Setting,
    Settings,
    hookimpl,
)
from appliance.plugins.names.snmp import snmp_settings
from appliance.setting_types import OptionalFilePath

if TYPE_CHECKING:
    from collections.abc import Sequence

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
OLD_DAYS = 60
FOLDER = "names"
"""In the data directory: what was read of the databases."""


@hookimpl
def register_settings() -> list[Setting[object]]:
    """Return the settings."""
    return [AS_DATABASE, COUNTRY_DATABASE, *snmp_settings.SETTINGS]


@hookimpl
def register_columns() -> list[Column]:
    """Return the countries of both sides."""
    from appliance.plugins.names.columns import COUNTRIES

    return list(COUNTRIES)


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Return the enricher, where there is a database."""
    from appliance.plugins.names.enriching import AddressEnricher, DatabaseFollower

    folder = Path(settings["data_directory"]) / FOLDER
    followers = [DatabaseFollower(path, folder) for path in database_files(settings)]
    return [AddressEnricher(followers)] if followers else []


@hookimpl
def register_pollers(settings: Settings) -> list[Poller]:
    """Return what asks exporters by SNMP, where there are credentials."""
    from appliance.plugins.names.snmp.poller import SnmpPoller

    return [SnmpPoller(settings)] if snmp_settings.is_configured(settings) else []


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes of interfaces."""
    from appliance.plugins.names.snmp.interface_routes import routes

    return routes()


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance interfaces`."""
    from appliance.plugins.names.snmp.commands import interfaces

    return [interfaces]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save the names of interfaces: those of the past nobody can be asked for again."""
    from appliance.interface_history import interface_history
    from appliance.sql.copies import SqliteCopy

    return [SqliteCopy("interfaces", interface_history(settings).path)]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return what looks at the databases and at the credentials."""
    return [
        lambda: [_finding(path) for path in database_files(settings)],
        lambda: [
            Finding(HINT, "SNMP", text) for text in snmp_settings.credential_problems(settings)
        ],
    ]


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
