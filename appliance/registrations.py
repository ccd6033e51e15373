"""Calls the `register_` hooks plugin by plugin, and refuses what clashes, naming both plugins.

`appliance.app` puts together what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import click
import pluggy

from appliance.cli import CORE_COMMANDS
from appliance.contracts import (
    THE_CORE,
    DatagramTap,
    Engine,
    FlowStore,
    OverridingFile,
    QuerySource,
    Registered,
    StoreFactory,
    ValueNames,
)
from appliance.errors import ApplianceError, SettingsError, StartupError
from appliance.flows import Column
from appliance.guard import Guard, GuardedEngine, GuardedObject, PluginFailures, guard_object
from appliance.guard.guards import Contract
from appliance.guard.methods import DATAGRAM_TAP, OVERRIDES, QUERY_SOURCE, STORE
from appliance.guard.registration import REGISTERED
from appliance.query.dimensions import taken_names
from appliance.settings.file import BUILT_IN, CORE_SETTINGS, Setting, Settings

T = TypeVar("T")

BY_NAME = ("register_stores", "register_query_sources")
"""Hooks that return a dictionary."""


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
    except (TypeError, ValueError) as error:
        raise StartupError(f"{where}: {error or type(error).__name__}") from error
    except KeyboardInterrupt:
        raise
    # Looking at what it returned runs code of the plugin as well.
    except BaseException as error:
        raise StartupError(f"{where}: {type(error).__name__}: {error}") from error
    return entries


def _values(returned: object, hook: str) -> list[object]:
    """Return the values of a list, or the items of what hooks return that register by name."""
    if hook in BY_NAME:
        if not isinstance(returned, Mapping):
            raise TypeError(f"expected a dictionary, found {type(returned).__name__}")
        return list(returned.items())
    if not isinstance(returned, list | tuple):
        raise TypeError(f"expected a list, found {type(returned).__name__}")
    return list(returned)


def call_of(impl: pluggy.HookImpl, facts: Mapping[str, object]) -> Callable[[], object]:
    """Return a function that calls one plugin's hook with the arguments that it asks for."""
    return lambda: impl.function(*(facts[name] for name in impl.argnames))


def gather_settings(manager: pluggy.PluginManager) -> tuple[Setting[Any], ...]:
    """Return the settings of all plugins.

    Raises
    ------
    StartupError
        Two plugins, or one and the core, have a setting of one name.
    """
    entries: list[Registered[Setting[Any]]] = collect(manager, "register_settings", {})
    core = [Registered(THE_CORE, setting) for setting in CORE_SETTINGS]
    refuse_duplicates("setting", [*core, *entries], lambda setting: setting.name)
    return tuple(entry.value for entry in entries)


def gather_columns(manager: pluggy.PluginManager) -> tuple[Column, ...]:
    """Return the columns of all plugins.

    Raises
    ------
    StartupError
        Two plugins, or one and the core, have a column of one name.
    """
    entries: list[Registered[Column]] = collect(manager, "register_columns", {})
    names = [Registered(entry.plugin, entry.value.name) for entry in entries]
    refuse_duplicates("column", [*(Registered(THE_CORE, n) for n in taken_names()), *names], str)
    return tuple(entry.value for entry in entries)


def overriding_files(
    manager: pluggy.PluginManager, settings: Settings, failures: PluginFailures
) -> tuple[OverridingFile, ...]:
    """Return the files that decide settings, in their guards."""
    entries = collect(manager, "settings_overrides", {"settings": settings})
    return tuple(
        guard_object(Guard(entry.plugin, "overrides", failures), entry.value, OVERRIDES)
        for entry in entries
    )


def gather_commands(manager: pluggy.PluginManager) -> tuple[Registered[click.Command], ...]:
    """Return the commands of all plugins.

    Raises
    ------
    StartupError
        Two plugins, or one and the core, have a command of one name.
    """
    entries: list[Registered[click.Command]] = collect(manager, "register_commands", {})
    core = [Registered(THE_CORE, click.Command(name)) for name in CORE_COMMANDS]
    refuse_duplicates("command", [*core, *entries], lambda command: str(command.name))
    return tuple(entries)


def gather_stores(
    manager: pluggy.PluginManager, settings: Settings, failures: PluginFailures
) -> dict[str, StoreFactory]:
    """Return the stores of all plugins by URL scheme; what they open stands in its guard.

    Raises
    ------
    StartupError
        Two plugins have one scheme.
    """
    entries = collect(manager, "register_stores", {"settings": settings})
    refuse_duplicates("store", entries, lambda item: item[0])
    return {
        entry.value[0]: _guarded_factory(Guard(entry.plugin, "store", failures), entry.value[1])
        for entry in entries
    }


def gather_query_sources(
    manager: pluggy.PluginManager, settings: Settings, failures: PluginFailures
) -> dict[str, QuerySource]:
    """Return what answers questions in place of the flow log, by name, in guards; none is made yet.

    Raises
    ------
    StartupError
        Two plugins have one name.
    """
    entries = collect(manager, "register_query_sources", {"settings": settings})
    refuse_duplicates("query source", entries, lambda item: item[0])
    return {
        entry.value[0]: cast(
            QuerySource,
            GuardedObject(
                Guard(entry.plugin, "query source", failures),
                partial(entry.value[1], settings),
                QUERY_SOURCE,
            ),
        )
        for entry in entries
    }


def gather_value_names(
    manager: pluggy.PluginManager, settings: Settings
) -> list[Registered[ValueNames]]:
    """Return who names the numbers of columns.

    Raises
    ------
    StartupError
        Two name those of one column.
    """
    entries: list[Registered[ValueNames]] = collect(
        manager, "register_value_names", {"settings": settings}
    )
    columns = [Registered(e.plugin, column) for e in entries for column in e.value.columns]
    refuse_duplicates("names of column", columns, str)
    return entries


def gather_engines(
    manager: pluggy.PluginManager, settings: Settings, failures: PluginFailures
) -> dict[str, GuardedEngine]:
    """Return the engines of all plugins; the one that is chosen is the own receiver or among them.

    Raises
    ------
    StartupError
        Two have one name.
    SettingsError
        No plugin that is loaded has the one that is chosen.
    """
    entries: list[Registered[Engine]] = collect(manager, "register_engines", {"settings": settings})
    named = [Registered(entry.plugin, entry.value.name) for entry in entries]
    refuse_duplicates("engine", [Registered(THE_CORE, BUILT_IN), *named], str)
    engine, known = settings["collector.engine"], [BUILT_IN, *(name.value for name in named)]
    if engine not in known:
        problem = f"expected {' or '.join(known)}, found {engine}: no plugin has that engine"
        raise SettingsError(problem, file=settings.file, key="collector.engine")
    return {e.value.name: GuardedEngine(e.plugin, e.value, failures) for e in entries}


def gather_taps(
    manager: pluggy.PluginManager, settings: Settings, failures: PluginFailures
) -> tuple[DatagramTap, ...]:
    """Return what gets copies of datagrams, in guards.

    Raises
    ------
    StartupError
        Two plugins have one name.
    """
    entries = collect(manager, "register_datagram_taps", {"settings": settings})
    refuse_duplicates("tap", entries, lambda tap: tap.name)
    return tuple(
        guard_object(Guard(e.plugin, "tap", failures), e.value, DATAGRAM_TAP) for e in entries
    )


def gather_guarded(
    manager: pluggy.PluginManager,
    settings: Settings,
    failures: PluginFailures,
    hook: str,
    guarded: tuple[str, Contract],
) -> tuple[Any, ...]:
    """Return what plugins register with a hook, each in the guard of this part and contract."""
    part, contract = guarded
    entries = collect(manager, hook, {"settings": settings})
    return tuple(guard_object(Guard(e.plugin, part, failures), e.value, contract) for e in entries)


def _guarded_factory(guard: Guard, factory: StoreFactory) -> StoreFactory:
    def open_store(url: str, settings: Settings) -> FlowStore:
        return cast(FlowStore, GuardedObject(guard, lambda: factory(url, settings), STORE))

    return open_store
