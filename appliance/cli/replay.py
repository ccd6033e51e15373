"""`appliance replay`: what capture files hold, sent to a collector."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import click

from appliance.cli.sending import (
    per_second,
    progress_bar,
    stopping,
    target_option,
    warn_of_refusals,
)
from appliance.errors import CaptureError
from appliance.flows import address_text
from appliance.settings.types import ListenAddress
from appliance.traffic.captures import CaptureReader
from appliance.traffic.replay import (
    EXPORT_PORTS,
    Pace,
    Replay,
    ReplayReport,
    StreamReplay,
    capture_files,
)

_USUAL_PORTS = ", ".join(str(port) for port in sorted(EXPORT_PORTS))


@click.command("replay")
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="FILE|DIR")
@target_option("Where the collector listens.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Datagrams a second.")
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    help="Times the pace of the capture; 1 is real time.",
)
@click.option("--loop", type=click.IntRange(1), default=1, help="Send everything so often.")
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help=f"Only datagrams to this port in the capture; may be repeated. [default: {_USUAL_PORTS}]",
)
@click.option("--all-ports", is_flag=True, help="Every UDP datagram.")
@click.option("--tcp", "over_tcp", is_flag=True, help="Over TCP; IPFIX messages only.")
@click.option("--list", "as_list", is_flag=True, help="Send nothing, list who sends what.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    path: Path,
    target: ListenAddress,
    rate: float | None,
    speed: float | None,
    loop: int,
    ports: tuple[int, ...],
    all_ports: bool,
    over_tcp: bool,
    as_list: bool,
    as_json: bool,
) -> int:
    """Send captures to a collector.

    Takes a file (pcap, pcapng, or IPFIX messages as in RFC 5655; gzip or not) or a folder of them.

    Without --rate or --speed it is sent as fast as possible, which can be faster than a collector
    reads. Each exporter of the capture gets a socket of its own; its address cannot be kept, so a
    collector sees this machine's (and on 127.0.0.1 one address for each exporter).
    """
    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other")
    wanted = None if all_ports else frozenset(ports) or EXPORT_PORTS
    files = capture_files(path)
    if as_list:
        _print_list(files, wanted)
        return 0
    kind = StreamReplay if over_tcp else Replay
    replay = kind(files, target, pace=Pace(rate, speed), ports=wanted, loops=loop)
    try:
        with stopping(replay.stop):
            _run(replay, sum(file.stat().st_size for file in files) * loop)
    finally:
        _print_report(replay.report, as_json=as_json)
    if not replay.report.datagrams:
        raise CaptureError(path, _nothing(wanted))
    return warn_of_refusals(target, replay.report.refused)


def _nothing(ports: frozenset[int] | None) -> str:
    if ports is None:
        return "no UDP datagrams in it"
    wanted = ", ".join(str(port) for port in sorted(ports))
    return f"no datagrams to port {wanted}; --all-ports takes every one"


def _run(replay: Replay, file_octets: int) -> None:
    with progress_bar("{task.fields[datagrams]:,} datagrams", "{task.fields[pace]}/s") as progress:
        task = progress.add_task("", total=file_octets, datagrams=0, pace="-")

        def show(report: ReplayReport) -> None:
            progress.update(
                task,
                completed=report.file_octets,
                datagrams=report.datagrams,
                pace=per_second(report.datagrams, report.seconds),
            )

        replay.run(show)


def _print_report(report: ReplayReport, *, as_json: bool) -> None:
    for warning in report.warnings:
        click.echo(f"appliance: {warning}", err=True)
    if as_json:
        click.echo(
            json.dumps({field.name: getattr(report, field.name) for field in fields(report)})
        )
        return
    pace = per_second(report.datagrams, report.seconds)
    click.echo(
        f"sent {report.datagrams:,} datagrams, {report.octets:,} octets, of {report.exporters:,}"
        f" exporters in {report.seconds:.1f} s: {pace} datagrams/s"
    )
    if report.skipped:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in report.skipped.most_common())
        click.echo(f"not sent: {reasons}")


def _print_list(files: list[Path], ports: frozenset[int] | None) -> None:
    """Print who sends what in the captures; a datagram's first two octets are its version."""
    from rich.console import Console
    from rich.table import Table

    seen: Counter[tuple[int, int, int, int, int]] = Counter()
    for file in files:
        for captured in CaptureReader(file, ports):
            datagram = captured.datagram
            version = int.from_bytes(datagram.payload[:2])
            session = datagram.address_hi, datagram.address_lo, datagram.port
            seen[*session, captured.destination_port, version] += 1
    table = Table("exporter", "port", "to port", "version", "datagrams", box=None, pad_edge=False)
    for (hi, lo, port, to_port, version), n in sorted(seen.items()):
        table.add_row(address_text(hi, lo), str(port), str(to_port), str(version), f"{n:,}")
    Console().print(table)
