"""The composition root: settings and plugins in, one `App` out, with all that plugins registered.

Nothing is opened or started here; the commands take from an `App` what they need and pass it down.
`open_app` is what the command line calls, `build_app` what tests call with their own parts.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import pluggy

from appliance.accounts import ACCOUNTS_SETTING
from appliance.collector.parts import CollectorParts
from appliance.contracts import (
    AccountStore,
    CounterSink,
    DatagramTap,
    FeedOrder,
    FlowFeed,
    FlowStore,
    MetricsCollector,
    Page,
    Principal,
    Registered,
    Route,
    SignInWay,
    StoreFactory,
    TemplateFile,
)
from appliance.decoding.templates.decode_plan import forget_plans
from appliance.errors import ApplianceError, SettingsError, StorageError
from appliance.flows import set_plugin_columns
from appliance.guard import (
    Guard,
    GuardedDecoder,
    GuardedEngine,
    GuardedEnricher,
    GuardedRedactor,
    PluginError,
    PluginFailures,
    guard_object,
)
from appliance.guard.methods import (
    ACCOUNTS,
    COUNTER_SINK,
    FEED,
    METRICS,
    checked_principal,
)
from appliance.guard.template_files import TEMPLATE_FILE
from appliance.guard.values import nothing, optional
from appliance.plugin_manager import build_plugin_manager, loaded_plugins
from appliance.query.sources import set_query_sources
from appliance.ratelimit import RateLimited
from appliance.registrations import (
    call_of,
    collect,
    gather_columns,
    gather_commands,
    gather_engines,
    gather_guarded,
    gather_query_sources,
    gather_settings,
    gather_stores,
    gather_taps,
    gather_value_names,
    overriding_files,
    refuse_duplicates,
)
from appliance.settings.file import (
    Settings,
    SettingsFile,
    read_settings_file,
)
from appliance.settings.overrides import OverridableSettings
from appliance.value_names import set_value_names
from appliance.web.parts import OpenAccounts, WebParts
from appliance.web.store_access import store_opener

T = TypeVar("T")
log = RateLimited(logging.getLogger(__name__))


@dataclass(frozen=True)
class App:
    """The appliance as configured, not started.

    What plugins registered stands built-ins first, then by plugin name.

    Attributes
    ----------
    settings
        Every effective setting.
    plugins
        The manager with all loaded plugins.
    decoders, enrichers, redactors
        In their guards; no two decoders have one version.
    stores
        Factories by URL scheme; what they return stands in its guard.
    engines
        By name, in their guards; the own receiver is not among them.
    template_files
        In which the collector keeps templates beside its own file; in their guards.
    taps, counter_sinks
        What gets a copy of every datagram, what keeps interfaces' counters; in their guards.
    overridable
        The settings without what other files decide, and those files.
    failures
        Of plugins in this process.
    """

    settings: Settings
    plugins: pluggy.PluginManager
    overridable: OverridableSettings
    decoders: tuple[GuardedDecoder, ...] = ()
    enrichers: tuple[GuardedEnricher, ...] = ()
    redactors: tuple[GuardedRedactor, ...] = ()
    stores: Mapping[str, StoreFactory] = field(default_factory=dict)
    engines: Mapping[str, GuardedEngine] = field(default_factory=dict)
    template_files: tuple[TemplateFile, ...] = ()
    taps: tuple[DatagramTap, ...] = ()
    counter_sinks: tuple[CounterSink, ...] = ()
    failures: PluginFailures = field(default_factory=PluginFailures)

    # What only the web server and the command line need is gathered when they do: its modules
    # would make every other process larger and slower to start. Each raises StartupError.

    @cached_property
    def routes(self) -> tuple[Registered[Route], ...]:
        """The routes of plugins; no two have one method and path."""
        entries = self._collect("register_routes")
        refuse_duplicates("route", entries, lambda route: f"{route.method} {route.path}")
        return tuple(entries)

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """Their pages of the console; no two have one path."""
        entries = self._collect("register_pages")
        refuse_duplicates("page", entries, lambda page: page.path)
        return tuple(entry.value for entry in entries)

    @cached_property
    def sign_in_ways(self) -> tuple[SignInWay, ...]:
        """Their ways to sign in; no two have one name."""
        entries = self._collect("register_sign_in_ways")
        refuse_duplicates("way to sign in", entries, lambda way: way.name)
        return tuple(entry.value for entry in entries)

    @cached_property
    def commands(self) -> tuple[Registered[click.Command], ...]:
        """Their commands; no two, and none and one of the core, have one name."""
        return gather_commands(self.plugins)

    @cached_property
    def metrics(self) -> tuple[MetricsCollector, ...]:
        """Their metrics, in guards."""
        gathered = partial(gather_guarded, self.plugins, self.settings, self.failures)
        return gathered("register_metrics", ("metrics", METRICS))

    def gather_all(self) -> None:
        """Gather also what waits until it is needed, so that whatever is wrong is told.

        Raises
        ------
        StartupError
            A plugin raised, returned something else than it should, or has what another one has.
        """
        _ = (self.routes, self.pages, self.sign_in_ways, self.commands, self.metrics)

    def _collect(self, hook: str) -> list[Registered[Any]]:
        return collect(self.plugins, hook, {"settings": self.settings})

    def guard(self, plugin: str, part: str) -> Guard:
        """Return the guard of one part of a plugin."""
        return Guard(plugin, part, self.failures)

    def tell(self, hook: str, **facts: object) -> None:
        """Tell plugins what happened (`collector_started`, ...), each in its own guard."""
        for impl in getattr(self.plugins.hook, hook).get_hookimpls():
            # The event has happened; a plugin that fails to hear of it changes nothing.
            with contextlib.suppress(ApplianceError):
                self.guard(impl.plugin_name, "event").call(call_of(impl, facts), nothing)

    def first_result(
        self, hook: str, part: str, check: Callable[[object], T], **facts: object
    ) -> Registered[T] | None:
        """Return what the first plugin answers, the last registered one first; None: nobody does.

        One that fails is counted, and the next is asked.

        Raises
        ------
        ApplianceError
            A plugin raised it: that is its answer.
        """
        for impl in reversed(getattr(self.plugins.hook, hook).get_hookimpls()):
            guard = self.guard(impl.plugin_name, part)
            with contextlib.suppress(PluginError):
                value = guard.call(call_of(impl, facts), optional(check))
                if value is not None:
                    return Registered(impl.plugin_name, value)
        return None

    def collector_parts(self) -> CollectorParts:
        """Return what a collector is built of."""
        plugins = (self.decoders, self.enrichers, self.failures, self.tell)
        more = (self.engines, self.template_files, self.taps, self.redactors)
        return CollectorParts(self.settings, *plugins, *more, self.counter_sinks)

    def open_feed(self, order: FeedOrder) -> FlowFeed:
        """Open a feed of tables that somebody else fills.

        Raises
        ------
        SettingsError
            No plugin reads them.
        """
        entry = self.first_result(
            "flow_feed_from_order", "feed", FEED.check, order=order, settings=self.settings
        )
        if entry is None:
            scheme = order.url.partition(":")[0]
            raise SettingsError(f"no plugin reads tables of {scheme}: databases", key="--pmacct")
        return cast(FlowFeed, guard_object(self.guard(entry.plugin, "feed"), entry.value, FEED))

    def open_store(self) -> FlowStore:
        """Open the store of flows that the configuration names now.

        Raises
        ------
        StorageError
            No plugin opens it, or it cannot be opened now.
        """
        return store_opener(self.stores, self.overridable)()

    def open_accounts(self) -> AccountStore:
        """Open the accounts in the database that `database` names.

        Raises
        ------
        StorageError
            No plugin knows its URL's scheme, or it cannot be opened now.
        """
        url = str(self.settings[ACCOUNTS_SETTING])
        entry = self.first_result(
            "account_store_from_url", "accounts", ACCOUNTS.check, url=url, settings=self.settings
        )
        if entry is None:
            raise StorageError("no plugin keeps accounts")
        return cast(
            AccountStore, guard_object(self.guard(entry.plugin, "accounts"), entry.value, ACCOUNTS)
        )

    def web_parts(self) -> WebParts:
        """Return what the web server is built of."""
        return WebParts(
            settings=self.settings,
            overridable=self.overridable,
            routes=self.routes,
            pages=self.pages,
            sign_in_ways=self.sign_in_ways,
            plugins=loaded_plugins(self.plugins),
            metrics=self.metrics,
            stores=self.stores,
            failures=self.failures,
            decoders=self.decoders,
            open_accounts=self.open_accounts,
            has_accounts=bool(self.plugins.hook.account_store_from_url.get_hookimpls()),
            principal_from=self._principal_from,
        )

    def _principal_from(
        self, environ: Mapping[str, Any], open_accounts: OpenAccounts
    ) -> Principal | None:
        facts = {"environ": environ, "settings": self.settings}
        entry = self.first_result(
            "principal_from_request", "sign-in", checked_principal, **facts, accounts=open_accounts
        )
        if entry is None:
            return None
        self.tell("request_authenticated", **facts, principal=entry.value)
        return entry.value


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
    """Ask every plugin what it has, but for what is gathered later, and refuse what clashes.

    Raises
    ------
    StartupError
        A plugin raised, returned something else than it should, or has what another one has.
    SettingsError
        The configuration file does not fit the settings that there are.
    """
    set_plugin_columns(gather_columns(manager))
    forget_plans()
    failures = PluginFailures()
    own_settings = file.settings(gather_settings(manager))
    overridable = OverridableSettings(
        own_settings, overriding_files(manager, own_settings, failures)
    )
    settings = _active_settings(overridable)
    facts = {"settings": settings}
    decoders = collect(manager, "register_decoders", facts)
    enrichers = collect(manager, "register_enrichers", facts)
    redactors = collect(manager, "register_redactors", facts)
    refuse_duplicates("decoder for version", decoders, lambda decoder: str(decoder.version))
    set_value_names(gather_value_names(manager, settings), failures)
    guarded = partial(gather_guarded, manager, settings, failures)
    set_query_sources(gather_query_sources(manager, settings, failures), settings)
    return App(
        settings,
        manager,
        overridable,
        decoders=tuple(GuardedDecoder(e.plugin, e.value, failures) for e in decoders),
        enrichers=tuple(GuardedEnricher(e.plugin, e.value, failures) for e in enrichers),
        redactors=tuple(GuardedRedactor(e.plugin, e.value, failures) for e in redactors),
        stores=gather_stores(manager, settings, failures),
        template_files=guarded("register_template_files", ("templates", TEMPLATE_FILE)),
        taps=gather_taps(manager, settings, failures),
        counter_sinks=guarded("register_counter_sinks", ("counters", COUNTER_SINK)),
        engines=gather_engines(manager, settings, failures),
        failures=failures,
    )


def _active_settings(overridable: OverridableSettings) -> Settings:
    """Return the settings with what other files say in their place.

    One that is wrong stops the collector when it starts; what looks after it must go on.
    """
    try:
        return overridable.active()
    except ApplianceError as error:
        log.warning("collector configuration: %s", error)
        return overridable.own
