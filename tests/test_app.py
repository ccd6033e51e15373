from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from appliance.app import build_app, open_app
from appliance.contracts import FeedOrder, Page, Principal, Registered, Route, ValueNames
from appliance.errors import SettingsError, StartupError, StorageError
from appliance.guard.methods import checked_principal
from appliance.hookspecs import hookimpl
from appliance.plugin_manager import add_plugin, build_plugin_manager, new_plugin_manager
from appliance.processes.engines import filler_of
from appliance.settings.file import Setting, SettingsFile
from appliance.settings.types import Integer, ListenAddress
from appliance.testing import PluginHarness

NO_FILE = SettingsFile(None, Path("/srv/conf"), {})


class Named:
    """An engine that does nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def feed(self):
        return None

    daemon = feed


class Versioned:
    """A decoder that decodes nothing."""

    def __init__(self, version: int) -> None:
        self.version, self.name = version, f"version {version}"

    def decode(self, block, state, now_ms):
        return None


def plugin(**hooks):
    """Make a plugin whose hooks return, or do, these things."""

    def implementation(name: str, result):
        def hook(self):
            return result() if callable(result) else result

        hook.__name__ = name
        return hookimpl(hook)

    members = {name: implementation(name, result) for name, result in hooks.items()}
    return type("Plugin", (), members)()


def app_of(file: SettingsFile = NO_FILE, **plugins):
    manager = new_plugin_manager()
    for name, one in plugins.items():
        add_plugin(manager, one, name)
    app = build_app(manager, file)
    app.gather_all()
    return app


def test_app_when_routes_of_a_plugin_are_wrong_then_only_who_needs_them_fails():
    manager = new_plugin_manager()
    add_plugin(manager, plugin(register_routes=[42]), "site")
    app = build_app(manager, NO_FILE)
    assert app.collector_parts().decoders == ()
    with pytest.raises(StartupError, match="plugin site: register_routes: "):
        app.web_parts()


def test_harness_when_routes_of_the_plugin_are_wrong_then_its_author_hears(tmp_path):
    with pytest.raises(StartupError, match="register_routes: expected Route, found int"):
        PluginHarness(tmp_path, plugin(register_routes=[42]))


def test_app_when_opened_for_a_collector_then_nothing_of_the_web_is_imported():
    program = """
import sys
from appliance.app import open_app
open_app().collector_parts()
ends = ("routes", "commands", "openapi")
print(*(name for name in sys.modules if "plugins" in name and name.endswith(ends)))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_app_when_no_plugin_at_all_then_built_and_empty():
    app = build_app(build_plugin_manager(built_in=(), entry_points=()), NO_FILE)
    assert (app.decoders, app.enrichers, app.routes, app.commands, app.metrics) == ((),) * 5
    assert app.stores == {}
    nobody = app.first_result("principal_from_request", "sign-in", checked_principal)
    assert nobody is None
    app.tell("collector_started", listen=())
    app.tell("collector_stopped")


def test_app_when_plugins_register_then_in_their_order_with_their_names():
    def first(batch):
        return None

    def second(batch):
        return None

    five, nine = Versioned(5), Versioned(9)
    app = app_of(
        a=plugin(register_decoders=[five], register_enrichers=[first]),
        b=plugin(register_decoders=[nine], register_enrichers=[second]),
    )
    assert [(d.guard.plugin, d.version) for d in app.decoders] == [("a", 5), ("b", 9)]
    assert [e.guard.plugin for e in app.enrichers] == ["a", "b"]


def test_app_when_hook_asks_for_settings_then_gets_the_effective_ones():
    depth = Setting("mine.depth", Integer(), 3, "Depth.")

    @dataclass
    class Depth:
        depth: int

        def collect(self):
            return []

    class Mine:
        @hookimpl
        def register_settings(self):
            return [depth]

        @hookimpl
        def register_metrics(self, settings):
            return [Depth(settings[depth])]

    file = SettingsFile(None, Path("/srv/conf"), {"mine": {"depth": "8"}})
    (metrics,) = app_of(file, mine=Mine()).metrics
    assert metrics.depth == 8


def test_app_when_stores_are_registered_then_by_scheme():
    app = app_of(a=plugin(register_stores={"memory": lambda: Versioned}))
    assert list(app.stores) == ["memory"]


@pytest.mark.parametrize(
    ("hook", "one", "other", "what"),
    [
        ("register_decoders", [Versioned(5)], [Versioned(5)], "decoder for version 5"),
        (
            "register_routes",
            [Route("GET", "/x", dict)],
            [Route("GET", "/x", list)],
            "route GET /x",
        ),
        (
            "register_settings",
            [Setting("mine.x", Integer(), 1, "X.")],
            [Setting("mine.x", Integer(), 2, "X.")],
            "setting mine.x",
        ),
        ("register_commands", [click.Command("dig")], [click.Command("dig")], "command dig"),
        ("register_stores", {"memory": dict}, {"memory": list}, "store memory"),
        ("register_query_sources", {"db": dict}, {"db": list}, "query source db"),
        ("register_engines", [Named("other")], [Named("other")], "engine other"),
        (
            "register_value_names",
            [ValueNames(("flow_id", "vlan_id"), dict)],
            [ValueNames(("vlan_id",), dict)],
            "names of column vlan_id",
        ),
    ],
)
def test_app_when_two_plugins_have_the_same_then_error_names_both(hook, one, other, what):
    with pytest.raises(StartupError, match=f"{what}: both first and second have it"):
        app_of(first=plugin(**{hook: one}), second=plugin(**{hook: other}))


@pytest.mark.parametrize(
    ("hook", "registered", "what"),
    [
        (
            "register_settings",
            [Setting("search.threads", Integer(), 1, "X.")],
            "setting search.threads",
        ),
        ("register_commands", [click.Command("top")], "command top"),
        ("register_engines", [Named("builtin")], "engine builtin"),
    ],
)
def test_app_when_a_plugin_has_what_the_core_has_then_error(hook, registered, what):
    with pytest.raises(StartupError, match=f"{what}: both the appliance itself and site"):
        app_of(site=plugin(**{hook: registered}))


def test_app_when_same_path_has_another_method_then_both_routes():
    routes = [Route("GET", "/x", dict), Route("PUT", "/x", dict)]
    assert len(app_of(a=plugin(register_routes=routes)).routes) == 2


def test_app_when_a_hook_returns_something_else_then_error():
    with pytest.raises(StartupError, match="register_routes: expected a list, found dict"):
        app_of(a=plugin(register_routes={}))
    with pytest.raises(StartupError, match="register_stores: expected a dictionary, found list"):
        app_of(a=plugin(register_stores=[]))


@pytest.mark.parametrize(
    ("hook", "registered"),
    [
        ("register_routes", Route("GET", "/x", dict, open_to_bound_users="no")),  # type: ignore[arg-type]
        ("register_pages", Page("X", "x", "", open_to_bound_users=1)),  # type: ignore[arg-type]
    ],
)
def test_app_when_open_to_bound_users_is_no_boolean_then_refused(hook, registered):
    with pytest.raises(StartupError, match=f"plugin site: {hook}: expected bool, found "):
        app_of(site=plugin(**{hook: [registered]}))


def test_app_when_a_hook_raises_then_error_names_plugin_and_hook():
    def explode():
        raise ZeroDivisionError("by zero")

    with pytest.raises(
        StartupError, match="plugin a: register_enrichers: ZeroDivisionError: by zero"
    ):
        app_of(a=plugin(register_enrichers=explode))


def test_principal_from_request_when_two_plugins_answer_then_the_last_registered_wins():
    app = app_of(
        first=plugin(principal_from_request=Principal("first", frozenset({"admin"}))),
        site=plugin(principal_from_request=Principal("site", frozenset({"admin"}))),
        silent=plugin(principal_from_request=lambda: None),
    )
    entry = app.first_result(
        *("principal_from_request", "sign-in", checked_principal),
        environ={},
        settings=None,
        accounts=None,
    )
    assert entry == Registered("site", Principal("site", frozenset({"admin"})))


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: 42, lambda: sys.exit(1)])
def test_first_result_when_a_plugin_fails_then_it_is_counted_and_the_next_is_asked(answer):
    app = app_of(
        first=plugin(principal_from_request=Principal("first")),
        site=plugin(principal_from_request=answer),
    )
    entry = app.first_result("principal_from_request", "sign-in", checked_principal)
    assert entry.plugin == "first"
    assert app.failures.report()["site"]["sign-in"]["count"] == 1


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: 42])
def test_flow_feed_from_order_when_a_plugin_fails_then_one_sentence(answer):
    app = app_of(site=plugin(flow_feed_from_order=answer))
    with pytest.raises(SettingsError, match="no plugin reads tables of x: databases"):
        filler_of(app.collector_parts(), app.open_feed, (), FeedOrder("x:y"))
    assert app.failures.report()["site"]["feed"]["count"] == 1


def test_engine_when_no_plugin_has_it_then_one_sentence():
    file = SettingsFile(None, Path("/srv/conf"), {"collector": {"engine": "third"}})
    with pytest.raises(
        SettingsError,
        match=r"collector\.engine: expected builtin or other, found third: no plugin",
    ):
        app_of(file, site=plugin(register_engines=[Named("other")]))


def test_setting_when_its_type_fails_then_one_sentence():
    class Odd:
        expected = "something"

        def parse(self, raw, folder):
            return {"1": 1}[raw]

    odd = Setting("mine.odd", Odd(), "1", "Odd.")
    with pytest.raises(SettingsError, match=r"mine.odd: expected something, found 2"):
        app_of(
            SettingsFile(None, Path("/srv/conf"), {"mine": {"odd": "2"}}),
            site=plugin(register_settings=[odd]),
        )


def test_account_store_from_url_when_a_site_keeps_accounts_then_its_store_is_used():
    class Accounts:
        def __init__(self, name):
            self.name = name

        def roles(self):
            return [self.name]

        def __getattr__(self, name):
            return lambda *_: None

    app = app_of(
        first=plugin(account_store_from_url=lambda: Accounts("first")),
        site=plugin(account_store_from_url=lambda: Accounts("site")),
        silent=plugin(account_store_from_url=lambda: None),
    )
    assert app.open_accounts().roles() == ["site"]
    with pytest.raises(StorageError, match="no plugin keeps accounts"):
        app_of().open_accounts()


def test_tell_when_one_plugin_raises_then_the_others_hear_it(caplog):
    heard = []

    class Listener:
        @hookimpl
        def collector_started(self, listen):
            heard.append(listen)

        @hookimpl
        def exporter_appeared(self, version):
            heard.append(version)

        @hookimpl
        def collector_stopped(self):
            heard.append("stopped")

    class Broken(Listener):
        @hookimpl
        def collector_started(self, listen):
            raise ZeroDivisionError

    app = app_of(a=Listener(), broken=Broken(), z=Listener())
    listen = (ListenAddress("::", 2055),)
    with caplog.at_level(logging.ERROR):
        app.tell("collector_started", listen=listen)
    assert heard == [listen, listen]
    assert "plugin broken: event failed: ZeroDivisionError" in caplog.text
    assert app.failures.report()["broken"]["event"]["count"] == 1
    app.tell("exporter_appeared", address="192.0.2.1", version=9)
    app.tell("collector_stopped")
    assert heard[2:] == [9, 9, 9, "stopped", "stopped", "stopped"]


def test_open_app_when_a_disabled_plugin_is_unknown_then_error_names_the_file(conf):
    folder = conf("plugins:\n  disabled: [no_such]\n")
    with pytest.raises(SettingsError, match=r"appliance.yml: plugins.disabled: no_such: unknown"):
        open_app(folder)


def test_open_app_when_all_built_ins_are_disabled_then_no_decoder(conf):
    names = "netflow_v1, netflow_v5, netflow_v7, netflow_v9, ipfix, sflow"
    app = open_app(conf(f"plugins:\n  disabled: [{names}]\n"))
    assert app.decoders == ()
