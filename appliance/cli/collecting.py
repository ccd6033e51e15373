"""The collector as a process: its pid file, its children, and a clean end on a signal."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from appliance.app import App, open_app
from appliance.errors import ApplianceError
from appliance.log_handlers import log_handler
from appliance.process_parts import gather_pollers
from appliance.processes.children import Child
from appliance.processes.engines import FlowLogFiller
from appliance.processes.notification import STOPPING, notify
from appliance.processes.parent import find_run, run_watch
from appliance.processes.supervision import PidFile
from appliance.processes.supervision.choice import configuration_arguments, pid_file_path
from appliance.settings.file import Settings
from appliance.settings.overrides import OverridableSettings
from appliance.settings.types import ListenAddress, parse_listen_address

_WATCH_SECONDS = 1.0


def _listen(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[ListenAddress, ...]:
    try:
        return tuple(parse_listen_address(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


listen_option = click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    callback=_listen,
    help="Receive here, not at collector.listen; may be repeated. [::]:2055 is every address.",
)


FEED_VARIABLE, TABLE_VARIABLE = "APPLIANCE_FEED", "APPLIANCE_FEED_TABLE"


def feed_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a table which somebody else fills."""
    table = click.option(
        "--table",
        default="acct",
        show_default=True,
        metavar="NAME",
        envvar=TABLE_VARIABLE,
        help="The table of --pmacct.",
    )
    url = click.option(
        "--pmacct",
        "url",
        metavar="URL",
        envvar=FEED_VARIABLE,
        help="Receive nothing: read the table of a pmacct that runs already, such as"
        " mysql://user:password@host/pmacct. It is only read; sums are kept in flows.database.",
    )
    return url(table(command))


def loader_child(settings: Settings, *, starts_as_copy: bool) -> Child:
    """Return the loader beside a collector."""
    arguments = [*configuration_arguments(settings), "loader"]
    return Child("loader", arguments, starts_as_copy=starts_as_copy)


def poller_children(app: App) -> list[Child]:
    """Return the process of what asks exporters on a schedule; none where nothing does."""
    if not gather_pollers(app):
        return []
    return [Child("poller", [*configuration_arguments(app.settings), "poller"])]


def start_logging(settings: Settings) -> None:
    """Write the log where the settings say."""
    level = settings["log_level"].upper()
    handler = log_handler(settings["log_file"], settings["log_facility"])
    if handler is not None:
        logging.basicConfig(level=level, handlers=[handler])
        return
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )


def upcoming_settings(overridable: OverridableSettings) -> Settings:
    """Return the settings that the collector starts with now; those of `appliance.yml` where
    another file is wrong, which `starting` says."""
    with suppress(ApplianceError):
        return overridable.upcoming()
    return overridable.own


def starting(app: App) -> App:
    """Return the appliance with the settings that other files decide now.

    Raises
    ------
    SettingsError, StorageError
        A file is wrong, or cannot be made to count.
    """
    app.overridable.upcoming()
    app.overridable.activate()
    file = app.settings.file
    return open_app(file.parent if file is not None else None)


@contextmanager
def claim_collector(settings: Settings) -> Iterator[None]:
    """Be the one collector of this configuration.

    Raises
    ------
    AlreadyRunning, StorageError
        There is another, or the pid file cannot be written.
    """
    pid_file = PidFile(pid_file_path(settings))
    try:
        pid_file.hold(find_run())
        yield
    except ApplianceError:
        pid_file.abandon()
        raise
    pid_file.release()


def work(collector: FlowLogFiller, children: Callable[[], Sequence[Child]]) -> None:
    """Run a collector and its children until a signal comes; then stop them in order.

    Parameters
    ----------
    children
        Called once the collector has started; says who is to run beside it.

    Raises
    ------
    StartupError
        A child says by its exit code that it cannot be started as configured.
    """
    with _signals(collector):
        collector.start()
        beside = children()
        with _running(collector, beside):
            collector.run()
            notify(STOPPING)
    for child in beside:
        child.raise_failure()


@contextmanager
def _running(collector: FlowLogFiller, children: Sequence[Child]) -> Iterator[None]:
    """Keep children running; they are watched by a thread, and stopped in reverse order."""
    for child in children:
        child.start()
    watching = threading.Event()
    watcher = threading.Thread(target=_watch, args=(collector, children, watching), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        watching.set()
        watcher.join()
        for child in reversed(children):
            child.stop()


def _watch(collector: FlowLogFiller, children: Sequence[Child], done: threading.Event) -> None:
    run_lives = run_watch()
    while not done.wait(_WATCH_SECONDS):
        if not run_lives():
            collector.stop()
        for child in children:
            child.watch()
            if child.has_failed:
                collector.stop()


@contextmanager
def _signals(collector: FlowLogFiller) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        collector.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
