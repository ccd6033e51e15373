"""The settings of the appliance: one YAML file in, one frozen `Settings` object out.

`CORE_SETTINGS` is the single table of what the core itself can be told; plugins add theirs through
`register_settings`. The sample configuration, `appliance check` and every message are made from
these entries. Reading goes in two steps because a setting decides which plugins are loaded and
plugins decide which settings exist: `read_settings_file`, then `SettingsFile.settings(plugins'
own)`.
"""

from __future__ import annotations

import difflib
import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar, cast, overload

import yaml

from appliance.errors import SettingsError
from appliance.setting_types import (
    AddressList,
    Choice,
    Duration,
    ElementNames,
    FilePath,
    Integer,
    NetworkList,
    NetworkRates,
    Number,
    OptionalFilePath,
    SettingType,
    Size,
    Text,
    TextList,
    TimeZone,
    sample,
)

FILE_NAME = "appliance.yml"
ENVIRONMENT_VARIABLE = "APPLIANCE_CONF"
SYSTEM_FOLDER = Path("/etc/netflow-appliance")
SYSTEM_DATA_FOLDER = "/var/lib/netflow-appliance"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One thing that can be configured.

    Attributes
    ----------
    name
        Dotted, `group.name`; the file nests by the dots.
    type
        What it may be; one of `appliance.setting_types` or a plugin's own.
    default
        As it would be written in the file (`"64MB"`), not as it is parsed.
    help
        What it does and when to change it: whole sentences, for the sample configuration.
    """

    name: str
    type: SettingType[T]
    default: object
    help: str


CORE_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "data_directory",
        FilePath(),
        "../var",
        "Where the flow log and what must survive a restart are kept. Relative paths start at the"
        f" folder of this file. Below {SYSTEM_FOLDER} the default is {SYSTEM_DATA_FOLDER}.",
    ),
    Setting(
        "log_level",
        Choice(("debug", "info", "warning", "error")),
        "info",
        "How much is written to the log.",
    ),
    Setting(
        "local_networks",
        NetworkList(),
        [
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("fc00::/7", "fe80::/10"),
        ],
        "Which addresses are inside; used to tell upload from download where the exporter does not"
        " say the direction.",
    ),
    Setting(
        "collector.listen",
        AddressList(),
        ["[::]:2055", "[::]:4739"],
        "Where datagrams are received; every protocol version is understood on every port."
        " [::] is all addresses, IPv6 and IPv4.",
    ),
    Setting(
        "collector.unit",
        Text(),
        "",
        "The systemd unit that runs the collector, such as appliance-collector.service. Empty: the"
        " collector is started and stopped through its pid file, collector.pid in data_directory.",
    ),
    Setting(
        "collector.receive_buffer",
        Size(),
        "64MB",
        "Kernel memory for each listening port: what may wait while the collector is busy.",
    ),
    Setting(
        "collector.allowed_exporters",
        NetworkList(),
        [],
        "Only datagrams from these addresses are decoded, others are counted and dropped."
        " Empty allows all.",
    ),
    Setting(
        "collector.max_exporters",
        Integer(1, 16384),
        1024,
        "How many exporters are remembered at once; a further one is refused and counted.",
    ),
    Setting(
        "collector.max_templates_per_exporter",
        Integer(1, 65536),
        4096,
        "How many templates one exporter may keep; a further one is refused and counted.",
    ),
    Setting(
        "collector.waiting_room_octets",
        Size(),
        "1MB",
        "How much data of one exporter waits for a template that has not come yet.",
    ),
    Setting(
        "collector.waiting_room_seconds",
        Number(0),
        1800,
        "How long such data waits. Many exporters repeat their templates every 15 to 30 minutes.",
    ),
    Setting(
        "collector.template_timeout",
        Duration(),
        "0s",
        "Forget a template that was not repeated for so long; at least three times the exporters'"
        " refresh interval. 0s keeps templates until they are replaced.",
    ),
    Setting(
        "collector.default_sampling_rate",
        Number(0),
        0,
        "Sampling rate of exporters that tell none: 1000 means one packet in 1000. 0 counts such"
        " traffic as it is and reports the rate as assumed.",
    ),
    Setting(
        "collector.sampling_overrides",
        NetworkRates(),
        {},
        "Sampling rates of exporters that tell a wrong one or none, such as {192.0.2.0/24: 512}.",
    ),
    Setting(
        "collector.renamed_elements",
        ElementNames(),
        {},
        "Elements that an exporter uses for something else, each a name, a number or"
        ' "enterprise:number", such as {192.0.2.1: {"17163:17": octetDeltaCount}}.',
    ),
    Setting(
        "collector.primitives_file",
        OptionalFilePath(),
        "",
        "A pmacct aggregate_primitives file (see primitives.lst). The elements that it names are"
        " also kept with their octets as received.",
    ),
    Setting(
        "flow_log.segment_rows",
        Integer(1000, 10_000_000),
        1_000_000,
        "A segment of the flow log is closed after so many records ...",
    ),
    Setting("flow_log.segment_seconds", Number(1, 3600), 60, "... or after so many seconds."),
    Setting(
        "flow_log.flush_seconds",
        Number(0.05, 10),
        1,
        "How often the open segment is written out: what a crash can lose.",
    ),
    Setting(
        "flow_log.retention_age",
        Duration(),
        "30d",
        "Segments older than this are deleted. 0s keeps them until retention_octets is reached.",
    ),
    Setting(
        "flow_log.retention_octets",
        Size(),
        "20GB",
        "The oldest segments are deleted when the flow log is larger than this.",
    ),
    Setting(
        "flow_log.minimum_free_octets",
        Size(),
        "256MB",
        "With less free space than this on its disk, the collector stops writing, counts what it"
        " drops, and goes on when there is space again.",
    ),
    Setting("search.memory", Size(), "512MB", "Memory that one query of the flow log may use."),
    Setting("search.threads", Integer(1, 256), 2, "Threads that one query may use."),
    Setting("search.timeout", Duration(), "60s", "A query that takes longer is stopped."),
    Setting(
        "timezone",
        TimeZone(),
        "",
        "The zone of times in answers, and of the days, weeks and months that figures are grouped"
        " by, such as Europe/Vienna. Empty is the machine's own.",
    ),
    Setting(
        "web.listen",
        AddressList(),
        ["127.0.0.1:8443"],
        "Where the REST API and the console answer, beside the address in api_server.yml.",
    ),
    Setting(
        "web.tls_certificate",
        OptionalFilePath(),
        "",
        "Certificate with its chain (PEM). With it and its key, web.listen speaks HTTPS only.",
    ),
    Setting("web.tls_key", OptionalFilePath(), "", "The certificate's private key (PEM)."),
    Setting("web.threads", Integer(1, 256), 8, "How many requests are answered at a time."),
    Setting(
        "web.max_connections",
        Integer(10, 10000),
        512,
        "How many connections each listener holds at a time; a further one waits.",
    ),
    Setting("web.max_body_octets", Size(), "1MB", "Requests with a larger body are refused."),
    Setting(
        "web.idle_timeout", Duration(), "60s", "Connections without a request are closed after it."
    ),
    Setting(
        "plugins.disabled",
        TextList(),
        [],
        "Names of plugins that are not loaded, as `appliance plugins` prints them.",
    ),
)


class EffectiveSetting(NamedTuple):
    """A setting as it is in force: its value as text of the file, and where that comes from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting's checked value; look one up by its name or by its `Setting`.

    `settings["collector.listen"]` is untyped; `settings[LISTEN]`, with the `Setting` that was
    registered, has the type of that setting.
    """

    file: Path | None
    _values: Mapping[str, object]
    _effective: tuple[EffectiveSetting, ...]

    @overload
    def __getitem__(self, key: Setting[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: Setting[Any] | str) -> Any:
        return self._values[key if isinstance(key, str) else key.name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def describe(self) -> Iterator[EffectiveSetting]:
        """Yield each setting with its value and origin (a file, or `default`), in table order."""
        yield from self._effective


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What the configuration file says, before it is known which settings there are.

    Attributes
    ----------
    path
        The file, or None when there is none and everything is at its default.
    folder
        Where relative paths start; without a file, as if it were `./conf/appliance.yml`.
    tree
        The file's nested mapping; scalars are text.
    """

    path: Path | None
    folder: Path
    tree: Mapping[str, object]

    def settings(self, added: Iterable[Setting[Any]] = ()) -> Settings:
        """Check the file against the core's settings and these added ones.

        Raises
        ------
        SettingsError
            An unknown name, or a value that does not fit.
        """
        table = {setting.name: setting for setting in (*CORE_SETTINGS, *added)}
        written = self._written(table)
        values: dict[str, object] = {}
        effective: list[EffectiveSetting] = []
        for name, setting in table.items():
            raw = written.get(name, self._default(setting))
            value = values[name] = self._parsed(setting, raw)
            text = str(value) if isinstance(value, Path) else sample(raw)
            origin = str(self.path) if name in written else "default"
            effective.append(EffectiveSetting(name, text, origin))
        return Settings(self.path, MappingProxyType(values), tuple(effective))

    def disabled_plugins(self) -> tuple[str, ...]:
        """Return `plugins.disabled`, which must be known before any plugin is loaded."""
        setting = next(s for s in CORE_SETTINGS if s.name == "plugins.disabled")
        for path, value in _leaves(self.tree, (setting.name,)):
            if path == setting.name:
                return cast(tuple[str, ...], self._parsed(setting, value))
        return ()

    def _written(self, table: Mapping[str, Setting[Any]]) -> dict[str, object]:
        written: dict[str, object] = {}
        for name, raw in _leaves(self.tree, table):
            if name not in table:
                raise SettingsError(unknown("setting", name, table), file=self.path, key=name)
            if name in written:
                raise SettingsError("is set twice", file=self.path, key=name)
            written[name] = raw
        return written

    def _default(self, setting: Setting[Any]) -> object:
        if setting.name == "data_directory" and self.folder == SYSTEM_FOLDER:
            return SYSTEM_DATA_FOLDER
        return setting.default

    def _parsed(self, setting: Setting[Any], raw: object) -> object:
        try:
            return setting.type.parse(raw, self.folder)
        except ValueError:
            problem = f"expected {setting.type.expected}, found {sample(raw)}"
            raise SettingsError(problem, file=self.path, key=setting.name) from None


def read_settings_file(folder: Path | None = None) -> SettingsFile:
    """Read `appliance.yml` of this folder, or of the first usual one that has it.

    Parameters
    ----------
    folder
        As the user named it. None looks at the folder in APPLIANCE_CONF, which then must have the
        file too, then `./conf`, then `/etc/netflow-appliance`; with none of them all is default.

    Raises
    ------
    SettingsError
        The named folder has no such file, or it cannot be read, or it is not YAML.
    """
    named = folder or (Path(os.environ[ENVIRONMENT_VARIABLE]) if _environment_names() else None)
    usual = (Path("conf"), SYSTEM_FOLDER)
    candidates = [named] if named else [place for place in usual if (place / FILE_NAME).is_file()]
    if not candidates:
        return SettingsFile(None, Path("conf").absolute(), {})
    path = candidates[0] / FILE_NAME
    return SettingsFile(path, path.parent.absolute(), read_yaml(path))


def sample_configuration(settings: Iterable[Setting[Any]] = CORE_SETTINGS) -> str:
    """Write a configuration file with each setting at its default under its explanation."""
    lines = [
        "# The NetFlow appliance. Every setting is here at its default; change what you need and",
        "# delete what you like. `appliance check` prints what is in force and why.",
        "# Durations: 60s, 15m, 48h, 30d. Sizes: 512MB, 10GB, 1GiB, or a number of octets.",
    ]
    group = ""
    table = list(settings)
    groups = list(dict.fromkeys(["", *(setting.name.rpartition(".")[0] for setting in table)]))
    for setting in sorted(table, key=lambda setting: groups.index(setting.name.rpartition(".")[0])):
        prefix, _, name = setting.name.rpartition(".")
        indent = "  " if prefix else ""
        lines += ["", f"{prefix}:"] if prefix != group else [""]
        group = prefix
        lines += textwrap.wrap(
            setting.help, 98, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        lines.append(f"{indent}{name}: {sample(setting.default)}".rstrip())
    return "\n".join(lines) + "\n"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is not known, with the nearest one that is."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f", did you mean {nearest[0]}?" if nearest else ""
    return f"unknown {kind}{hint}"


def _environment_names() -> bool:
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


def read_yaml(path: Path) -> Mapping[str, object]:
    """Return a file's nested mapping with scalars as text; empty for an empty file.

    Raises
    ------
    SettingsError
        It cannot be read, is not YAML, not a mapping, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise SettingsError("file not found", file=path) from None
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or '').lower()}"
        raise SettingsError(problem, file=path) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"is not UTF-8 at octet {error.start}", file=path) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = f"is not YAML: {error.problem or error.context}"
        raise SettingsError(problem, file=_at(path, line)) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {' '.join(str(error).split())}", file=path) from None
    tree = _plain(node, path) if node is not None else {}
    if not isinstance(tree, dict):
        if tree == "":
            return {}
        raise SettingsError("expected settings as `name: value`", file=path)
    return tree


def _plain(node: yaml.Node, path: Path) -> object:
    """Turn a YAML node into dict, list and text; unlike PyYAML, refuse a key given twice."""
    if isinstance(node, yaml.ScalarNode):
        empty = node.tag == "tag:yaml.org,2002:null"
        return "" if empty else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, path) for item in node.value]
    tree: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        if key in tree:
            raise SettingsError(
                "is set twice", file=_at(path, key_node.start_mark.line + 1), key=key
            )
        tree[key] = _plain(value_node, path)
    return tree


def _at(path: Path, line: int) -> Path:
    return Path(f"{path}:{line}")


def _leaves(tree: Mapping[str, object], known: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Yield dotted names with values; a known name's value is never looked into."""
    names = set(known)
    groups = {name[:dot_at] for name in names for dot_at in _dots(name)}
    yield from _walk(tree, "", names, groups)


def _walk(
    tree: Mapping[str, object], prefix: str, names: set[str], groups: set[str]
) -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        name = prefix + key
        if name not in names and isinstance(value, dict) and value:
            yield from _walk(value, f"{name}.", names, groups)
        elif name not in groups or value not in ("", {}):
            yield name, value


def _dots(name: str) -> list[int]:
    return [position for position, letter in enumerate(name) if letter == "."]
