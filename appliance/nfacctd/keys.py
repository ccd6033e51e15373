"""The keys that a pmacct configuration may have: which nfacctd knows, and which act here.

`keys.csv` lists what pmacct 1.7.7 documents (CONFIG-KEYS) and its nfacctd knows: name, whether it
counts for all plugins only, and its type. What a value may be is said in nfacctd's own words.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

ACTING = frozenset(
    (
        *("daemonize", "pidfile", "logfile", "syslog", "plugins"),
        *("nfacctd_ip", "nfacctd_port", "nfacctd_pipe_size", "nfacctd_allow_file"),
        *("nfacctd_time_new", "nfacctd_time_secs", "nfacctd_account_options"),
        *("nfacctd_renormalize", "nfacctd_templates_file"),
        "sampling_rate",
        *("aggregate", "aggregate_primitives", "pre_tag_map"),
        *("sql_db", "sql_host", "sql_port", "sql_user", "sql_passwd", "sql_table"),
        *("sql_table_schema", "sql_table_version", "sql_table_type", "sql_refresh_time"),
        *("sql_startup_delay", "sql_history", "sql_history_roundoff", "sql_optimize_clauses"),
        *("sql_dont_try_update", "sql_multi_values", "sql_cache_entries", "sql_num_hosts"),
        *("sql_num_protos", "sql_conn_ca_file", "timestamps_secs"),
        *("print_output", "print_output_separator", "print_output_file"),
        *("print_output_file_append", "print_refresh_time", "print_startup_delay"),
        *("print_history", "print_history_roundoff", "print_markers", "print_num_protos"),
        "print_cache_entries",
    )
)
"""Keys whose value changes what the appliance does."""

ACCEPTED: Mapping[str, str] = MappingProxyType(
    {
        "plugin_buffer_size": "nothing is copied between processes here",
        "plugin_pipe_size": "nothing is copied between processes here",
        "sql_locking_style": "a transaction takes the place of a lock",
        "nfacctd_disable_checks": "sequence numbers are always checked, and losses counted",
    }
)
"""Keys that nothing is lost by, each with the reason."""

SQL_PLUGINS = ("mysql", "sqlite3")
PRINT = "print"
FILLED_PLUGINS = (*SQL_PLUGINS, PRINT)
PRINT_OUTPUTS = ("formatted", "csv", "json", "event_formatted", "event_csv")
PLUGIN_TYPES = (
    *("memory", PRINT, "nfprobe", "sfprobe", *SQL_PLUGINS, "pgsql", "mongodb"),
    *("amqp", "kafka", "tee"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its name, whether it exists for all plugins only, and whether it is true or false."""

    name: str
    is_global: bool
    is_boolean: bool


@functools.cache
def known_keys() -> Mapping[str, Key]:
    """Return every key that nfacctd knows, by name."""
    text = (resources.files(__package__) / "keys.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    keys = (Key(r["name"], r["scope"] == "global", r["type"] == "boolean") for r in rows)
    return MappingProxyType({key.name: key for key in keys})


def _range(low: int, high: int | None) -> Callable[[int], bool]:
    return lambda number: number >= low and (high is None or number <= high)


_LIMITS: dict[str, tuple[Callable[[int], bool], str]] = {
    "nfacctd_port": (_range(1, 65535), "in the range 1-65535"),
    "nfacctd_pipe_size": (_range(1, 2**31 - 1), "> 0 and <= INT_MAX"),
    "sampling_rate": (_range(1, None), ">= 1"),
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
    if key.name == "print_output" and value.lower() not in (*PRINT_OUTPUTS, "avro"):
        return f"Invalid print output value '{value}'"
    if key.name == "sql_table_type" and value.lower() not in ("original", "bgp"):
        return f"Invalid sql_table_type value '{value}'"
    return None


def leading_number(text: str) -> int:
    """Read a number as C's `atoi` does: what does not begin with one is 0."""
    sign, digits = (text[:1], text[1:]) if text[:1] in ("-", "+") else ("", text)
    number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return int(f"{sign}{number}") if number.isascii() and number else 0
