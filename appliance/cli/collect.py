"""`appliance collect`: receive flows and write the flow log."""

from __future__ import annotations

import logging
import os

import click

from appliance.app import App
from appliance.cli.collecting import (
    claim_collector,
    feed_options,
    listen_option,
    loader_child,
    poller_children,
    start_logging,
    starting,
    upcoming_settings,
    work,
)
from appliance.cli.options import pass_app
from appliance.contracts import FeedOrder
from appliance.processes.background import detach, goes_to_background, process_file
from appliance.processes.children import Child
from appliance.processes.engines import filler_of
from appliance.processes.notification import READY, notify
from appliance.processes.parent import RUN_VARIABLE
from appliance.settings.types import ListenAddress

log = logging.getLogger(__name__)


@click.command("collect")
@listen_option
@feed_options
@pass_app
def command(app: App, listen: tuple[ListenAddress, ...], url: str | None, table: str) -> None:
    """Receive flows and write the flow log.

    Stops on Ctrl-C or SIGTERM, after everything that was received is written.
    """
    start_logging(app.settings)
    upcoming = upcoming_settings(app.overridable)
    has_started = detach() if goes_to_background(upcoming) else None
    with claim_collector(app.settings), process_file(upcoming["collector.process_file"]):
        started = starting(app)
        for text in started.overridable.hints():
            log.warning("collector configuration: %s", text)
        order = FeedOrder(url, table) if url else None
        filler = filler_of(started.collector_parts(), started.open_feed, listen, order)
        # A copy would have the terminal that is let go later.
        loader = loader_child(started.settings, starts_as_copy=has_started is None)

        def children() -> list[Child]:
            # `appliance run` says it itself, and more.
            for line in filler.announcements() if RUN_VARIABLE not in os.environ else ():
                click.echo(line)
            notify(READY)
            if has_started is not None:
                has_started()
            return [loader, *poller_children(started)]

        # Copied with the modules that both need, without the collector's threads and sockets.
        with loader.prepared():
            work(filler, children)
