"""`appliance import`: a capture file into the flow log, as if received when captured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from appliance.app import App
from appliance.cli.options import pass_app, ports_option
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.collector.service import (
    CollectorPaths,
    exporter_limits,
    flow_log_limits,
    learn_templates,
)
from appliance.decoding.messages.block import Datagram, block_of
from appliance.flowlog import FlowLogWriter
from appliance.traffic.captures import CaptureReader, blocks_of


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@ports_option
@pass_app
def command(app: App, files: tuple[Path, ...], ports: tuple[int, ...]) -> None:
    """Write capture files to the flow log.

    The time of receipt of each flow is the time of capture. The collector must not be running; to
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
            for datagrams in _blocks(file, ports):
                now_ms = datagrams[-1].received_ms
                pipeline.take(block_of(datagrams), now_ms)
                writer.flush({}, now_ms)
                writer.roll_if_due(now_ms)
    finally:
        writer.close()
    click.echo(f"{pipeline.counts['records']} records of {len(files)} files written to {folder}")


def _blocks(file: Path, ports: tuple[int, ...]) -> Iterator[list[Datagram]]:
    return blocks_of(found.datagram for found in CaptureReader(file, set(ports) or None))
