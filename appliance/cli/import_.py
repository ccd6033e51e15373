"""`appliance import`: a capture file into the flow log, as if received when captured."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.app import App
from appliance.cli.options import pass_app, ports_option
from appliance.collector.exporters import ExporterStates
from appliance.collector.paths import CollectorPaths
from appliance.collector.pipeline import Pipeline
from appliance.collector.service import exporter_limits, flow_log_limits, learn_templates
from appliance.decoding.messages.block import block_of
from appliance.flowlog import FlowLogWriter
from appliance.flows import address_halves
from appliance.traffic.captures import CaptureReader, blocks_of


def _halves(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, int]:
    try:
        return address_halves(text)
    except ValueError:
        raise click.BadParameter(f"expected an IPv4 or IPv6 address, found {text!r}") from None


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@ports_option
@click.option(
    "--exporter",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=_halves,
    help="Whose flows those of a file of IPFIX messages are.",
)
@pass_app
def command(
    app: App, files: tuple[Path, ...], ports: tuple[int, ...], exporter: tuple[int, int]
) -> None:
    """Write captures, or files of IPFIX messages, to the flow log.

    The time of receipt of each flow is the time of capture; of a file of messages (RFC 5655) it is
    that of their export. Such a file tells no sender: its flows are of --exporter where no options
    record names another. The collector must not be running; to
    send a capture to a running one, use `appliance replay`.
    """
    settings = app.settings
    states = ExporterStates(exporter_limits(settings))
    for templates in app.template_files:
        learn_templates(states, templates, 0)
    folder = CollectorPaths(settings["data_directory"]).flow_log
    writer = FlowLogWriter(folder, flow_log_limits(settings), settings["collector.raw_elements"])
    pipeline = Pipeline(
        app.decoders,
        states,
        writer,
        (*app.enrichers, *app.redactors),
        fastest_bits_per_second=app.settings["collector.fastest_interface"],
    )
    writer.start()
    try:
        for file in files:
            reader = CaptureReader(file, set(ports) or None, exporter)
            for datagrams in blocks_of(found.datagram for found in reader):
                now_ms = datagrams[-1].received_ms
                pipeline.take(block_of(datagrams), now_ms)
                writer.flush({}, now_ms)
                writer.roll_if_due(now_ms)
            for warning in reader.warnings:
                click.echo(f"appliance: {warning}", err=True)
    finally:
        writer.close()
    click.echo(f"{pipeline.counts['records']} records of {len(files)} files written to {folder}")
