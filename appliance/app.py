"""The composition root: settings and plugins in, one `App` out, with all that plugins registered.

Nothing is opened or started here; the commands take from an `App` what they need and pass it down.
`open_app` is what the command line calls, `build_app` what tests call with their own parts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import pluggy

from appliance.cli import CORE_COMMANDS
from appliance.contracts import Decoder, Enricher, Registered, Route, StoreFactory
from appliance.errors import ApplianceError, SettingsError, StartupError
from appliance.nfacctd.in_force import config_in_force
from appliance.nfacctd.overrides import decided
from appliance.plugin_manager import build_plugin_manager
from appliance.ratelimit import RateLimited
from appliance.settings import CORE_SETTINGS, Setting, Settings, SettingsFile, read_settings_file
from appliance.stores import LogLoader

T = TypeVar("T")
# Of the process: a hook that fails may be called for each exporter that appears.
log = RateLimited(logging.getLogger(__name__))

THE_CORE = "the appliance itself"


@dataclass(frozen=True, slots=True)
class App:
    """The appliance as configured, not started.

    Attributes
    ----------
    settings
        Every effective setting.
    plugins
        The manager with all loaded plugins.
    decoders, enrichers, routes, metrics
        What plugins registered, built-ins first, then by plugin name; no two decoders have one
        version, no two routes one method and path.
    stores
        Factories by URL scheme.
    own_settings
        The settings without what the collector configuration decides; None: there is none.
    """

    settings: Settings
    plugins: pluggy.PluginManager
    decoders: tuple[Decoder, ...] = ()
    enrichers: tuple[Registered[Enricher], ...] = ()
    routes: tuple[Registered[Route], ...] = ()
    commands: tuple[click.Command, ...] = ()
    metrics: tuple[Any, ...] = ()
    stores: Mapping[str, StoreFactory] | None = None
    own_settings: Settings | None = None

    @property
    def base_settings(self) -> Settings:
        """What a collector configuration is applied to."""
        return self.own_settings if self.own_settings is not None else self.settings

    def tell(self, hook: str, **facts: object) -> None:
        """Tell plugins what happened (`collector_started`, ...), each in its own guard."""
        for impl in getattr(self.plugins.hook, hook).get_hookimpls():
            try:
                impl.function(*(facts[name] for name in impl.argnames))
            # The event has happened; a plugin that fails to hear of it changes nothing.
            except Exception:
                log.exception("plugin %s failed in %s", impl.plugin_name, hook)


def open_app(folder: Path | None = None) -> App:
    """Build the appliance from the configuration folder and the installed plugins.

    Raises
    ------
    SettingsError, StartupError
        It cannot be; the text says why.
    """
    file = read_settings_file(folder)
    try:
        manager = build_plugin_manager(file.disabled_plugins())
    except SettingsError as error:
        raise SettingsError(error.problem, file=file.path, key=error.key) from None
    return build_app(manager, file)


def build_app(manager: pluggy.PluginManager, file: SettingsFile) -> App:
    """Ask every plugin what it has, and refuse what clashes.

    Raises
    ------
    StartupError
        A plugin raised, returned something else than it should, or has what another one has.
    SettingsError
        The configuration file does not fit the settings that there are.
    """
    own_settings = file.settings(registered_settings(manager))
    settings = _with_collector_config(own_settings)
    given = {"settings": settings}
    decoders = collect(manager, "register_decoders", given)
    routes: list[Registered[Route]] = collect(manager, "register_routes", given)
    refuse_duplicates("decoder for version", decoders, lambda decoder: str(decoder.version))
    refuse_duplicates("route", routes, lambda route: f"{route.method} {route.path}")
    return App(
        settings,
        manager,
        decoders=tuple(entry.value for entry in decoders),
        enrichers=tuple(collect(manager, "register_enrichers", given)),
        routes=tuple(routes),
        commands=registered_commands(manager),
        metrics=tuple(entry.value for entry in collect(manager, "register_metrics", given)),
        stores=_registered_stores(manager, given),
        own_settings=own_settings,
    )


def _with_collector_config(settings: Settings) -> Settings:
    """Return the settings with what the collector configuration says in their place.

    One that is wrong stops the collector when it starts; what looks after it must go on.
    """
    try:
        return decided(settings, config_in_force(settings))
    except SettingsError as error:
        log.warning("collector configuration: %s", error)
        return settings


def registered_settings(manager: pluggy.PluginManager) -> tuple[Setting[Any], ...]:
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


def registered_loaders(app: App) -> tuple[LogLoader, ...]:
    """Return what follows the flow log beside the store; asked by the loader process only, for
    what they import takes longer than most commands.

    Raises
    ------
    StartupError
        A plugin raised, or did not return a list.
    """
    entries = collect(app.plugins, "register_loaders", {"settings": app.settings})
    return tuple(entry.value for entry in entries)


def registered_commands(manager: pluggy.PluginManager) -> tuple[click.Command, ...]:
    """Return the commands of all plugins.

    Raises
    ------
    StartupError
        Two plugins, or one and the core, have a command of one name.
    """
    entries: list[Registered[click.Command]] = collect(manager, "register_commands", {})
    core = [Registered(THE_CORE, click.Command(name)) for name in CORE_COMMANDS]
    refuse_duplicates("command", [*core, *entries], lambda command: str(command.name))
    return tuple(entry.value for entry in entries)


def collect(
    manager: pluggy.PluginManager, hook: str, given: Mapping[str, object]
) -> list[Registered[Any]]:
    """Call a `register_` hook plugin by plugin, in their order, and keep who returned what.

    Raises
    ------
    StartupError
        A plugin raised, or did not return a list.
    """
    found: list[Registered[Any]] = []
    for impl in getattr(manager.hook, hook).get_hookimpls():
        returned = _called(impl, hook, given)
        if not isinstance(returned, list | tuple):
            kind = type(returned).__name__
            raise StartupError(f"plugin {impl.plugin_name}: {hook}: expected a list, found {kind}")
        found += [Registered(impl.plugin_name, value) for value in returned]
    return found


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


def _registered_stores(
    manager: pluggy.PluginManager, given: Mapping[str, object]
) -> dict[str, StoreFactory]:
    entries: list[Registered[tuple[str, StoreFactory]]] = []
    for impl in manager.hook.register_stores.get_hookimpls():
        returned = _called(impl, "register_stores", given)
        if not isinstance(returned, Mapping):
            problem = f"expected a dictionary, found {type(returned).__name__}"
            raise StartupError(f"plugin {impl.plugin_name}: register_stores: {problem}")
        entries += [Registered(impl.plugin_name, item) for item in returned.items()]
    refuse_duplicates("store", entries, lambda item: item[0])
    return dict(entry.value for entry in entries)


def _called(impl: pluggy.HookImpl, hook: str, given: Mapping[str, object]) -> object:
    try:
        return impl.function(*(given[name] for name in impl.argnames))
    except ApplianceError:
        raise
    # A plugin that cannot even register must be named, whatever it raised.
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise StartupError(f"plugin {impl.plugin_name}: {hook}: {problem}") from error
