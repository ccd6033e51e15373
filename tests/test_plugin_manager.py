from __future__ import annotations

import sys
import types
from importlib import import_module
from importlib.metadata import EntryPoint

import pytest

from appliance.cli.main import HELP_LETTERS
from appliance.errors import SettingsError, StartupError
from appliance.hookspecs import hookimpl
from appliance.known_plugins import BUILT_IN_COMMANDS
from appliance.plugin_manager import (
    BUILT_IN_PLUGINS,
    add_plugin,
    build_plugin_manager,
    check_hooks,
    hook_names,
    new_plugin_manager,
    plugin_origin,
)
from appliance.registrations import gather_commands


@pytest.fixture
def module(monkeypatch):
    """Make an importable module that holds these hooks."""

    def make(name: str, *hooks) -> str:
        made = types.ModuleType(name)
        for hook in hooks:
            setattr(made, hook.__name__, hookimpl(hook))
        monkeypatch.setitem(sys.modules, name, made)
        return name

    return make


def entry(name: str, module: str) -> EntryPoint:
    return EntryPoint(name, module, "appliance.plugins")


def names(manager) -> list[str]:
    return [name for name, _ in manager.list_name_plugin()]


def test_manager_when_no_plugin_at_all_then_it_is_built():
    assert names(build_plugin_manager(built_in=(), entry_points=())) == []


def test_manager_when_built_then_built_ins_first_and_entry_points_by_name(module):
    asked = []

    def register_decoders_of(name):
        def register_decoders():
            asked.append(name)
            return []

        return register_decoders

    made = {name: module(f"site.{name}", register_decoders_of(name)) for name in "abcd"}
    manager = build_plugin_manager(
        built_in=(made["d"], made["b"]),
        entry_points=[entry("c", made["c"]), entry("a", made["a"])],
    )
    assert names(manager) == ["d", "b", "a", "c"]
    # pluggy asks the last registered first, so that a site's plugin wins.
    manager.hook.register_decoders(settings=None)
    assert asked == ["c", "a", "b", "d"]


def test_manager_when_the_order_of_entry_points_differs_then_the_same(module):
    entries = [entry(name, module(f"site.{name}")) for name in "cab"]
    one = build_plugin_manager(built_in=(), entry_points=entries)
    other = build_plugin_manager(built_in=(), entry_points=entries[::-1])
    assert names(one) == names(other) == ["a", "b", "c"]


def test_manager_when_a_plugin_is_disabled_then_it_is_not_even_imported():
    broken = entry("broken", "there.is.no.such.module")
    manager = build_plugin_manager(["broken"], built_in=(), entry_points=[broken])
    assert manager.get_plugin("broken") is None
    assert manager.is_blocked("broken")


def test_manager_when_a_built_in_is_disabled_then_it_is_not_imported():
    manager = build_plugin_manager(["gone"], built_in=["no.such.gone"], entry_points=[])
    assert manager.get_plugin("gone") is None


def test_manager_when_a_disabled_name_is_misspelt_then_nearest(module):
    known = entry("console", module("site.console"))
    with pytest.raises(SettingsError, match="consol: unknown plugin, did you mean console"):
        build_plugin_manager(["consol"], built_in=(), entry_points=[known])


@pytest.mark.parametrize(
    ("name", "now"),
    [("sql_store", "rollups, sql_accounts and pmacct"), ("collector_control", "part of pmacct")],
)
def test_manager_when_a_disabled_built_in_was_renamed_then_what_it_is_now(name, now):
    with pytest.raises(SettingsError, match=f"{name}: this plugin is now {now}"):
        build_plugin_manager([name], entry_points=[])


def test_manager_when_two_entry_points_have_one_name_then_error(module):
    twins = [entry("twin", module("site.one")), entry("twin", module("site.two"))]
    with pytest.raises(StartupError, match=r"plugin twin: two plugins .* site.one and site.two"):
        build_plugin_manager(built_in=(), entry_points=twins)


def test_manager_when_an_entry_point_has_the_name_of_a_built_in_then_error(module):
    ours = module("site.built.ipfix")
    with pytest.raises(StartupError, match=r"plugin ipfix: .* the built-in and site\.ipfix"):
        build_plugin_manager(built_in=[ours], entry_points=[entry("ipfix", module("site.ipfix"))])


def test_manager_when_one_module_has_two_names_then_error(module):
    same = module("site.same")
    with pytest.raises(StartupError, match="plugin b: "):
        build_plugin_manager(built_in=(), entry_points=[entry("a", same), entry("b", same)])


@pytest.mark.parametrize("target", ["there.is.no.such.module", "sys:no_such_attribute"])
def test_manager_when_an_entry_point_cannot_be_imported_then_error_names_it(target: str):
    with pytest.raises(StartupError, match=f"plugin broken: {target} cannot be imported: "):
        build_plugin_manager(built_in=(), entry_points=[entry("broken", target)])


def test_manager_when_a_built_in_cannot_be_imported_then_error_names_it():
    with pytest.raises(StartupError, match=r"plugin gone: no\.such\.gone cannot be imported"):
        build_plugin_manager(built_in=["no.such.gone"], entry_points=[])


def test_manager_when_a_hook_is_misspelt_then_error_names_plugin_and_hook(module):
    def register_decoder():
        return []

    wrong = module("site.wrong", register_decoder)
    expected = "plugin wrong: register_decoder: unknown hook, did you mean register_decoders?"
    with pytest.raises(StartupError) as caught:
        build_plugin_manager(built_in=(), entry_points=[entry("wrong", wrong)])
    assert str(caught.value) == expected
    assert caught.value.exit_code == 2


def test_check_hooks_when_a_plugin_on_a_fresh_manager_is_right_then_silent():
    class Right:
        @hookimpl
        def register_decoders(self):
            return []

    manager = new_plugin_manager()
    add_plugin(manager, Right(), "right")
    check_hooks(manager)


def test_manager_when_a_hook_wants_an_unknown_argument_then_error(module):
    def register_routes(web):
        return []

    wrong = module("site.wrong", register_routes)
    with pytest.raises(StartupError, match=r"plugin wrong: .*web"):
        build_plugin_manager(built_in=(), entry_points=[entry("wrong", wrong)])


def test_check_hooks_when_a_hook_is_a_wrapper_then_error_names_plugin_and_hook():
    class Wrapping:
        @hookimpl(wrapper=True)
        def register_routes(self):
            return (yield)

    manager = new_plugin_manager()
    add_plugin(manager, Wrapping(), "site")
    with pytest.raises(StartupError, match="plugin site: register_routes: wrappers are not called"):
        check_hooks(manager)


def test_plugin_origin_when_built_in_then_says_so(module):
    manager = build_plugin_manager(built_in=[module("site.ours")], entry_points=[])
    assert plugin_origin(manager, "ours") == "built-in"


def test_hook_names_when_asked_then_all_of_the_design():
    assert hook_names() == (
        "register_settings",
        "register_columns",
        "settings_overrides",
        "register_decoders",
        "register_datagram_taps",
        "register_counter_sinks",
        "register_enrichers",
        "register_redactors",
        "register_stores",
        "register_query_sources",
        "register_loaders",
        "register_pollers",
        "register_engines",
        "register_template_files",
        "flow_feed_from_order",
        "register_routes",
        "register_pages",
        "register_sign_in_ways",
        "register_value_names",
        "register_commands",
        "register_metrics",
        "register_backups",
        "register_checks",
        "account_store_from_url",
        "principal_from_request",
        "request_authenticated",
        "collector_started",
        "collector_stopped",
        "exporter_appeared",
    )


def test_commands_when_built_in_then_the_table_says_what_is_registered():
    registered = gather_commands(build_plugin_manager(entry_points=()))
    assert [entry.value.name for entry in registered] == list(BUILT_IN_COMMANDS)
    for entry in registered:
        told = BUILT_IN_COMMANDS[str(entry.value.name)]
        module = import_module(f"appliance.plugins.{told.plugin}.{told.module}")
        assert told.plugin == entry.plugin
        assert getattr(module, told.attribute) is entry.value
        assert told.help == entry.value.get_short_help_str(HELP_LETTERS)


def test_built_ins_when_loaded_then_each_registers():
    manager = build_plugin_manager(entry_points=())
    assert names(manager) == [module.rpartition(".")[2] for module in BUILT_IN_PLUGINS]
