"""`appliance run`: everything at once, and where to find it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from appliance import __version__
from appliance.app import App
from appliance.cli.collecting import (
    collector_of,
    configured,
    listen_option,
    loader_child,
    start_logging,
    work,
)
from appliance.cli.options import pass_app
from appliance.collector.children import Child
from appliance.collector.service import Collector
from appliance.setting_types import ListenAddress


@click.command("run")
@listen_option
@click.option(
    "--demo", is_flag=True, help="Also start three invented exporters that send to it all day."
)
@pass_app
def command(app: App, listen: tuple[ListenAddress, ...], demo: bool) -> int:
    """Run the whole appliance until Ctrl-C.

    Starts the collector with its loader, and the API, and prints where they listen and what to do
    next.
    """
    start_logging(app)
    collector = collector_of(app, listen)

    def children() -> list[Child]:
        for line in _welcome(app, collector, demo):
            click.echo(line)
        demonstrating = [_demo_child(app, collector)] if demo else []
        return [loader_child(app), _api_child(app), *demonstrating]

    exit_code = work(collector, children)
    click.echo("stopped; everything received is in the flow log")
    return exit_code


def _welcome(app: App, collector: Collector, demo: bool) -> list[str]:
    from appliance.web.service import listen_urls

    urls, program = listen_urls(app), _program()
    addresses = ", ".join(str(address) for address in collector.receiver.addresses)
    ports = sorted({address.port for address in collector.receiver.addresses})
    megabytes = collector.receiver.granted_buffer_octets / 1e6
    sender = (
        "  demo        three invented exporters are sending now"
        if demo
        else f"  send        NetFlow v5, v9 or IPFIX to UDP port {ports[0]} of this machine"
    )
    return [
        f"NetFlow appliance {__version__}",
        f"  collector   UDP {addresses} (receive buffer {megabytes:.0f} MB)",
        f"  flow log    {collector.paths.flow_log}",
        sender,
        f"  API         {' and '.join(urls)} (documentation: {urls[0]}api/docs)",
        f"  token       {program} token create        (opens the API, for 20 minutes)",
        f"  look        {program} top --last 15m      (in another terminal)",
        "  stop        Ctrl-C",
    ]


def _program() -> str:
    """Return what to type to run this program once more, in another terminal."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "appliance" else "appliance"


def _api_child(app: App) -> Child:
    return Child("API", [*configured(app), "serve", "--until-parent-ends"])


def _demo_child(app: App, collector: Collector) -> Child:
    port = collector.receiver.addresses[0].port
    arguments = [*configured(app), "demo-exporters", "--to", f"127.0.0.1:{port}"]
    return Child("demo exporters", arguments)
