"""`appliance collect`: receive flows and write the flow log."""

from __future__ import annotations

import click

from appliance.app import App
from appliance.cli.collecting import collector_of, listen_option, loader_child, start_logging, work
from appliance.cli.options import pass_app
from appliance.collector.children import Child
from appliance.setting_types import ListenAddress


@click.command("collect")
@listen_option
@pass_app
def command(app: App, listen: tuple[ListenAddress, ...]) -> int:
    """Receive flows and write the flow log.

    Stops on Ctrl-C or SIGTERM, after everything that was received is written.
    """
    start_logging(app)
    collector = collector_of(app, listen)

    def children() -> list[Child]:
        for address in collector.receiver.addresses:
            click.echo(f"receiving on UDP {address}")
        return [loader_child(app)]

    return work(collector, children)
