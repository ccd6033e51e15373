"""What each `register_` hook returns: checked at start, where what is wrong stops it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from appliance.contracts import Route
from appliance.core_settings import Setting
from appliance.guard.values import mapping, of_type, whole


def _decoder(value: object) -> None:
    version = whole(_attribute(value, "version"))
    if not 0 <= version <= 0xFFFF:
        raise ValueError(f"expected a version of 16 bits, found {version}")
    of_type(_attribute(value, "name"), str)
    _method(value, "decode")


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
    if route.schema is not None:
        schema = mapping(route.schema)
        json.dumps(schema)
        of_type(schema.get("parameters", []), list)
        mapping(schema.get("responses", {}))


def _store(value: object) -> None:
    scheme, factory = of_type(value, tuple)
    of_type(scheme, str)
    _function(factory)


def _backup(value: object) -> None:
    name = of_type(_attribute(value, "name"), str)
    if not name.replace("-", "").isalnum():
        raise ValueError(f"expected letters, digits and -, found {name!r}")


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


def _metrics(value: object) -> None:
    _method(value, "collect")


REGISTERED: Mapping[str, Callable[[object], None]] = {
    "register_settings": _setting,
    "register_decoders": _decoder,
    "register_enrichers": _function,
    "register_stores": _store,
    "register_loaders": _loader,
    "register_routes": _route,
    "register_commands": _command,
    "register_metrics": _metrics,
    "register_backups": _backup,
    "register_checks": _function,
}
"""By hook: raises TypeError or ValueError for a value that cannot be used."""
