"""`appliance serve`: the web server on both listeners."""

from __future__ import annotations

import logging
import os
import signal
import threading

import click

from appliance.app import App
from appliance.cli.collecting import start_logging
from appliance.cli.options import pass_app
from appliance.collector.parent import parent_watch

_WATCH_SECONDS = 1.0

log = logging.getLogger(__name__)


@click.command("serve")
@click.option(
    "--until-parent-ends", is_flag=True, hidden=True, help="Stop when the parent process is gone."
)
@pass_app
def command(app: App, until_parent_ends: bool) -> int:
    """Answer the REST API.

    Listens at web.listen of appliance.yml and at the address in api_server.yml, until Ctrl-C. A
    busy port is one sentence and exit code 2.
    """
    from appliance.web.service import configured_web

    start_logging(app)
    service = configured_web(app)
    if service.api.debug:
        logging.getLogger("appliance").setLevel(logging.DEBUG)
    if service.api.error_log is not None:
        _keep_errors(service.api.error_log)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    service.start()
    parent_lives = parent_watch()
    alive = True
    while alive and not stopping.wait(_WATCH_SECONDS):
        alive = service.server.is_alive
        if until_parent_ends and not parent_lives():
            break
    service.stop()
    return int(not alive)


def _keep_errors(path: os.PathLike[str]) -> None:
    from pathlib import Path

    from appliance.web.access_log import opened_log

    handler = opened_log(Path(path), "errorLogFile")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
