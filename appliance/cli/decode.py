"""`appliance decode`: what the registered decoders make of the datagrams in a capture file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from appliance.cli.options import pass_part, ports_option
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.decoding.explanation import explain
from appliance.decoding.inspection import inspect_records
from appliance.decoding.messages.block import Datagram, DatagramBlock, block_of
from appliance.decoding.messages.faults import Fault, MalformedMessage
from appliance.decoding.messages.headers import versions
from appliance.decoding.results import DecodeResult
from appliance.guard import GuardedDecoder, PluginError
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
    """Print the records of a capture (pcap or pcapng, gzip or not).

    Datagrams go through the same decoders as in the collector, in the order of the file, beginning
    with no templates known. Fields have IANA's names; facts of the message begin with an
    underscore. A summary of what could not be decoded goes to standard error.
    """
    reader = CaptureReader(file, set(ports) or None)
    totals: Counter[str] = Counter()
    states = ExporterStates(ExporterLimits())
    decoded = decode_datagrams(decoders, (found.datagram for found in reader), states)
    for number, (datagram, result) in enumerate(decoded, 1):
        _count(totals, result)
        if explained:
            for line in explain(number, datagram, result, states):
                click.echo(line)
        elif result is not None:
            for record in inspect_records(result, states):
                click.echo(json.dumps(record, ensure_ascii=False))
    _summarise(totals, reader)


def decode_datagrams(
    decoders: Sequence[GuardedDecoder], datagrams: Iterator[Datagram], states: ExporterStates
) -> Iterator[tuple[Datagram, DecodeResult | None]]:
    """Decode datagrams one by one, as a collector that knows `states` would.

    Yields
    ------
    tuple
        The datagram and the result; None where no decoder takes its version, or a plugin's fails.
    """
    by_version = {decoder.version: decoder for decoder in decoders}
    for datagram in datagrams:
        block = block_of([datagram])
        decoder = by_version.get(int(versions(block)[0]))
        if decoder is None:
            yield datagram, None
            continue
        result = _decode(decoder, block, states)
        if result is not None:
            states.commit(result, datagram.received_ms)
        yield datagram, result


def _decode(
    decoder: GuardedDecoder, block: DatagramBlock, states: ExporterStates
) -> DecodeResult | None:
    try:
        return decoder.decode(block, states, int(block.received_ms[0]))
    except MalformedMessage as error:
        return DecodeResult(faults=[Fault(0, error.reason, error.detail)])
    except PluginError:
        return None


def _count(totals: Counter[str], result: DecodeResult | None) -> None:
    totals["datagrams"] += 1
    if result is None:
        totals["unsupported version"] += 1
        return
    for (_, word), number in result.tallies.items():
        totals[word] += number
    for fault in result.faults:
        totals[f"refused: {fault.reason}"] += 1
    totals["sets without template"] += result.counts["sets_without_template"]
    totals["sets decoded late"] += result.counts["sets_late"]


def _summarise(totals: Counter[str], reader: CaptureReader) -> None:
    parts = [f"{totals['datagrams']} datagrams", f"{totals['records']} records"]
    if totals["options_records"]:
        parts.append(f"{totals['options_records']} options records")
    shown = ("datagrams", "records", "options_records", "sampling_assumed", "total_counters")
    parts += [f"{word} {n}" for word, n in sorted(totals.items()) if n and word not in shown]
    parts += [f"{word} {n}" for word, n in sorted(reader.skipped.items()) if n]
    click.echo("; ".join(parts), err=True)
