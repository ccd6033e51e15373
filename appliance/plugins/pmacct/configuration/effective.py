"""A collector configuration in force: which value counts for which plugin, and what is said of it.

`reading` makes one of the lines of a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import SettingsError
from appliance.flows import element_of
from appliance.plugins.pmacct.configuration.aggregates import (
    BUILT_IN,
    INITIATOR_PACKETS,
    RESPONDER_OCTETS,
    aggregate_names,
    source_elements,
    source_headers,
)
from appliance.plugins.pmacct.configuration.config import CollectorConfig, ConfigLine, PluginName
from appliance.plugins.pmacct.configuration.keys import (
    FILLED_PLUGINS,
    PRINT,
    SQL_PLUGINS,
    known_keys,
    leading_number,
)
from appliance.plugins.pmacct.configuration.messages import Inert, Message
from appliance.plugins.pmacct.configuration.preprocess import Preprocess, parse_preprocess
from appliance.plugins.pmacct.configuration.primitives import Primitive, PrimitivesFile
from appliance.plugins.pmacct.filters.selection import FILTERS, Selection, read_selection
from appliance.plugins.pmacct.maps.lookups import read_resolution
from appliance.plugins.pmacct.maps.map_lines import REFUSABLE
from appliance.plugins.pmacct.maps.pre_tag_map import TagRules, read_rules
from appliance.plugins.pmacct.maps.resolution import Resolution

DEFAULT_PORT = 2100
EVERY_KEY = frozenset(known_keys()) | REFUSABLE


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

    @property
    def kept_elements(self) -> tuple[tuple[int, int], ...]:
        """Return the elements whose octets tables and output are made of, (enterprise, id).

        Raises
        ------
        SettingsError
            A file of rules cannot be read.
        """
        elements: list[tuple[int, int]] = []
        for plugin in self.filled_plugins:
            elements += source_elements(self.aggregate(plugin.name))
            columns = map(element_of, sorted(self.tag_rules(plugin.name).columns))
            elements += [element for element in columns if element is not None]
            if self.flag("tmp_asa_bi_flow", plugin.name):
                elements += ((0, RESPONDER_OCTETS), (0, INITIATOR_PACKETS))
        return tuple(dict.fromkeys(elements))

    @property
    def header_columns(self) -> tuple[str, ...]:
        """Return the columns of message headers that tables and output are made of."""
        plugins = (self.aggregate(plugin.name) for plugin in self.filled_plugins)
        return tuple(dict.fromkeys(name for names in plugins for name in source_headers(names)))

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

    def active_lines(self) -> Iterator[tuple[str, str, ConfigLine]]:
        """Yield key, plugin (empty: for all) and line of each value that counts, in file order."""
        whole = {line.number: key for (key, name), line in self._values.items() if not name}
        for (key, name), line in sorted(self._values.items(), key=lambda item: item[1].number):
            if key == line.key and (not name or line.number not in whole):
                yield key, name, line

    def set_value(self, key: str, plugin: str, line: ConfigLine) -> None:
        """Let the value of a line count for a plugin (empty: for all)."""
        self._values[key, plugin] = line

    def warn(self, text: str, line: ConfigLine | None = None) -> None:
        """Keep a warning of nfacctd's, and that a line of the file changes nothing."""
        self.messages.append(Message("WARN", text))
        if line is not None:
            self.inert.append(Inert(line, "nfacctd ignores it as well"))

    def error(self, text: str) -> None:
        """Keep what keeps nfacctd from starting."""
        message = Message("ERROR", text, fatal=True)
        if message not in self.messages:
            self.messages.append(message)

    def refuse(self, name: str, what: str) -> None:
        """Keep the collector from starting, unless the site allows that something is ignored."""
        if name not in self.ignorable:
            self.error(
                f"{what}: this changes what tables hold and is not supported: take it out, or allow"
                f" that it is ignored with collector.ignore_unsupported: [{name}]"
            )

    def raise_errors(self) -> None:
        """Refuse what nfacctd would not start with.

        Raises
        ------
        SettingsError
            With the first of the reasons.
        """
        for text in self.errors:
            raise SettingsError(text, file=self.path)
