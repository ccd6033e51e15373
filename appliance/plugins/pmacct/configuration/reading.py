"""Applies the lines of a collector configuration in their order, as nfacctd 1.7.7 does.

Says of each line that changes nothing why it does not, in nfacctd's words. What keeps nfacctd from
starting is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import product
from pathlib import Path

from appliance.plugins.pmacct.configuration.config import (
    CollectorConfig,
    ConfigLine,
    PluginName,
    read_config,
)
from appliance.plugins.pmacct.configuration.config_checks import check_config
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.keys import (
    ACTS,
    PLUGIN,
    PLUGIN_TYPES,
    keys_of_one_setting,
    known_keys,
    value_problem,
)
from appliance.plugins.pmacct.configuration.messages import Inert, Message

IGNORED = "not supported, ignored as collector.ignore_unsupported says"
_PLUGIN_ENTRY = re.compile(r"([^\[\]\s]+)\s*(?:\[\s*([^\[\]]+?)\s*\])?")


def read_effective(path: Path, ignorable: Collection[str] = ()) -> EffectiveConfig:
    """Read a configuration and apply it.

    Parameters
    ----------
    ignorable
        Keys that may be ignored although tables will hold something else than nfacctd's.

    Raises
    ------
    SettingsError
        The file cannot be read or its syntax is wrong; what else is wrong is in the messages.
    """
    return effective(read_config(path), ignorable)


def effective(config: CollectorConfig, ignorable: Collection[str] = ()) -> EffectiveConfig:
    """Apply the lines of a configuration."""
    found = EffectiveConfig(config, ignorable)
    _start_plugins(found)
    names = {plugin.name for plugin in found.plugins}
    seen_plugins = False
    for line in config.lines:
        if not line.key:
            continue
        if line.key == "plugins":
            if seen_plugins:
                found.warn(f"{_at(line, config)} Unable to handle key: plugins. Ignored.", line)
            else:
                found.set_value("plugins", "", line)
            seen_plugins = True
            continue
        _apply(found, line, names)
    check_config(found)
    return found


def _at(line: ConfigLine, config: CollectorConfig) -> str:
    return f"[{config.path}:{line.number}]"


def _start_plugins(found: EffectiveConfig) -> None:
    lines = (line for line in found.config.lines if line.key == "plugins")
    first = next(lines, None)
    plugins: dict[str, PluginName] = {}
    place = f"[{found.path}]"
    for entry in first.value.split(",") if first is not None else ():
        match = _PLUGIN_ENTRY.fullmatch(entry.strip())
        kind = match[1].lower() if match else entry.strip()
        name = (match[2] if match else None) or f"default_{kind}"
        if not kind:
            continue
        if kind not in PLUGIN_TYPES or match is None:
            text = f"{place} Unknown plugin type: {kind}. Ignoring."
            found.messages.append(Message("ERROR", text))
        elif name in plugins:
            found.warn(
                f"{place} another plugin with the same name '{name}' already exists."
                " Preserving first.",
            )
        else:
            plugins[name] = PluginName(kind, name)
    if not plugins:
        found.warn(f"{place} No plugin has been activated; defaulting to in-memory table.")
        plugins["default_memory"] = PluginName("memory", "default_memory")
    found.plugins = tuple(plugins.values())


def _apply(found: EffectiveConfig, line: ConfigLine, names: set[str]) -> None:
    """Apply one line, or say why nfacctd ignores it."""
    place = _at(line, found.config)
    key = known_keys().get(line.key)
    if key is None:
        found.warn(f"{place} Unknown key: {line.key}. Ignored.", line)
        return
    if line.plugin and not key.is_global and line.plugin not in names:
        found.warn(f"{place} Unknown symbol '{line.plugin}'. Ignored.", line)
        return
    problem = value_problem(key, line.value)
    if problem is not None:
        if problem:
            found.warn(f"[{found.path}] {problem}")
        found.warn(f"{place} Invalid value. Ignored.", line)
        return
    if line.plugin and key.is_global:
        found.warn(f"[{found.path}] plugin name not supported for key '{line.key}'. Globalized.")
    if key.scope == PLUGIN and not line.plugin:
        found.warn(f"{place} {line.key} cannot be global. Not loaded.", line)
        return
    if key.changes_rows(line.value):
        reason = f" ({key.note})" if key.effect != ACTS else ""
        found.refuse(line.key, f"{place} {line.key}: {line.value}{reason}")
        if line.key in found.ignorable:
            found.inert.append(Inert(line, IGNORED))
    elif key.effect != ACTS:
        found.inert.append(Inert(line, key.note))
    plugins = (line.plugin,) if line.plugin and not key.is_global else ("", *names)
    for name, each in product(plugins, keys_of_one_setting(line.key)):
        found.set_value(each, name, line)
