"""`appliance poller`: the collector's helper that asks exporters; started by it, not by people."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import closing

import click

from appliance.app import App
from appliance.cli.collecting import start_logging
from appliance.cli.options import pass_app
from appliance.contracts import ExporterRecord
from appliance.process_parts import gather_pollers
from appliance.processes.poller import PollingProcess
from appliance.stores import store_factory


@click.command("poller", hidden=True)
@pass_app
def command(app: App) -> None:
    """What asks exporters on a schedule.

    Such as the names of their interfaces; until the parent process ends.
    """
    start_logging(app.settings)
    poller = PollingProcess(
        app.settings, gather_pollers(app), lambda: _exporters(app), app.failures
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: poller.stop())
    poller.run()


def _exporters(app: App) -> Sequence[ExporterRecord]:
    opener = store_factory(app.stores, app.settings)
    if opener is None:
        return ()
    with closing(opener()) as store:
        return list(store.exporters())
