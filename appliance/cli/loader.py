"""`appliance loader`: the collector's helper process; started by it, not by people."""

from __future__ import annotations

import signal

import click

from appliance.app import App
from appliance.cli.collecting import start_logging
from appliance.cli.options import pass_app
from appliance.contracts import FlowStore
from appliance.process_parts import gather_loaders
from appliance.processes.loader import Loader
from appliance.stores import store_factory


@click.command("loader", hidden=True)
@pass_app
def command(app: App) -> None:
    """The collector's helper.

    Seals, merges, expires and loads the flow log until the parent process ends.
    """
    start_logging(app.settings)
    loader = Loader(app.settings, _store(app), gather_loaders(app), app.failures)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loader.stop())
    loader.run()


def _store(app: App) -> FlowStore | None:
    opener = store_factory(app.stores, app.settings)
    return opener() if opener is not None else None
