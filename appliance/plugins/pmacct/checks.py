"""Examines the collector configuration: what is in force, what nfacctd would say of it, and what
does nothing. `appliance check` prints it."""

from __future__ import annotations

from pathlib import Path

from appliance.contracts import FAIL, HINT, OK, Finding
from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.active_config import config_file, ignorable_keys
from appliance.plugins.pmacct.configuration.config import read_config
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.messages import printable_value
from appliance.plugins.pmacct.configuration.overrides import has_own_flow_database
from appliance.plugins.pmacct.configuration.primitives import read_primitives
from appliance.plugins.pmacct.configuration.reading import effective
from appliance.settings.file import EffectiveSetting, Settings

WHAT = "collector configuration"


def collector_findings(settings: Settings) -> list[Finding]:
    """Say what there is to say of the configuration that the collector starts with next."""
    try:
        config = _upcoming(settings)
    except SettingsError as error:
        return [Finding(FAIL, WHAT, str(error))]
    return [*_findings(config), *_own_database(settings, config)] if config is not None else []


def collector_lines(settings: Settings) -> list[EffectiveSetting]:
    """Return each value in force of that configuration, with its line; none of a wrong one."""
    try:
        config = _upcoming(settings)
    except SettingsError:
        return []
    if config is None:
        return []
    return [
        EffectiveSetting(
            f"{key}[{plugin}]" if plugin else key,
            printable_value(key, line.value),
            f"{config.path}:{line.number}",
        )
        for key, plugin, line in config.active_lines()
    ]


def primitives_findings(settings: Settings) -> list[Finding]:
    """Look at the file of primitives."""
    file: Path | None = settings["collector.primitives_file"]
    if file is None:
        return []
    try:
        read = read_primitives(file)
    except SettingsError as error:
        return [Finding(FAIL, "primitives", f"{error}: change collector.primitives_file")]
    there = Finding(OK, "primitives", f"{len(read.primitives)} in {file}")
    return [there, *(Finding(HINT, "primitives", warning) for warning in read.warnings)]


def _upcoming(settings: Settings) -> EffectiveConfig | None:
    """Return the configuration, with its errors as messages; None: there is none."""
    path = config_file(settings)
    if settings["collector.config"] is None and not path.exists():
        return None
    return effective(read_config(path), ignorable_keys(settings))


def _findings(config: EffectiveConfig) -> list[Finding]:
    named = (f"{plugin.type}[{plugin.name}]" for plugin in config.filled_plugins)
    filled = ", ".join(named) or "none"
    found = [Finding(FAIL, WHAT, f"{config.path}: {text}") for text in config.errors]
    found = found or [Finding(OK, WHAT, f"{config.path}, filled: {filled}")]
    found += [Finding(HINT, WHAT, m.text) for m in config.messages if not m.fatal]
    for entry in config.inert:
        written = f"{entry.line.key}[{entry.line.plugin}]" if entry.line.plugin else entry.line.key
        place = f"[{config.path}:{entry.line.number}]"
        found.append(Finding(HINT, WHAT, f"{place} {written}: {entry.reason}"))
    return found


def _own_database(settings: Settings, config: EffectiveConfig) -> list[Finding]:
    """Say where sums are when the settings decide that in spite of a configuration's database."""
    if not config.sql_plugins or not has_own_flow_database(settings):
        return []
    url = next(s.value for s in settings.describe() if s.name == "flows.database")
    text = f"sums are kept in flows.database of {settings.file}: {url}"
    return [Finding(OK, WHAT, f"{text}; {config.path} names the database of its own tables only")]
