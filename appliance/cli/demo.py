"""`appliance demo-exporters`: what sends in `appliance run --demo`; not started by people."""

from __future__ import annotations

import threading

import click

from appliance.cli.sending import stopping, target_option
from appliance.processes.parent import parent_watch
from appliance.settings.types import ListenAddress

FLOWS_A_SECOND = 300
_LOOK_SECONDS = 1.0


@click.command("demo-exporters", hidden=True)
@target_option("Where the collector listens.")
def command(target: ListenAddress) -> None:
    """The exporters of the demo.

    Sends the flows of three invented exporters until the parent process ends.
    """
    from appliance.traffic.generator import Generator, Order, Transmission, demo_exporters

    order = Order(rate=FLOWS_A_SECOND, daily_rhythm=True)
    transmission = Transmission(Generator(demo_exporters()), target, order)
    parent_lives = parent_watch()

    def follow_parent() -> None:
        while parent_lives():
            threading.Event().wait(_LOOK_SECONDS)
        transmission.stop()

    threading.Thread(target=follow_parent, daemon=True).start()
    with stopping(transmission.stop):
        transmission.run()
