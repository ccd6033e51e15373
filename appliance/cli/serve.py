"""`appliance serve`: the web server on both listeners."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from appliance.accounts.first import make_first_administrator
from appliance.accounts.secret import secret_or_new, secret_path
from appliance.app import App
from appliance.cli.collecting import start_logging
from appliance.cli.options import pass_app
from appliance.cli.web_host import web_host_option, with_web_host
from appliance.errors import StorageError
from appliance.processes.notification import ALIVE, READY, STOPPING, notify
from appliance.processes.parent import parent_watch
from appliance.ratelimit import RateLimited
from appliance.web.lock import shared_api_lock

if TYPE_CHECKING:
    from appliance.web.service import WebService

_WATCH_SECONDS = 1.0
_PAUSE_SECONDS = 10.0
_FORMER_SECONDS = 3.0
"""So long the API of a `run` that was killed may take to see that, and to end."""


@click.command("serve")
@click.option(
    "--until-parent-ends", is_flag=True, hidden=True, help="Stop when the parent process is gone."
)
@web_host_option
@pass_app
def command(app: App, until_parent_ends: bool, web_host: str | None) -> int:
    """Answer the REST API.

    Listens at web.listen of appliance.yml and at the address in api_server.yml, until Ctrl-C. A
    busy port is one sentence and exit code 2.
    """
    start_logging(app.settings)
    app = with_web_host(app, web_host)
    with shared_api_lock(app.settings):
        if until_parent_ends:
            return _start_and_serve(app, parent_watch(), patience=_FORMER_SECONDS)
        return _start_and_serve(app, lambda: True)


def _start_and_serve(app: App, parent_lives: Callable[[], bool], patience: float = 0.0) -> int:
    from appliance.web.service import build_web_service

    secret_or_new(secret_path(app.settings))
    service = build_web_service(app.web_parts())
    if service.api.debug:
        logging.getLogger("appliance").setLevel(logging.DEBUG)
    if service.api.error_log is not None:
        _keep_errors(service.api.error_log)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    service.start(patience)
    try:
        return _serve(service, app, stopping, parent_lives)
    finally:
        notify(STOPPING)
        service.stop()


def _serve(
    service: WebService, app: App, stopping: threading.Event, parent_lives: Callable[[], bool]
) -> int:
    """Look after a started server until it is to end; return what to exit with."""
    first = _FirstAdministrator(service, app)
    first.look()
    notify(READY)
    while not stopping.wait(_WATCH_SECONDS):
        if not service.server.is_alive:
            return 1
        notify(ALIVE)
        first.look()
        if not parent_lives():
            break
    return 0


class _FirstAdministrator:
    """Makes the first administrator if there is none, as soon as the database can be asked."""

    def __init__(self, service: WebService, app: App) -> None:
        self._service, self._app = service, app
        self._look_at: float | None = 0.0
        self._log = RateLimited(logging.getLogger(__name__))

    def look(self) -> None:
        """Look once; what is away is asked again after a pause."""
        if self._look_at is None or time.monotonic() < self._look_at:
            return
        accounts, settings = self._service.accounts, self._app.settings
        try:
            lines = make_first_administrator(accounts.store(), settings, time.time())
        except StorageError as error:
            self._log.warning("cannot look for an administrator: %s", str(error))
            self._look_at = time.monotonic() + _PAUSE_SECONDS
            return
        self._look_at = None
        for line in lines:
            click.echo(line)


def _keep_errors(path: os.PathLike[str]) -> None:
    from pathlib import Path

    from appliance.web.access_log import opened_log

    handler = opened_log(Path(path), "errorLogFile")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
