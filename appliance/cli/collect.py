"""`appliance collect`: receive flows and write the flow log."""

from __future__ import annotations

import click

from appliance.app import App
from appliance.cli.collecting import (
    collector_of,
    listen_option,
    loader_child,
    start_logging,
    supervised,
    work,
)
from appliance.cli.options import pass_app
from appliance.collector.children import Child
from appliance.collector.supervision.notification import READY, notify
from appliance.setting_types import ListenAddress


@click.command("collect")
@listen_option
@pass_app
def command(app: App, listen: tuple[ListenAddress, ...]) -> int:
    """Receive flows and write the flow log.

    Stops on Ctrl-C or SIGTERM, after everything that was received is written.
    """
    start_logging(app)

    def children() -> list[Child]:
        for address in collector.receiver.addresses:
            click.echo(f"receiving on UDP {address}")
        notify(READY)
        return [loader_child(app)]

    with supervised(app):
        collector = collector_of(app, listen)
        return work(collector, children)
