"""Which collector configuration counts: the one that the collector was started with.

A change of the file acts at the collector's next start, not before, so the collector copies what it
reads. Everything beside it (loader, API, command line) goes by the copy, also when the file was
edited in between.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.errors import SettingsError, StorageError
from appliance.plugins.pmacct.configuration.config import read_config
from appliance.plugins.pmacct.configuration.effective import EVERY_KEY, EffectiveConfig
from appliance.plugins.pmacct.configuration.reading import effective, read_effective
from appliance.settings.file import Settings

FILE = "mysql-nfacctd.conf"
COPY = "collector.conf"
NFACCTD = "nfacctd"
"""The engine that is pmacct's own daemon."""


def config_file(settings: Settings) -> Path:
    """Return the file of the collector configuration, which need not exist.

    It is the one that `collector.config` names, else `mysql-nfacctd.conf` in the data directory,
    which the first change through the API makes.
    """
    named: Path | None = settings["collector.config"]
    folder: Path = settings["data_directory"]
    return named if named is not None else folder / FILE


def ignorable_keys(settings: Settings) -> Collection[str]:
    """Return the keys that may be ignored although tables will hold something else than nfacctd's.

    nfacctd itself acts upon all of them.
    """
    allowed: tuple[str, ...] = settings["collector.ignore_unsupported"]
    return EVERY_KEY if settings["collector.engine"] == NFACCTD else allowed


def config_from_file(settings: Settings) -> EffectiveConfig | None:
    """Read the file; None when there is none and none is named.

    Raises
    ------
    SettingsError
        It cannot be read, or nfacctd would not start with it.
    """
    path = config_file(settings)
    if settings["collector.config"] is None and not os.path.exists(path):
        return None
    found = read_effective(path, ignorable_keys(settings))
    found.raise_errors()
    return found


def activate_config(settings: Settings) -> EffectiveConfig | None:
    """Read the file as the collector that starts, and make it count.

    Raises
    ------
    SettingsError
        As `config_from_file`; what was in force stays so.
    StorageError
        The copy cannot be written.
    """
    found = config_from_file(settings)
    copy = copy_path(settings)
    try:
        if found is None:
            copy.unlink(missing_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            # There are passwords in it.
            with atomic_write(copy, PRIVATE) as file:
                file.write(found.path.read_bytes())
    except OSError as error:
        raise StorageError(f"{copy}: cannot be written: {error.strerror}") from error
    return found


def active_config(settings: Settings) -> EffectiveConfig | None:
    """Return what the collector was started with; before its first start, the file.

    Raises
    ------
    SettingsError
        As `config_from_file`.
    """
    copy = copy_path(settings)
    # In a folder that is closed to us there is none for us: what needs it says so in its sentence.
    if not os.path.exists(copy):
        return config_from_file(settings)
    try:
        # Relative paths in it start at the file's folder, not at the copy's.
        config = replace(read_config(copy), path=config_file(settings))
        return effective(config, ignorable_keys(settings))
    except SettingsError:
        return config_from_file(settings)


def active_version(settings: Settings) -> str:
    """Return what is another text once another configuration is in force."""
    try:
        status = copy_path(settings).stat()
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_mtime_ns}"


def copy_path(settings: Settings) -> Path:
    """Return the copy; it is replaced at each start of the collector."""
    folder: Path = settings["data_directory"]
    return folder / COPY
