"""Reads a collector configuration in pmacct's format (`key[plugin]: value`) without losing a line.

Follows what nfacctd 1.7.7 does, documented in pmacct's CONFIG-KEYS: whole-line comments with `!`
or `#`, keys in any case, the later of two equal lines wins, and trailing comments are part of the
value. Every line is kept as written, so that the file can be edited in place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import SettingsError

_PLUGIN = re.compile(r"([^\[\],\s]+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """One line of the file.

    Attributes
    ----------
    number
        From 1.
    text
        As written, with its line end.
    key
        Lower case, without the plugin's name; empty for a comment or a blank line.
    plugin
        The name in brackets after the key; empty when the line is for all plugins.
    value
        Without blanks around it.
    """

    number: int
    text: str
    key: str = ""
    plugin: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class PluginName:
    """An entry of the `plugins` line: `mysql[netflow]` is type `mysql` with name `netflow`."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A collector configuration: its lines, and the values that the collector asks it for."""

    path: Path
    lines: tuple[ConfigLine, ...]

    def value(self, key: str, plugin: str = "") -> str | None:
        """Return the last value of a key: for this plugin or for all, whichever comes later."""
        found = self.line(key, plugin)
        return found.value if found else None

    def line(self, key: str, plugin: str = "") -> ConfigLine | None:
        """Return the line that `value` takes its value from."""
        found = (line for line in reversed(self.lines) if line.key == key)
        return next((line for line in found if line.plugin in ("", plugin)), None)

    @property
    def plugins(self) -> tuple[PluginName, ...]:
        """The plugins to run; as in nfacctd the first `plugins` line counts, later ones do not."""
        first = next((line.value for line in self.lines if line.key == "plugins"), "")
        plugins: dict[str, PluginName] = {}
        for kind, written in _PLUGIN.findall(first):
            name = written or f"default_{kind}"
            plugins.setdefault(name, PluginName(kind, name))
        return tuple(plugins.values())


def read_config(path: Path) -> CollectorConfig:
    """Read a collector configuration.

    Raises
    ------
    SettingsError
        The file cannot be read, a line has no colon, or its brackets do not match; names the line.
    """
    lines = read_lines(path)
    return CollectorConfig(
        path, tuple(_parse_line(path, n, text) for n, text in enumerate(lines, 1))
    )


def read_lines(path: Path) -> Sequence[str]:
    """Return the lines of a pmacct file with their line ends; octets that are not UTF-8 survive.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read().splitlines(keepends=True)
    except FileNotFoundError:
        raise SettingsError("file not found", file=path) from None
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or '').lower()}"
        raise SettingsError(problem, file=path) from None


def is_comment(text: str) -> bool:
    """Tell whether a line is blank or a comment."""
    return text.strip()[:1] in ("", "!", "#")


def at_line(path: Path, number: int) -> Path:
    """Return `file:line`, as pmacct writes where something is."""
    return Path(f"{path}:{number}")


def _parse_line(path: Path, number: int, text: str) -> ConfigLine:
    if is_comment(text):
        return ConfigLine(number, text)
    left, colon, value = text.partition(":")
    if not colon:
        raise SettingsError("syntax error: missing ':'", file=at_line(path, number))
    key, bracket, rest = left.strip().partition("[")
    if bracket and left.count("[") != left.count("]"):
        raise SettingsError("syntax error: not weighted brackets", file=at_line(path, number))
    if bracket and (not rest.endswith("]") or left.count("[") > 1):
        raise SettingsError("syntax error: illegal brackets", file=at_line(path, number))
    plugin = rest.removesuffix("]").strip()
    return ConfigLine(number, text, key.strip().lower(), plugin, value.strip())
