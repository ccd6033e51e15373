"""A collector configuration in force: which value counts for which plugin, and what is ignored.

Applies the lines of `config` in their order, as nfacctd 1.7.7 does, and says of each line that
changes nothing why it does not, in nfacctd's words. What keeps nfacctd from starting is an error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import SettingsError
from appliance.nfacctd.aggregates import (
    BUILT_IN,
    VARIABLE_LENGTH,
    aggregate_names,
    aggregate_problem,
    unfilled,
)
from appliance.nfacctd.config import CollectorConfig, ConfigLine, PluginName, read_config
from appliance.nfacctd.keys import (
    ACTS,
    FILLED_PLUGINS,
    PLUGIN,
    PLUGIN_TYPES,
    PRINT,
    PRINT_OUTPUTS,
    SQL_PLUGINS,
    known_keys,
    leading_number,
    value_problem,
)
from appliance.nfacctd.lookups import read_resolution
from appliance.nfacctd.map_lines import REFUSABLE
from appliance.nfacctd.messages import Inert, Message
from appliance.nfacctd.pre_tag_map import TagRules, read_rules
from appliance.nfacctd.preprocess import Preprocess, parse_preprocess, unsupported_words
from appliance.nfacctd.primitives import Primitive, PrimitivesFile, read_primitives
from appliance.nfacctd.resolution import Resolution
from appliance.nfacctd.selection import FILTERS, Selection, read_selection

DEFAULT_PORT = 2100
IGNORED = "not supported, ignored as collector.ignore_unsupported says"
EVERY_KEY = frozenset(known_keys()) | REFUSABLE
_PLUGIN_ENTRY = re.compile(r"([^\[\]\s]+)\s*(?:\[\s*([^\[\]]+?)\s*\])?")


@dataclass(slots=True)
class EffectiveConfig:
    """What a configuration says, read once.

    Attributes
    ----------
    plugins
        Those that nfacctd would start.
    messages
        What it would say of the file.
    inert
        Lines that the appliance does not act upon.
    primitives
        The file of `aggregate_primitives`; empty without one.
    ignorable
        Keys that may be ignored although tables will hold something else than nfacctd's.
    """

    config: CollectorConfig
    ignorable: Collection[str] = ()
    plugins: tuple[PluginName, ...] = ()
    messages: list[Message] = field(default_factory=list)
    inert: list[Inert] = field(default_factory=list)
    primitives: PrimitivesFile = field(default_factory=lambda: PrimitivesFile(()))
    _values: dict[tuple[str, str], ConfigLine] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file."""
        return self.config.path

    @property
    def errors(self) -> list[str]:
        """Return what keeps nfacctd from starting."""
        return [message.text for message in self.messages if message.fatal]

    def text(self, key: str, plugin: str = "", default: str = "") -> str:
        """Return the value of a key for a plugin."""
        line = self._values.get((key, plugin))
        return line.value if line is not None else default

    def is_set(self, key: str, plugin: str = "") -> bool:
        """Tell whether a key has a usable value."""
        return (key, plugin) in self._values

    def flag(self, key: str, plugin: str = "", default: bool = False) -> bool:
        """Return the value of a key that is true or false."""
        return self.text(key, plugin, str(default)).lower() == "true"

    def number(self, key: str, plugin: str = "", default: int = 0) -> int:
        """Return the value of a key that is a whole number."""
        return leading_number(self.text(key, plugin, str(default)))

    def file(self, key: str, plugin: str = "") -> Path | None:
        """Return the file that a key names; relative paths start at the configuration's folder."""
        written = self.text(key, plugin)
        return self.path.parent / written if written else None

    @property
    def sql_plugins(self) -> tuple[PluginName, ...]:
        """Return the plugins that fill tables."""
        return tuple(plugin for plugin in self.plugins if plugin.type in SQL_PLUGINS)

    @property
    def filled_plugins(self) -> tuple[PluginName, ...]:
        """Return the plugins that are offered: those that fill tables, and `print`."""
        return tuple(plugin for plugin in self.plugins if plugin.type in FILLED_PLUGINS)

    def aggregate(self, plugin: str) -> tuple[str, ...]:
        """Return the primitives that a plugin aggregates by; nfacctd's default is the source."""
        return aggregate_names(self.text("aggregate", plugin)) or ("src_host",)

    def custom(self, name: str) -> Primitive | None:
        """Return the custom primitive of a name; a built-in one of that name goes before it."""
        if name in BUILT_IN:
            return None
        return next((p for p in self.primitives.primitives if p.name == name), None)

    def tag_rules(self, plugin: str) -> TagRules:
        """Return the rules of `pre_tag_map`."""
        file = self.file("pre_tag_map", plugin)
        return read_rules(file) if file is not None else TagRules(())

    def resolution(self, plugin: str) -> tuple[Resolution, list[str]]:
        """Return what stands in place of a flow's own columns, and sentences about its files.

        Raises
        ------
        SettingsError
            A file cannot be read, or none is named where one is needed.
        """
        return read_resolution(
            lambda key: self.text(key, plugin),
            lambda key: self.file(key, plugin),
            self.aggregate(plugin),
        )

    def selection(self, plugin: str) -> Selection:
        """Return which rows a plugin takes."""
        lines = {key: self._values.get((key, plugin)) for key in FILTERS}
        return read_selection({key: line for key, line in lines.items() if line}, self.path)

    def preprocess(self, plugin: PluginName) -> tuple[Preprocess, list[str]]:
        """Return which aggregates a plugin writes, and nfacctd's words on what it ignores."""
        key = "print_preprocess" if plugin.type == PRINT else "sql_preprocess"
        kind = self.text(f"{key}_type", plugin.name)
        return parse_preprocess(self.text(key, plugin.name), kind, plugin.type == PRINT)

    def in_force(self) -> Iterator[tuple[str, str, ConfigLine]]:
        """Yield key, plugin (empty: for all) and line of each value that counts, in file order."""
        whole = {line.number: key for (key, name), line in self._values.items() if not name}
        for (key, name), line in sorted(self._values.items(), key=lambda item: item[1].number):
            if not name or line.number not in whole:
                yield key, name, line

    def raise_errors(self) -> None:
        """Refuse what nfacctd would not start with.

        Raises
        ------
        SettingsError
            With the first of the reasons.
        """
        for text in self.errors:
            raise SettingsError(text, file=self.path)


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
                _warn(found, f"{_at(line, config)} Unable to handle key: plugins. Ignored.", line)
            seen_plugins = True
            found._values.setdefault(("plugins", ""), line)
            continue
        _apply(found, line, names)
    _check(found)
    return found


def _at(line: ConfigLine, config: CollectorConfig) -> str:
    return f"[{config.path}:{line.number}]"


def _warn(found: EffectiveConfig, text: str, line: ConfigLine | None = None) -> None:
    found.messages.append(Message("WARN", text))
    if line is not None:
        found.inert.append(Inert(line, "nfacctd ignores it as well"))


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
            _warn(
                found,
                f"{place} another plugin with the same name '{name}' already exists."
                " Preserving first.",
            )
        else:
            plugins[name] = PluginName(kind, name)
    if not plugins:
        _warn(found, f"{place} No plugin has been activated; defaulting to in-memory table.")
        plugins["default_memory"] = PluginName("memory", "default_memory")
    found.plugins = tuple(plugins.values())


def _apply(found: EffectiveConfig, line: ConfigLine, names: set[str]) -> None:
    """Apply one line, or say why nfacctd ignores it."""
    place = _at(line, found.config)
    key = known_keys().get(line.key)
    if key is None:
        _warn(found, f"{place} Unknown key: {line.key}. Ignored.", line)
        return
    if line.plugin and not key.is_global and line.plugin not in names:
        _warn(found, f"{place} Unknown symbol '{line.plugin}'. Ignored.", line)
        return
    problem = value_problem(key, line.value)
    if problem is not None:
        if problem:
            _warn(found, f"[{found.path}] {problem}")
        _warn(found, f"{place} Invalid value. Ignored.", line)
        return
    if line.plugin and key.is_global:
        _warn(found, f"[{found.path}] plugin name not supported for key '{line.key}'. Globalized.")
    if key.scope == PLUGIN and not line.plugin:
        _warn(found, f"{place} {line.key} cannot be global. Not loaded.", line)
        return
    if key.changes_rows(line.value):
        _refuse(found, line.key, f"{place} {line.key}: {line.value}")
        if line.key in found.ignorable:
            found.inert.append(Inert(line, IGNORED))
    elif key.effect != ACTS:
        found.inert.append(Inert(line, key.note or "not acted upon"))
    if line.plugin and not key.is_global:
        found._values[line.key, line.plugin] = line
        return
    for name in ("", *names):
        found._values[line.key, name] = line


def _refuse(found: EffectiveConfig, name: str, what: str) -> None:
    """Keep the collector from starting, unless the site allows that something is ignored."""
    if name not in found.ignorable:
        _error(
            found,
            f"{what}: this changes what tables hold and is not supported: take it out, or allow"
            f" that it is ignored with collector.ignore_unsupported: [{name}]",
        )


def _check(found: EffectiveConfig) -> None:
    address = found.text("nfacctd_ip")
    if address and not _is_address(address):
        _error(found, "'nfacctd_ip' value is not valid. Exiting.")
    file = found.file("aggregate_primitives")
    if file is not None:
        try:
            found.primitives = read_primitives(file)
        except SettingsError as error:
            _error(found, f"[{file}] {error.problem}.")
        else:
            for text in found.primitives.warnings:
                _warn(found, text)
    for plugin in found.plugins:
        _check_plugin(found, plugin)


def _check_plugin(found: EffectiveConfig, plugin: PluginName) -> None:
    if plugin.type not in FILLED_PLUGINS:
        found.messages.append(
            Message("WARN", f"plugin {plugin.type}[{plugin.name}] is not offered here: not started")
        )
        return
    if not found.text("aggregate", plugin.name):
        _warn(found, f"[{found.path}] defaulting to SRC HOST aggregation.")
    names = found.aggregate(plugin.name)
    for name in names:
        if name not in BUILT_IN and found.custom(name) is None:
            _error(found, f"Unknown primitive '{name}'")
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        _error(found, f"'{name}' repeated in 'aggregate'")
    (_check_output if plugin.type == PRINT else _check_table)(found, plugin, names)
    for key, text in found.selection(plugin.name).unsupported:
        _refuse(found, key, text)
    _check_preprocess(found, plugin)
    for name in unfilled(names):
        _warn(found, f"plugin {plugin.name}: {name} is not in NetFlow, its column stays empty")
    _check_rules(found, plugin)
    try:
        _, warnings = found.resolution(plugin.name)
    except SettingsError as error:
        _error(found, f"{error.file}: {error.problem}" if error.file else error.problem)
    else:
        _warn_once(found, warnings)


def _check_table(found: EffectiveConfig, plugin: PluginName, names: tuple[str, ...]) -> None:
    version = found.number("sql_table_version", plugin.name, 1)
    if version < 1:
        _error(found, "invalid 'sql_table_version' value.")
    table_type = found.text("sql_table_type", plugin.name)
    own = found.flag("sql_optimize_clauses", plugin.name)
    problem = aggregate_problem(names, version, table_type, own)
    if problem is not None:
        _error(found, problem)


def _check_preprocess(found: EffectiveConfig, plugin: PluginName) -> None:
    for text in found.preprocess(plugin)[1]:
        _warn(found, f"( {plugin.name}/{plugin.type} ): {text}")
    key = "print_preprocess" if plugin.type == PRINT else "sql_preprocess"
    for word in unsupported_words(found.text(key, plugin.name)):
        _error(found, f"{key}: {word} changes what tables hold and is not supported: take it out")


def _check_output(found: EffectiveConfig, plugin: PluginName, names: tuple[str, ...]) -> None:
    output = found.text("print_output", plugin.name, PRINT_OUTPUTS[0]).lower()
    if output.endswith(PRINT_OUTPUTS[0]) and VARIABLE_LENGTH.intersection(names):
        _error(
            found,
            "variable-length primitives, ie. label as_path std_comm etc., are not supported in"
            " print plugin with formatted output.",
        )
    if output not in PRINT_OUTPUTS:
        _warn(
            found,
            f"[{found.path}] print_output set to {output} but will produce no output"
            f" (missing --enable-{output}).",
        )


def _check_rules(found: EffectiveConfig, plugin: PluginName) -> None:
    file = found.file("pre_tag_map", plugin.name)
    if file is None:
        return
    try:
        rules = read_rules(file)
    except SettingsError as error:
        _error(found, f"[{file}] {error.problem}.")
        return
    for key, text in rules.unsupported:
        _refuse(found, key, text)
    _warn_once(found, rules.warnings)


def _warn_once(found: EffectiveConfig, warnings: Iterable[str]) -> None:
    known = {message.text for message in found.messages}
    for text in warnings:
        if text not in known:
            _warn(found, text)


def _error(found: EffectiveConfig, text: str) -> None:
    message = Message("ERROR", text, fatal=True)
    if message not in found.messages:
        found.messages.append(message)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
