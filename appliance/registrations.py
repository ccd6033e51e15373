"""Calls the `register_` hooks plugin by plugin, and refuses what clashes, naming both plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pluggy

from appliance.contracts import Registered
from appliance.errors import ApplianceError, StartupError
from appliance.guard.registration import REGISTERED

T = TypeVar("T")


def collect(
    manager: pluggy.PluginManager, hook: str, facts: Mapping[str, object]
) -> list[Registered[Any]]:
    """Call a `register_` hook plugin by plugin, in their order, and keep who returned what.

    Raises
    ------
    StartupError
        A plugin raised, did not return a list, or something in it is not what it should be.
    """
    impls = getattr(manager.hook, hook).get_hookimpls()
    return [entry for impl in impls for entry in entries_of(impl, hook, facts)]


def refuse_duplicates(what: str, entries: Sequence[Registered[T]], key: Callable[[T], str]) -> None:
    """Raise when two entries have one key.

    Raises
    ------
    StartupError
        Names both plugins and what they share.
    """
    owners: dict[str, str] = {}
    for entry in entries:
        name = key(entry.value)
        if name in owners:
            raise StartupError(f"{what} {name}: both {owners[name]} and {entry.plugin} have it")
        owners[name] = entry.plugin


def entries_of(
    impl: pluggy.HookImpl, hook: str, facts: Mapping[str, object]
) -> list[Registered[Any]]:
    """Return what one plugin registers.

    Raises
    ------
    StartupError
        Names plugin and hook.
    """
    where = f"plugin {impl.plugin_name}: {hook}"
    try:
        returned = call_of(impl, facts)()
    except (ApplianceError, KeyboardInterrupt):
        raise
    # A plugin that cannot even register must be named, whatever it raised.
    except BaseException as error:
        raise StartupError(f"{where}: {type(error).__name__}: {error}") from error
    try:
        entries = [Registered(impl.plugin_name, value) for value in _values(returned, hook)]
        for entry in entries:
            REGISTERED[hook](entry.value)
    # Looking at what it returned runs code of the plugin as well.
    except Exception as error:
        raise StartupError(f"{where}: {error or type(error).__name__}") from error
    return entries


def _values(returned: object, hook: str) -> list[object]:
    """Return the values of a list, or the items of what `register_stores` returns."""
    if hook == "register_stores":
        if not isinstance(returned, Mapping):
            raise TypeError(f"expected a dictionary, found {type(returned).__name__}")
        return list(returned.items())
    if not isinstance(returned, list | tuple):
        raise TypeError(f"expected a list, found {type(returned).__name__}")
    return list(returned)


def call_of(impl: pluggy.HookImpl, facts: Mapping[str, object]) -> Callable[[], object]:
    """Return a function that calls one plugin's hook with the arguments that it asks for."""
    return lambda: impl.function(*(facts[name] for name in impl.argnames))
