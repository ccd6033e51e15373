"""The keys that a pmacct configuration may have: which nfacctd knows, and which act here.

`keys.csv` lists what pmacct 1.7.7 documents (CONFIG-KEYS) and its nfacctd knows: name, for which
plugins it counts, its type, and its effect here. What a value may be is said in nfacctd's words.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

SQL_PLUGINS = ("mysql", "sqlite3")
PRINT = "print"
FILLED_PLUGINS = (*SQL_PLUGINS, PRINT)
PRINT_OUTPUTS = ("formatted", "csv", "json", "event_formatted", "event_csv")
PLUGIN_TYPES = (
    *("memory", PRINT, "nfprobe", "sfprobe", *SQL_PLUGINS, "pgsql", "mongodb"),
    *("amqp", "kafka", "tee"),
)


ACTS, CHANGES_ROWS, CHANGES_NOTHING = "acts", "rows", "none"
"""What `keys.csv` says of a key: the appliance acts upon it; it does not, so that tables would hold
something else than nfacctd's; it does not, and nothing in a table depends on it."""

GLOBAL, PLUGIN = "global", "plugin"

_SHARED = (
    *("refresh_time", "trigger_exec", "history", "history_offset", "history_roundoff"),
    *("max_writers", "preprocess", "preprocess_type", "startup_delay", "num_protos"),
)
"""What `sql_` and `print_` keys name alike, and nfacctd keeps once."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that nfacctd knows.

    Attributes
    ----------
    scope
        `global`: it counts for all plugins only; `plugin`: for one only; `any`.
    is_boolean
        It is true or false.
    effect
        `ACTS`, `CHANGES_ROWS` or `CHANGES_NOTHING`.
    note
        Why nothing is lost where it does not act, or what is done here in its place.
    """

    name: str
    scope: str
    is_boolean: bool
    effect: str
    note: str

    @property
    def is_global(self) -> bool:
        """Whether it counts for all plugins only."""
        return self.scope == GLOBAL

    def changes_rows(self, value: str) -> bool:
        """Tell whether tables would hold something else with this value, which does not act."""
        if self.name in _METHODS:
            return value.lower() not in _METHODS[self.name]
        unset = self.is_boolean and value.lower() == "false"
        return self.effect == CHANGES_ROWS and not unset


_METHODS = {
    "nfacctd_as": ("false", "netflow", "file", "longest", "fallback"),
    "nfacctd_net": ("netflow", "file", "longest", "fallback", "mask"),
}
"""Where AS numbers and networks may come from: not from BGP, BMP or IS-IS."""


@functools.cache
def known_keys() -> Mapping[str, Key]:
    """Return every key that nfacctd knows, by name."""
    text = (resources.files(__package__) / "keys.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    keys = (
        Key(r["name"], r["scope"], r["type"] == "boolean", r["effect"], r["note"]) for r in rows
    )
    return MappingProxyType({key.name: key for key in keys})


def _range(low: int, high: int | None) -> Callable[[int], bool]:
    return lambda number: number >= low and (high is None or number <= high)


_LIMITS: dict[str, tuple[Callable[[int], bool], str]] = {
    "nfacctd_port": (_range(1, 65535), "in the range 1-65535"),
    "nfacctd_pipe_size": (_range(1, 2**31 - 1), "> 0 and <= INT_MAX"),
    "sampling_rate": (_range(1, None), ">= 1"),
    "nfacctd_ext_sampling_rate": (_range(1, None), ">= 1"),
    "networks_mask": (_range(1, 255), "> 0"),
    "sql_history_offset": (_range(0, None), ">= 0"),
    "print_history_offset": (_range(0, None), ">= 0"),
    "sql_port": (_range(1, None), "> 0"),
    "sql_refresh_time": (_range(1, None), "> 0"),
    "sql_cache_entries": (_range(1, None), "> 0"),
    "sql_startup_delay": (_range(0, None), ">= 0"),
    "print_refresh_time": (_range(1, None), "> 0"),
    "print_cache_entries": (_range(1, None), "> 0"),
    "print_startup_delay": (_range(0, None), ">= 0"),
    "sql_multi_values": (_range(0, None), ">= 0"),
}


def value_problem(key: Key, value: str) -> str | None:
    """Return why nfacctd ignores a value: its words, empty where it has none; None: it does not."""
    if key.is_boolean:
        return None if value.lower() in ("true", "false") else ""
    if key.name in _LIMITS:
        fits, words = _LIMITS[key.name]
        return None if fits(leading_number(value)) else f"'{key.name}' has to be {words}."
    if key.name == "files_umask" and not _is_umask(value):
        return "The specified value for 'files_umask' is too small or no octal number"
    if key.name == "print_output" and value.lower() not in (*PRINT_OUTPUTS, "avro"):
        return f"Invalid print output value '{value}'"
    if key.name == "sql_table_type" and value.lower() not in ("original", "bgp"):
        return f"Invalid sql_table_type value '{value}'"
    return None


def _is_umask(value: str) -> bool:
    """Tell whether others may not write with a mask: nfacctd takes none below 002."""
    octal = value.isascii() and value.isdigit() and set(value) <= set("01234567")
    return octal and 0o002 <= int(value, 8) <= 0o777


def leading_number(text: str) -> int:
    """Read a number as C's `atoi` does: what does not begin with one is 0."""
    sign, digits = (text[:1], text[1:]) if text[:1] in ("-", "+") else ("", text)
    number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return int(f"{sign}{number}") if number.isascii() and number else 0


def keys_of_one_setting(key: str) -> tuple[str, ...]:
    """Return the keys that nfacctd keeps in one place, of which the later line counts (its cfg.c).

    `sql_table` and `print_output_file` are not among them: a plugin takes one or the other.
    """
    prefix, _, rest = key.partition("_")
    if prefix in ("sql", "print") and rest in _SHARED:
        return (f"sql_{rest}", f"print_{rest}")
    return (key,)
