"""The hooks: every point at which a plugin meets the core, and the only list of them.

A plugin is a module or an object with functions marked `@hookimpl` that are called like the hooks
below; each may take any of the hook's arguments, by name. The verb tells the kind of a hook:

- `register_<plural>` runs once at start, in the main thread, and returns a list;
- `settings_overrides` runs likewise, before all of them but two;
- `<noun>_from_<input>` is asked on demand until one plugin answers;
- `<noun>_<participle>` tells after the fact and cannot veto.

No hook runs for each datagram, batch or record. Built-in plugins come first, then others by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
import pluggy

from appliance.contracts import (
    AccountStore,
    BackupPart,
    Check,
    CounterSink,
    DatagramTap,
    Decoder,
    Engine,
    Enricher,
    FeedOrder,
    FlowFeed,
    FlowStore,
    LogLoader,
    MetricsCollector,
    OverridingFile,
    Page,
    Poller,
    Principal,
    QuerySourceFactory,
    Redactor,
    Route,
    SignInWay,
    StoreFactory,
    TemplateFile,
    ValueNames,
)
from appliance.flows import Column
from appliance.settings.file import Setting, Settings
from appliance.settings.types import ListenAddress

PROJECT = "appliance"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_settings() -> Sequence[Setting[object]]:
    """Return the plugin's own settings: name, type, default, help.

    Called once, in the main thread, before the configuration file is checked; so it is the only
    `register_` hook without `settings`. A name that another plugin or the core has stops the start.
    """


@hookspec
def register_columns() -> list[Column]:
    """Return columns that the plugin's decoders or enrichers fill, or elements of any v9 or IPFIX.

    Elements are IANA's (`elements`) or of an enterprise (`enterprise_elements`), of any length; the
    octets of one that fills a column of text are read as UTF-8, 256 characters at most.

    Called once, in the main thread of each process, before anything is decoded or read; like
    `register_settings` without `settings`. The columns are in the flow log, and in `appliance
    flows`, `top` and `sql`, like ours; in files from before they are absent. A name that is taken
    stops the start. Without the plugin, what files hold of its columns is not shown, and is left
    out when they are joined.
    """


@hookspec
def settings_overrides(settings: Settings) -> list[OverridingFile]:
    """Return files beside `appliance.yml` that decide settings, such as those of another program.

    Called once, in the main thread of each process, after `register_settings` and before every
    other hook that gets settings: those have what the files decide. `settings` is what
    `appliance.yml` says. Of two files that decide one setting the later plugin's counts.
    """


@hookspec
def register_decoders(settings: Settings) -> list[Decoder]:
    """Return decoders, one for each protocol version that the plugin understands.

    Called once, in the main thread, before the collector opens its sockets. Two decoders for one
    version stop the start. The collector's thread later calls `decode` for each block of datagrams.
    """


@hookspec
def register_datagram_taps(settings: Settings) -> list[DatagramTap]:
    """Return what gets every block of datagrams as received, such as copies for other collectors.

    Called once, in the main thread of each process; open nothing yet. Two taps with one name stop
    the start. In the collector `start` is
    then called once its sockets are bound, and `take` with each block, in the collector's thread:
    it must not wait, and copies what it keeps. Where an engine or a feed fills the flow log no
    datagram comes by.
    """


@hookspec
def register_counter_sinks(settings: Settings) -> list[CounterSink]:
    """Return what keeps counters of interfaces that exporters send, such as sFlow's.

    Called once, in the main thread of each process; open nothing yet. In the collector `keep` is
    then called every ten seconds, in a thread that all sinks share, also when nothing came; of each
    interface and five minutes it gets the first reading. Without a sink none is collected.
    """


@hookspec
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Return callables that add columns to a batch, in the order they should run.

    Called once, in the main thread, before the collector opens its sockets. Each enricher later
    receives one `FlowBatch` at a time in the collector's thread and must not block; one that raises
    is counted, and the batch goes on without it.
    """


@hookspec
def register_redactors(settings: Settings) -> list[Redactor]:
    """Return callables that take out of batches what must not be kept, such as addresses.

    Called once, in the main thread, before the collector opens its sockets. Each redactor later
    receives one `FlowBatch` at a time in the collector's thread, after all enrichers and before
    anything is written, options records and what a feed brings too; it must not block. Unlike with
    an enricher, a batch on which one fails is not kept: its records are counted as lost.
    """


@hookspec
def register_stores(settings: Settings) -> dict[str, StoreFactory]:
    """Return, by URL scheme, what opens a store of flows.

    Called once, in the main thread, before the first store is opened. Two plugins with one scheme
    stop the start. The loader process and the web server call the factory, each for itself.
    """


@hookspec
def register_query_sources(settings: Settings) -> dict[str, QuerySourceFactory]:
    """Return, by the name that `search.source` may have, what answers questions about flows.

    Called once, in the main thread of each process. The source that is chosen answers in place of
    the flow log: top lists, series, single flows, exports. Its factory is called with the first
    question; its methods by several threads at once. Two plugins with one name stop the start.
    """


@hookspec
def register_loaders(
    settings: Settings,
    open_store: Callable[[], FlowStore],
    open_accounts: Callable[[], AccountStore],
) -> list[LogLoader]:
    """Return what follows the flow log beside the store, each with its own place in it.

    Called once, in the loader process's main thread, before anything is loaded. `load_once` is then
    called about once a second, always in the same other thread; one that is away is tried again
    after pauses that grow, and the flow log keeps what it has not read. `open_store` opens the
    store of flows once more, for what asks it questions, `open_accounts` the accounts; who calls
    one closes what it returns.
    """


@hookspec
def register_pollers(settings: Settings) -> list[Poller]:
    """Return what asks exporters something on a schedule, such as the names of their interfaces.

    Called once in the collector's main thread, which starts a process for pollers where there are
    some, and once in that process's main thread; keep it cheap. `poll` is then called every
    `interval_seconds`, for each poller in a thread of its own; what it waits for holds up nobody.
    """


@hookspec
def register_engines(settings: Settings) -> list[Engine]:
    """Return programs that can receive in place of the appliance, for `collector.engine`.

    Called once, in the main thread, before anything is started; two engines of one name stop the
    start. The collector's main thread starts, watches and stops the one that is chosen, and reads
    the tables that it fills.
    """


@hookspec
def register_template_files(settings: Settings) -> list[TemplateFile]:
    """Return files in which templates are kept beside the collector's own, such as another's.

    Called once, in the main thread, before anything is received. The collector's thread reads each
    at its start, writes it when there are new templates, and asks it every ten seconds for those of
    other collectors; one that fails is counted, and the collector goes on. `appliance import` reads
    them as well.
    """


@hookspec(firstresult=True)
def flow_feed_from_order(order: FeedOrder, settings: Settings) -> FlowFeed | None:
    """Return what reads flows out of another program's table, or None to let the next plugin say.

    Called once, in the collector's main thread, when the command line asks for a feed in place of
    a receiver; nothing is opened before the feed is used, by that thread.
    """


@hookspec
def register_routes(settings: Settings) -> list[Route]:
    """Return the routes that the web server gets.

    Called once, in the main thread, before the web server listens. Two routes with one method and
    path stop the start. Handlers run in the web server's worker threads, several at a time.
    """


@hookspec
def register_pages(settings: Settings) -> list[Page]:
    """Return pages that the console gets beside its own.

    Called once, in the main thread, before the web server listens. Two pages with one path stop the
    start; without the plugin `console` they are not shown.
    """


@hookspec
def register_sign_in_ways(settings: Settings) -> list[SignInWay]:
    """Return ways to sign in beside a password, which a page of sign-in shows as buttons.

    Called once, in the main thread, before the web server listens; `GET /api/v1/account/ways`
    answers them. Two with one name stop the start.
    """


@hookspec
def register_value_names(settings: Settings) -> list[ValueNames]:
    """Return what the numbers in columns are called, such as AS; answers show it beside them.

    Called once, in the main thread of each process, before anything is asked. Two that name one
    column stop the start. `names` is called for each answer that has such a column, in the web
    server's worker threads, several at a time, or in the main thread of a command.
    """


@hookspec
def register_commands() -> list[click.Command]:
    """Return commands that `appliance` gets beside its own.

    Called once in the main thread, before the command line is read and before settings are known;
    keep it cheap, it also runs for `appliance --help`. A name that is taken is refused there, and
    by `appliance check`.
    """


@hookspec
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return Prometheus collectors (objects with a `collect` method).

    Called once, in the main thread, before the web server listens. `collect` runs in a worker
    thread of the web server at each scrape.
    """


@hookspec
def register_backups(settings: Settings) -> list[BackupPart]:
    """Return what the plugin keeps that a backup must hold, such as a database.

    Called once by `appliance backup` and by `appliance restore`, in the main thread, which also
    calls `save` or `restore` of each part. Parts that are equal, as two plugins have them that
    share a database, are one; two others of one name stop the command.
    """


@hookspec
def register_checks(settings: Settings) -> list[Check]:
    """Return functions that look at what the plugin needs, for lines of `appliance check`.

    Called once by `appliance check`, in the main thread, which also calls each function. One that
    raises, or returns no findings, is a line that fails, and the others go on.
    """


@hookspec(firstresult=True)
def account_store_from_url(url: str, settings: Settings) -> AccountStore | None:
    """Return what keeps accounts in the database at this URL, or None to let the next plugin say.

    Called by the web server when it first needs accounts, in a worker thread, and by commands, in
    the main thread; the store is then used by several threads at a time. When nobody answers, the
    web server has no accounts: what is not public is answered with 503.
    """


@hookspec(firstresult=True)
def principal_from_request(
    environ: Mapping[str, object], settings: Settings, accounts: Callable[[], AccountStore]
) -> Principal | None:
    """Return who makes this request, or None to let the next plugin say.

    Called for each request of a route that is not public, in the web server's worker thread, with
    the WSGI environment; `accounts` returns the accounts, or raises StorageError, which becomes a
    503. The last registered plugin is asked first, so a site's plugin wins. When nobody answers,
    the request is refused.
    """


@hookspec
def request_authenticated(
    environ: Mapping[str, object], principal: Principal, settings: Settings
) -> None:
    """Hear that the caller of a request is known.

    Called for each request of a route that is not public, in the web server's worker thread, after
    a plugin has said who makes it and before it is answered. An exception is logged and changes
    nothing.
    """


@hookspec
def collector_started(listen: Sequence[ListenAddress]) -> None:
    """Hear that the collector receives now, on these addresses.

    Called once, in the collector's main thread, after all sockets are bound. An exception is logged
    and changes nothing.
    """


@hookspec
def collector_stopped() -> None:
    """Hear that the collector has stopped and everything it received is in the flow log.

    Called once, in the collector's main thread, at a clean stop. An exception is logged and changes
    nothing.
    """


@hookspec
def exporter_appeared(address: str, version: int) -> None:
    """Hear of an exporter that was not known before.

    Called in the collector's thread, once for each address since its start, after the block with
    its first understood datagram was decoded; must not block. An exception is logged and changes
    nothing.
    """
