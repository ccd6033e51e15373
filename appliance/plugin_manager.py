"""Finds plugins and puts them into one pluggy manager, in a known order, or says why it cannot.

Built-ins come from `known_plugins`, then entry points of group `appliance.plugins` sorted by
name. They are loaded here because pluggy skips a name clash silently. What the hooks return is
collected by `appliance.app`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint

import pluggy

from appliance import hookspecs
from appliance.errors import SettingsError, StartupError
from appliance.hookspecs import PROJECT
from appliance.known_plugins import (
    BUILT_IN_PLUGINS,
    RENAMED_PLUGINS,
    installed_plugins,
    name_import_failure,
)
from appliance.settings.raw_values import unknown


def build_plugin_manager(
    disabled: Collection[str] = (),
    *,
    built_in: Iterable[str] = BUILT_IN_PLUGINS,
    entry_points: Iterable[EntryPoint] | None = None,
) -> pluggy.PluginManager:
    """Load every plugin that is not disabled.

    Takes names rather than `Settings`, because plugins add settings: there are none yet.

    Parameters
    ----------
    disabled
        Names that are blocked before anything of them is imported.
    built_in
        Module names; the last part is the plugin's name.
    entry_points
        None for the installed ones.

    Raises
    ------
    StartupError
        Two plugins of one name, one that cannot be imported, or a hook that does not exist.
    SettingsError
        A disabled name that no plugin has.
    """
    manager = new_plugin_manager()
    found = _find(built_in, installed_plugins() if entry_points is None else entry_points)
    for name in disabled:
        if name not in found:
            problem = unknown("plugin", name, found)
            if name in RENAMED_PLUGINS:
                problem = f"this plugin is now {RENAMED_PLUGINS[name]}"
            raise SettingsError(f"{name}: {problem}", key="plugins.disabled")
        manager.set_blocked(name)
    for name, entry in found.items():
        if not manager.is_blocked(name):
            add_plugin(manager, _load(entry), name)
    check_hooks(manager)
    return manager


def new_plugin_manager() -> pluggy.PluginManager:
    """Return a manager that knows the hooks and holds no plugin."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def add_plugin(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register one plugin that is loaded already.

    Raises
    ------
    StartupError
        The name or the plugin is there already, or a hook asks for an argument that it has not.
    """
    try:
        manager.register(plugin, name)
    except (ValueError, pluggy.PluginValidationError) as error:
        problem = " ".join(str(error).split())
        raise StartupError(f"plugin {name}: {problem}") from error


def check_hooks(manager: pluggy.PluginManager) -> None:
    """Refuse implementations of hooks that do not exist; call when all plugins are registered.

    Raises
    ------
    StartupError
        A plugin has a misspelt hook, or a hook wrapper.
    """
    known = hook_names()
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = manager.get_name(error.plugin) or str(error.plugin)
        callers = manager.get_hookcallers(error.plugin) or []
        wrong = next((caller.name for caller in callers if caller.name not in known), "")
        problem = f"{wrong}: {unknown('hook', wrong, known)}"
        raise StartupError(f"plugin {name}: {problem}") from error
    _refuse_wrappers(manager)


def _refuse_wrappers(manager: pluggy.PluginManager) -> None:
    """Refuse hook wrappers: plugins are called one by one, each in its guard, around nothing."""
    for name in hook_names():
        for impl in getattr(manager.hook, name).get_hookimpls():
            if impl.hookwrapper or impl.wrapper:
                raise StartupError(f"plugin {impl.plugin_name}: {name}: wrappers are not called")


def hook_names() -> tuple[str, ...]:
    """Return the name of every hook, in the order of `appliance.hookspecs`."""
    options = f"{PROJECT}_spec"
    return tuple(name for name, value in vars(hookspecs).items() if hasattr(value, options))


def plugin_origin(manager: pluggy.PluginManager, name: str) -> str:
    """Say where a plugin comes from: `built-in`, or a distribution and its version."""
    for entry in installed_plugins():
        if entry.name == name and manager.get_plugin(name) is not None:
            return distribution(entry)
    return "built-in"


def distribution(entry: EntryPoint) -> str:
    """Name the distribution of an entry point, with its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _find(built_in: Iterable[str], entry_points: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """Return what there is to load by name, in order; a built-in as if it were an entry point."""
    found = {module.rpartition(".")[2]: EntryPoint("", module, "") for module in built_in}
    for entry in sorted(entry_points, key=lambda entry: entry.name):
        if entry.name in found:
            first = found[entry.name]
            raise StartupError(
                f"plugin {entry.name}: two plugins have this name,"
                f" {_describe(first)} and {_describe(entry)}"
            )
        found[entry.name] = entry
    return found


def _describe(entry: EntryPoint) -> str:
    return distribution(entry) if entry.name else "the built-in"


def _load(entry: EntryPoint) -> object:
    name = entry.name or entry.value.rpartition(".")[2]
    with name_import_failure(name, entry.value):
        return entry.load()


def loaded_plugins(manager: pluggy.PluginManager) -> list[dict[str, str | list[str]]]:
    """Return name, origin and hooks of each plugin, in the order they are asked to register."""
    return [
        {
            "name": name,
            "from": plugin_origin(manager, name),
            "hooks": sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()),
        }
        for name, plugin in manager.list_name_plugin()
        if plugin is not None
    ]
