"""The settings of the appliance: one YAML file in, one frozen `Settings` object out.

`CORE_SETTINGS` (`appliance.settings.core`) is the single table of what the core itself can be told;
plugins add theirs through `register_settings`. The sample configuration, `appliance check` and
every message are made from these entries. Reading goes in two steps because a setting decides which
plugins are loaded and plugins decide which settings exist: `read_settings_file`, then
`SettingsFile.settings(plugins' own)`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast, overload

import yaml

from appliance.errors import SettingsError
from appliance.settings.core import (
    BUILT_IN,
    CORE_SETTINGS,
    SYSTEM_DATA_FOLDER,
)
from appliance.settings.location import FILE_NAME, SYSTEM_FOLDER, find_settings_file
from appliance.settings.raw_values import sample, unknown
from appliance.settings.types import Setting, SettingType, UnfitSettingError, sample_setting

__all__ = [
    "BUILT_IN",
    "CORE_SETTINGS",
    "FILE_NAME",
    "SYSTEM_DATA_FOLDER",
    "SYSTEM_FOLDER",
    "EffectiveSetting",
    "Setting",
    "Settings",
    "SettingsFile",
    "read_settings_file",
    "read_yaml",
    "sample_configuration",
    "unknown",
]

T = TypeVar("T")


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
    _types: Mapping[str, SettingType[Any]] = field(default_factory=dict)
    _changed: frozenset[str] = frozenset()

    @overload
    def __getitem__(self, key: Setting[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: Setting[Any] | str) -> Any:
        return self._values[key if isinstance(key, str) else key.name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def is_changed(self, name: str) -> bool:
        """Tell whether `appliance.yml` has another value than the default.

        A default that is written there is no decision: the sample file writes all of them.
        """
        return name in self._changed

    def with_overrides(self, file: Path, raw: Mapping[str, object]) -> Settings:
        """Return these settings with values that another file has, written as in `appliance.yml`.

        Names of plugins that are not loaded are left out.

        Raises
        ------
        SettingsError
            A value does not fit.
        """
        values = dict(self._values)
        known = {name: value for name, value in raw.items() if name in self._types}
        for name, value in known.items():
            try:
                values[name] = self._types[name].parse(value, file.parent)
            except UnfitSettingError as error:
                raise SettingsError(str(error), file=file, key=name) from None
            except ValueError:
                expected = self._types[name].expected
                problem = f"expected {expected}, found {sample_setting(self._types[name], value)}"
                raise SettingsError(problem, file=file, key=name) from None
        effective = tuple(
            EffectiveSetting(e.name, sample_setting(self._types[e.name], known[e.name]), str(file))
            if e.name in known
            else e
            for e in self._effective
        )
        return Settings(self.file, MappingProxyType(values), effective, self._types, self._changed)

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
        written = self._leaves_of(table)
        values: dict[str, object] = {}
        effective: list[EffectiveSetting] = []
        for name, setting in table.items():
            raw = written.get(name, self._default(setting))
            value = values[name] = self._parse(setting, raw)
            text = str(value) if isinstance(value, Path) else sample_setting(setting.type, raw)
            origin = str(self.path) if name in written else "default"
            effective.append(EffectiveSetting(name, text, origin))
        types = {name: setting.type for name, setting in table.items()}
        changed = frozenset(
            name
            for name in written
            if values[name] != self._parse(table[name], self._default(table[name]))
        )
        return Settings(self.path, MappingProxyType(values), tuple(effective), types, changed)

    def disabled_plugins(self) -> tuple[str, ...]:
        """Return `plugins.disabled`, which must be known before any plugin is loaded."""
        setting = next(s for s in CORE_SETTINGS if s.name == "plugins.disabled")
        for path, value in _leaves(self.tree, (setting.name,)):
            if path == setting.name:
                return cast(tuple[str, ...], self._parse(setting, value))
        return ()

    def _leaves_of(self, table: Mapping[str, Setting[Any]]) -> dict[str, object]:
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

    def _parse(self, setting: Setting[Any], raw: object) -> object:
        try:
            return setting.type.parse(raw, self.folder)
        except UnfitSettingError as error:
            raise SettingsError(str(error), file=self.path, key=setting.name) from None
        # Types of plugins raise other things as well; whatever it is, the value does not fit.
        except Exception:
            problem = f"expected {setting.type.expected}, found {sample_setting(setting.type, raw)}"
            raise SettingsError(problem, file=self.path, key=setting.name) from None


def read_settings_file(folder: Path | None = None) -> SettingsFile:
    """Read `appliance.yml` of this folder or a usual one; with none of them all is default.

    Parameters
    ----------
    folder
        See `find_settings_file`.

    Raises
    ------
    SettingsError
        The named folder has no such file, or it cannot be read, or it is not YAML.
    """
    path = find_settings_file(folder)
    if path is None:
        return SettingsFile(None, Path("conf").absolute(), {})
    return SettingsFile(path, path.parent.absolute(), read_yaml(path))


def sample_configuration(settings: Iterable[Setting[Any]] = CORE_SETTINGS) -> str:
    """Write a configuration file with each setting at its default under its explanation."""
    lines = [
        "# The NetFlow appliance. Every setting is here at its default; change what you need and",
        "# delete what you like. `appliance check --settings` prints what is in force and why.",
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
