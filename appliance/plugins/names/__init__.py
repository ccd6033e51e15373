"""Names for numbers: AS and country of addresses, from databases that the operator supplies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import (
    HINT,
    OK,
    Check,
    Column,
    Enricher,
    Finding,
    Setting,
    Settings,
    ValueNames,
    hookimpl,
)
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
    return [AS_DATABASE, COUNTRY_DATABASE]


@hookimpl
def register_columns() -> list[Column]:
    """Return the countries of both sides."""
    from appliance.plugins.names.columns import COUNTRIES

    return list(COUNTRIES)


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Return the enricher, where there is a database."""
    from appliance.plugins.names.enriching import AddressEnricher
    from appliance.plugins.names.table import DatabaseFollower

    folder, files = Path(settings["data_directory"]) / FOLDER, database_files(settings)
    return [AddressEnricher(DatabaseFollower(files, folder))] if files else []


@hookimpl
def register_value_names(settings: Settings) -> list[ValueNames]:
    """Return the names of AS, where there is a database."""
    files = database_files(settings)
    if not files:
        return []
    from appliance.plugins.names.as_names import AS_COLUMNS, KeptNames
    from appliance.plugins.names.databases import cache_file

    folder = Path(settings["data_directory"]) / FOLDER
    return [ValueNames(AS_COLUMNS, KeptNames([cache_file(path, folder) for path in files]).names)]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return what looks at the databases."""
    return [lambda: [_finding(path) for path in database_files(settings)]]


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
