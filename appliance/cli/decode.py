"""`appliance decode`: what the registered decoders make of the datagrams in a capture file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from appliance.cli.options import pass_part, ports_option
from appliance.collector.capture_decoding import CaptureTotals, decode_datagrams
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.decoding.explanation import explain
from appliance.decoding.inspection import inspect_records
from appliance.guard import GuardedDecoder
from appliance.traffic.captures import CaptureReader


@click.command("decode")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each record (default).")
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="For each datagram: every field's offset, octets, name and value, and what was refused.",
)
@ports_option
@pass_part(lambda app: app.decoders)
def command(
    decoders: Sequence[GuardedDecoder],
    file: Path,
    as_json: bool,
    explained: bool,
    ports: tuple[int, ...],
) -> None:
    """Print the records of a capture or of a file of IPFIX messages.

    Captures are pcap or pcapng; all may be gzip'ed. Datagrams go through the same decoders as in
    the collector, in the order of the file, beginning with no templates known. Fields have IANA's
    names; facts of the message begin with an underscore. A summary of what could not be decoded
    goes to standard error.
    """
    reader = CaptureReader(file, set(ports) or None)
    totals, states = CaptureTotals(), ExporterStates(ExporterLimits())
    decoded = decode_datagrams(decoders, (found.datagram for found in reader), states)
    for number, (datagram, result) in enumerate(decoded, 1):
        totals.add(result)
        if explained:
            for line in explain(number, datagram, result, states):
                click.echo(line)
        elif result is not None:
            for record in inspect_records(result, states):
                click.echo(json.dumps(record, ensure_ascii=False))
    for warning in reader.warnings:
        click.echo(f"appliance: {warning}", err=True)
    click.echo(totals.summary(reader.skipped), err=True)
