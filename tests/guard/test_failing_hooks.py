"""Every hook with a plugin that raises anything, or returns anything: named, counted, and no more.

What the objects do that a hook returned is in the other modules here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.app import App, build_app
from appliance.contracts import FAIL, FeedOrder
from appliance.errors import SettingsError, StartupError, StorageError
from appliance.hookspecs import hookimpl
from appliance.plugin_manager import add_plugin, hook_names, new_plugin_manager
from appliance.process_parts import gather_backups, gather_loaders, gather_pollers, plugin_findings
from appliance.settings.file import SettingsFile
from tests.guard.failing import RAISERS, raiser, returning

Use = Callable[[App], object]

NO_FILE = SettingsFile(None, Path("/srv/conf"), {})

AT_START = {
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
    "register_engines",
    "register_template_files",
    "register_routes",
    "register_pages",
    "register_sign_in_ways",
    "register_value_names",
    "register_commands",
    "register_metrics",
}
"""Hooks that are asked when the appliance is built: what is wrong stops it."""

WHEN_USED: dict[str, tuple[str, Use]] = {
    "register_loaders": ("loader", gather_loaders),
    "register_pollers": ("poller", gather_pollers),
    "flow_feed_from_order": ("feed", lambda app: app.open_feed(FeedOrder("mysql://db/pmacct"))),
    "account_store_from_url": ("accounts", App.open_accounts),
    "principal_from_request": (
        "sign-in",
        lambda app: app.web_parts().principal_from({}, App.open_accounts),
    ),
}
"""Hooks that are asked later, and the part that they count as: the next plugin is asked."""

EVENTS = {"request_authenticated", "collector_started", "collector_stopped", "exporter_appeared"}

ON_DEMAND = {"register_backups", "register_checks"}
"""Hooks of commands, which say what is wrong."""


class Hostile:
    """Raises in whatever is asked of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Hostile
        return object.__getattribute__(self, "_function")()


class HostileList(list[Any]):
    """A list that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise SystemExit(3)


def plugin(hook: str, function: Callable[..., Any]) -> Any:
    def implementation(self: object) -> Any:
        return function()

    implementation.__name__ = hook
    return type("Plugin", (), {hook: hookimpl(implementation)})()


def app_of(hook: str, *functions: Callable[..., Any]) -> App:
    """Build the appliance with plugins of one hook, and all of it: site, site1, ..."""
    manager = new_plugin_manager()
    for number, function in enumerate(functions):
        add_plugin(manager, plugin(hook, function), f"site{number or ''}")
    app = build_app(manager, NO_FILE)
    app.gather_all()
    return app


WRONG = [
    *(returning(value) for value in (42, None, "text", object(), [42], [None], [[]], {1: 2})),
    *(returning([Hostile(function)]) for function in RAISERS),
    returning(HostileList()),
]


def test_hooks_when_listed_here_then_every_one_is() -> None:
    assert {*AT_START, *WHEN_USED, *EVENTS, *ON_DEMAND} == set(hook_names())


@pytest.mark.parametrize("hook", sorted(AT_START))
def test_hook_when_it_fails_at_the_start_then_one_sentence_with_plugin_and_hook(hook: str) -> None:
    for function in (*RAISERS, *WRONG):
        with pytest.raises(StartupError, match=rf"^plugin site: {hook}: "):
            app_of(hook, function)


@pytest.mark.parametrize("hook", WHEN_USED)
def test_hook_when_it_fails_later_then_counted_and_the_next_is_asked(hook: str) -> None:
    part, use = WHEN_USED[hook]
    for function in (*RAISERS, returning(42), returning(object()), returning(HostileList([1]))):
        asked: list[str] = []

        def other(asked: list[str] = asked) -> None:
            asked.append("other")

        # The last registered one is asked first; loaders are asked in the other order.
        first_and_last = [other, function, other]
        app = app_of(hook, *first_and_last)
        for _ in range(3):
            # Where nobody answers, that is said.
            with contextlib.suppress(SettingsError, StorageError):
                use(app)
        assert app.failures.report()["site1"][part]["count"] == 3
        assert len(asked) == 6


@pytest.mark.parametrize("hook", sorted(EVENTS))
def test_event_when_a_listener_fails_endlessly_then_the_others_hear_each(hook: str) -> None:
    for function in RAISERS:
        heard: list[str] = []

        def listen(heard: list[str] = heard) -> None:
            heard.append("it")

        app = app_of(hook, listen, function, listen)
        for _ in range(5):
            app.tell(hook)
        assert len(heard) == 10
        assert app.failures.report()["site1"]["event"]["count"] == 5


@pytest.mark.parametrize("hook", sorted(EVENTS))
def test_event_when_a_listener_answers_then_nothing_happens(hook: str) -> None:
    app = app_of(hook, returning(42))
    app.tell(hook)
    assert not app.failures.report()


def test_backups_when_a_plugin_cannot_say_what_it_keeps_then_no_backup_and_it_is_named() -> None:
    for function in (*RAISERS, *WRONG):
        with pytest.raises(StartupError, match=r"^plugin site: register_backups: "):
            gather_backups(app_of("register_backups", function))


def test_checks_when_a_plugin_fails_then_a_line_that_names_it_and_the_others_theirs() -> None:
    for function in (*RAISERS, returning(42), returning([None]), returning(HostileList())):
        app = app_of("register_checks", function, returning([raiser(KeyError("x"))]))
        first, second = plugin_findings(app)
        assert (first.status, first.what, second.what) == (FAIL, "site", "site1")
        assert first.text.startswith("plugin site: register_checks: ")
