"""What each `register_` hook returns: checked at start, where what is wrong stops it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import numpy as np

from appliance.contracts import Page, Route, SignInWay, StreamFraming, ValueNames
from appliance.flows import OCTETS_PREFIX, Column
from appliance.guard.methods import (
    COUNTER_SINK,
    DATAGRAM_TAP,
    OVERRIDES,
    POLLER,
)
from appliance.guard.template_files import TEMPLATE_FILE
from appliance.guard.values import all_exactly, mapping, of_type, whole
from appliance.settings.types import Setting

_COLUMN_NAME = re.compile("[a-z][a-z0-9_]{0,62}")
_PAGE_PATH = re.compile("[a-z][a-z0-9-]{0,40}")
_WAY_NAME = re.compile("[a-z]{1,40}")
_ENGINE_NAME = re.compile("[a-z][a-z0-9_]*")
MOST_SUMS = 100_000
_COLUMN_DTYPES = ("u1", "u2", "u4", "u8", "i8", "f8", "O")


def _column(value: object) -> None:
    column = of_type(value, Column)
    if not _COLUMN_NAME.fullmatch(of_type(column.name, str)):
        raise ValueError(f"expected a name of small letters, digits and _, found {column.name!r}")
    if column.name.startswith(OCTETS_PREFIX) or column.name.endswith(("_hi", "_lo")):
        raise ValueError(f"{column.name}: such names are kept for raw octets and addresses")
    dtype = of_type(column.dtype, np.dtype)
    if dtype.str[1:] not in _COLUMN_DTYPES or not dtype.isnative:
        raise TypeError(
            f"{column.name}: expected dtype {', '.join(_COLUMN_DTYPES)}, found {dtype.str}"
        )
    if of_type(column.has_names, bool) and dtype.kind != "u":
        raise TypeError(f"{column.name}: has names, expected whole numbers from 0")
    absent = dtype.type(0).item() if dtype.kind != "O" else ""
    if type(column.absent) is not type(absent):
        raise TypeError(f"{column.name}: absent {column.absent!r} is none of its values")
    if whole(column.sums_kept):
        _sums(column)
    _elements(column)


def _sums(column: Column) -> None:
    if column.dtype.str[1:] not in ("u1", "u2", "u4") or column.absent or column.options_only:
        raise TypeError(f"{column.name}: sums are kept of flows by u1, u2 or u4, absent 0")
    if not 0 < column.sums_kept <= MOST_SUMS:
        raise ValueError(f"{column.name}: sums of 1 to {MOST_SUMS} values, not {column.sums_kept}")


def _elements(column: Column) -> None:
    all_exactly(of_type(column.elements, tuple), int)
    for element in column.elements:
        if not 0 < element <= 0xFFFF:
            raise ValueError(f"{column.name}: expected elements of 16 bits, found {element}")
    for pair in of_type(column.enterprise_elements, tuple):
        all_exactly(of_type(pair, tuple), int)
        # RFC 7011 section 3.2: an element with an enterprise number has 15 bits.
        if len(pair) != 2 or not (0 < pair[0] < 1 << 32 and 0 < pair[1] < 1 << 15):
            raise ValueError(
                f"{column.name}: expected pairs of an enterprise number and an element up to "
                f"32767, found {pair!r}"
            )


def _decoder(value: object) -> None:
    version = whole(_attribute(value, "version"))
    if not 0 <= version <= 0xFFFF:
        raise ValueError(f"expected a version of 16 bits, found {version}")
    of_type(_attribute(value, "name"), str)
    _method(value, "decode")
    framing = getattr(value, "framing", None)
    if framing is not None:
        _framing(of_type(framing, StreamFraming))


def _framing(framing: StreamFraming) -> None:
    offset, header = whole(framing.length_offset), whole(framing.header_octets)
    if not 2 <= offset <= header - 2 <= 1024:
        raise ValueError(
            f"expected a length behind the version and within the header, found {framing}"
        )


def _function(value: object) -> None:
    if not callable(value):
        raise TypeError(f"expected a function, found {type(value).__name__}")


def _setting(value: object) -> None:
    setting = of_type(value, Setting)
    of_type(setting.name, str)
    of_type(setting.help, str)
    of_type(_attribute(setting.type, "expected"), str)
    _method(setting.type, "parse")
    setting.type.parse(setting.default, Path("/"))


def _route(value: object) -> None:
    route = of_type(value, Route)
    of_type(route.method, str)
    of_type(route.path, str)
    if not route.path.startswith("/"):
        raise ValueError(f"expected a path from /, found {route.path}")
    if not callable(route.handler):
        raise TypeError(f"{route.path}: expected a function, found {type(route.handler).__name__}")
    if route.role is not None:
        of_type(route.role, str)
    of_type(route.open_to_bound_users, bool)
    if route.schema is not None:
        schema = mapping(route.schema)
        json.dumps(schema)
        of_type(schema.get("parameters", []), list)
        mapping(schema.get("responses", {}))


def _page(value: object) -> None:
    page = of_type(value, Page)
    for text in (page.title, page.path, page.script, page.role):
        of_type(text, str)
    whole(page.order)
    of_type(page.open_to_bound_users, bool)
    if not _PAGE_PATH.fullmatch(page.path):
        raise ValueError(f"expected a path of small letters, digits and -, found {page.path!r}")


def _sign_in_way(value: object) -> None:
    way = of_type(value, SignInWay)
    for text in (way.name, way.title, way.url):
        of_type(text, str)
    if not _WAY_NAME.fullmatch(way.name) or way.name == "password":
        raise ValueError(f"expected a name of small letters, not password, found {way.name!r}")


def _value_names(value: object) -> None:
    names = of_type(value, ValueNames)
    all_exactly(of_type(names.columns, tuple), str)
    _function(names.names)


def _store(value: object) -> None:
    scheme, factory = of_type(value, tuple)
    of_type(scheme, str)
    _function(factory)


def _backup(value: object) -> None:
    name = of_type(_attribute(value, "name"), str)
    if not name.replace("-", "").isalnum():
        raise ValueError(f"expected letters, digits and -, found {name!r}")


def _overriding_file(value: object) -> None:
    OVERRIDES.check(value)


def _engine(value: object) -> None:
    name = of_type(_attribute(value, "name"), str)
    if not _ENGINE_NAME.fullmatch(name):
        raise ValueError(f"expected a name of small letters, digits and _, found {name!r}")
    _method(value, "feed")
    _method(value, "daemon")


def _template_file(value: object) -> None:
    TEMPLATE_FILE.check(value)


def _datagram_tap(value: object) -> None:
    DATAGRAM_TAP.check(value)


def _counter_sink(value: object) -> None:
    COUNTER_SINK.check(value)


def _command(value: object) -> None:
    of_type(of_type(value, click.Command).name, str)


def _attribute(value: object, name: str) -> object:
    if not hasattr(value, name):
        raise TypeError(f"{type(value).__name__} has no {name}")
    return getattr(value, name)


def _method(value: object, name: str) -> None:
    if not callable(_attribute(value, name)):
        raise TypeError(f"{name} of {type(value).__name__} cannot be called")


def _loader(value: object) -> None:
    of_type(_attribute(value, "name"), str)


def _poller(value: object) -> None:
    POLLER.check(value)


def _metrics(value: object) -> None:
    _method(value, "collect")


REGISTERED: Mapping[str, Callable[[object], None]] = {
    "register_settings": _setting,
    "settings_overrides": _overriding_file,
    "register_columns": _column,
    "register_decoders": _decoder,
    "register_datagram_taps": _datagram_tap,
    "register_counter_sinks": _counter_sink,
    "register_enrichers": _function,
    "register_redactors": _function,
    "register_engines": _engine,
    "register_template_files": _template_file,
    "register_stores": _store,
    "register_query_sources": _store,
    "register_loaders": _loader,
    "register_pollers": _poller,
    "register_routes": _route,
    "register_pages": _page,
    "register_sign_in_ways": _sign_in_way,
    "register_value_names": _value_names,
    "register_commands": _command,
    "register_metrics": _metrics,
    "register_backups": _backup,
    "register_checks": _function,
}
"""By hook: raises TypeError or ValueError for a value that cannot be used."""
