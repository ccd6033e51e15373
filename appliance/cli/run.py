"""`appliance run`: everything at once, and where to find it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import click

from appliance import __version__
from appliance.app import App
from appliance.cli.cert import make_certificate_option
from appliance.cli.collecting import (
    FEED_VARIABLE,
    TABLE_VARIABLE,
    feed_options,
    listen_option,
    start_logging,
)
from appliance.cli.options import command_hint, pass_app
from appliance.cli.web_host import (
    WEB_HOST_VARIABLE,
    web_host_option,
    web_host_warning,
    with_web_host,
)
from appliance.collector.paths import CollectorPaths
from appliance.collector.status import read_status
from appliance.errors import StartupError
from appliance.native.library import SWITCH, why_unavailable
from appliance.processes.children import Child
from appliance.processes.parent import RUN_VARIABLE
from appliance.processes.starting import command_line, start_copy
from appliance.processes.supervision import LocalSupervisor, NotRunning, RestartPolicy
from appliance.processes.supervision.choice import (
    collect_arguments,
    configuration_arguments,
    listen_environment,
    pid_file_path,
)
from appliance.settings.types import ListenAddress

_WATCH_SECONDS = 0.5
_FORMER_SECONDS = 20.0
"""So long the collector of a run that was killed may take to write what it has."""


@click.command("run")
@listen_option
@web_host_option
@click.option(
    "--demo", is_flag=True, help="Also start three invented exporters that send to it all day."
)
@make_certificate_option
@feed_options
@pass_app
def command(
    app: App,
    /,
    *,
    listen: tuple[ListenAddress, ...],
    web_host: str | None,
    demo: bool,
    url: str | None,
    table: str,
) -> None:
    """Run the whole appliance until Ctrl-C.

    Starts the collector with its loader, and the API, and prints where they listen and what to do
    next.
    """
    start_logging(app.settings)
    app = with_web_host(app, web_host)
    if web_host:
        os.environ[WEB_HOST_VARIABLE] = web_host
    os.environ.update({RUN_VARIABLE: str(os.getpid()), **listen_environment(listen)})
    if url:
        # Not on a command line, which everyone may read: there can be a password in it.
        os.environ.update({FEED_VARIABLE: url, TABLE_VARIABLE: table})
    collect = collect_arguments(app.settings, os.environ)
    supervisor = LocalSupervisor(
        pid_file_path(app.settings),
        command_line(collect),
        start_first=partial(start_copy, collect),
    )
    configuration = configuration_arguments(app.settings)
    serve = [*configuration, "serve", "--until-parent-ends"]
    children = [Child("API", serve, starts_as_copy=True)]
    with _stop_signals() as stopping, ExitStack() as started:
        # The API takes longer to start, and neither waits for the other.
        _start_child(children[0], started)
        started.enter_context(_collector(supervisor))
        status = read_status(CollectorPaths(app.settings["data_directory"]).status) or {}
        for line in (*_welcome(app, status, demo), *web_host_warning(web_host)):
            click.echo(line)
        if demo and status.get("listen"):
            children.append(_demo_exporters(configuration, status))
            _start_child(children[-1], started)
        _look_after(supervisor, children, stopping)
    click.echo("stopped; everything received is in the flow log")
    for child in children:
        child.raise_failure()


def _start_child(child: Child, started: ExitStack) -> None:
    child.start()
    started.callback(child.stop)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Return what is set once somebody wants an end."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _collector(supervisor: LocalSupervisor) -> Iterator[None]:
    """Have a collector, which is stopped in the end if it still runs."""
    _start(supervisor)
    try:
        yield
    finally:
        with suppress(NotRunning):
            supervisor.stop()


def _start(supervisor: LocalSupervisor) -> None:
    """Start the collector; one whose `run` was killed may still be ending.

    Raises
    ------
    AlreadyRunning, StartFailed
        There is another, or it cannot be started.
    """
    deadline = time.monotonic() + _FORMER_SECONDS
    while _is_orphan(supervisor) and time.monotonic() < deadline:
        time.sleep(_WATCH_SECONDS)
    supervisor.start()


def _is_orphan(supervisor: LocalSupervisor) -> bool:
    """Tell whether a collector runs that was started under a `run` that is gone."""
    import psutil

    run = supervisor.pid_file.find_run()
    return supervisor.status().is_running and run is not None and not psutil.pid_exists(run)


def _look_after(
    supervisor: LocalSupervisor, children: Sequence[Child], stopping: threading.Event
) -> None:
    """Keep collector and children running until the end, or until a child cannot be started."""
    restart_policy = RestartPolicy(supervisor)
    while not stopping.wait(_WATCH_SECONDS):
        restart_policy.look(time.monotonic())
        for child in children:
            child.watch()
        if any(child.has_failed for child in children):
            break


def _demo_exporters(configuration: Sequence[str], status: dict[str, Any]) -> Child:
    target = f"127.0.0.1:{_ports(status)[0]}"
    return Child("demo exporters", [*configuration, "demo-exporters", "--to", target])


def _welcome(app: App, status: dict[str, Any], demo: bool) -> list[str]:
    from appliance.web.service import certificate_fingerprint, listen_urls

    urls = listen_urls(app.settings)
    identity = certificate_fingerprint(app.settings)
    certificate = [f"  certificate SHA-256 {identity}"] if identity else []
    paths = CollectorPaths(app.settings["data_directory"])
    return [
        f"NetFlow appliance {__version__}",
        *_console(app, urls),
        *_collecting(app.settings["collector.engine"], status, demo),
        f"  flow log    {paths.flow_log}",
        f"  API         {' and '.join(urls)} (documentation: {urls[0]}api/docs)",
        *certificate,
        "  stop        Ctrl-C",
        *(f"  note        {text}" for text in (*kernel_hints(), *app.overridable.hints())),
        "In another terminal:",
        f"  look        {command_hint('top --last 15m')}",
        f"  token       {command_hint('token create')}  (opens the API for 20 minutes)",
    ]


def kernel_hints() -> list[str]:
    """Say that there are no kernels in C; who switched them off knows."""
    reason = why_unavailable()
    if not reason or os.environ.get(SWITCH) == "0":
        return []
    return [f"{reason}: a flow takes more processor time without kernels in C (manual, Speed)"]


def _console(app: App, urls: list[str]) -> list[str]:
    """Say where people look, and how from another machine."""
    from appliance.web.start_page import LINKS

    url = next((url for url in urls if url.startswith("http")), None)
    path = LINKS["console"][0]
    # All routes are a second's worth of modules: only looked at where another could be it.
    is_there = app.plugins.has_plugin("console") or any(r.value.path == path for r in app.routes)
    if url is None or not is_there:
        return []
    lines = [f"  console     {url.rstrip('/')}{path}"]
    address = url.partition("://")[2].rstrip("/")
    if address.startswith("127.0.0.1:"):
        port = address.partition(":")[2]
        lines.append(
            f"  elsewhere   ssh -L {port}:{address} {socket.gethostname()}  (then the same)"
        )
    return lines


def _collecting(engine: str, status: dict[str, Any], demo: bool) -> list[str]:
    """Say where flows come from."""
    lines = []
    feed = status.get("feed")
    if status.get("listen"):
        addresses = ", ".join(status["listen"])
        megabytes = status.get("receive_buffer_octets", 0) / 1e6
        receiver = f"{engine}, " if feed else ""
        buffer = "" if feed else f" (receive buffer {megabytes:.0f} MB)"
        port = min(_ports(status))
        lines = [
            f"  collector   {receiver}UDP {addresses}{buffer}",
            f"  send        NetFlow, IPFIX or sFlow to UDP port {port} of this machine",
        ]
    if demo:
        lines[-1:] = ["  demo        three invented exporters are sending now"]
    if feed:
        lines.append(f"  reads       {feed['source']}")
        lines += [f"  note        {text}" for text in status.get("warnings", ())]
    return lines


def _ports(status: dict[str, Any]) -> list[int]:
    """Return the ports on which the collector receives.

    Raises
    ------
    StartupError
        It does not say.
    """
    listen = status.get("listen")
    if not listen:
        raise StartupError("the collector started but does not say where it listens")
    return [int(address.rpartition(":")[2]) for address in listen]
