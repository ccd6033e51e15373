"""`appliance generate`: flows of invented exporters, sent to a collector."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from appliance.cli.sending import (
    per_second,
    progress_bar,
    rate_of,
    stopping,
    target_option,
    warn_of_refusals,
)
from appliance.settings.types import ListenAddress

if TYPE_CHECKING:
    from appliance.traffic.generator import Order, Transmission

DEFAULT_PROTOCOLS = "v5,v9,ipfix"
MAX_EXPORTERS = 250


def _protocols(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    from appliance.traffic.generator import PROTOCOLS

    chosen = tuple(dict.fromkeys(word.strip().lower() for word in value.split(",")))
    if unknown := [word for word in chosen if word not in PROTOCOLS]:
        known = ", ".join(PROTOCOLS)
        raise click.BadParameter(f"expected some of {known}, found {unknown[0]!r}", ctx, param)
    return chosen


@click.command("generate")
@target_option("Where the collector listens.")
@click.option(
    "--rate",
    metavar="N|max",
    callback=rate_of,
    default="100",
    show_default=True,
    help="Flows a second, or as fast as possible.",
)
@click.option("--flows", type=click.IntRange(1), help="Stop after so many flows.")
@click.option(
    "--duration", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds."
)
@click.option(
    "--protocol",
    "protocols",
    metavar="LIST",
    callback=_protocols,
    default=DEFAULT_PROTOCOLS,
    show_default=True,
    help="What the exporters speak, in turn.",
)
@click.option(
    "--exporters",
    type=click.IntRange(1, MAX_EXPORTERS),
    help="How many exporters. [default: one for each protocol]",
)
@click.option("--unique", is_flag=True, help="No two flows with the same addresses and ports.")
@click.option("--rhythm", is_flag=True, help="Follow the local hour; --rate is the busiest.")
@click.option("--seed", type=int, default=0, help="Another seed invents other flows.")
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    target: ListenAddress,
    rate: float | None,
    flows: int | None,
    duration: float | None,
    protocols: tuple[str, ...],
    exporters: int | None,
    unique: bool,
    rhythm: bool,
    seed: int,
    as_json: bool,
) -> int:
    """Send the flows of invented exporters to a collector.

    Their hosts, services, packets and octets are distributed as in a real network; v9 and IPFIX
    exporters also tell names of interfaces and applications. It goes on until Ctrl-C, --flows or
    --duration, then prints exactly what was sent. On 127.0.0.1 each exporter has its own address.
    """
    from appliance.traffic.generator import Generator, Order, Transmission, invent_exporters

    profiles = invent_exporters(protocols, exporters or len(protocols), unique=unique)
    order = Order(rate=rate, flows=flows, seconds=duration, daily_rhythm=rhythm)
    transmission = Transmission(Generator(profiles, seed=seed), target, order)
    try:
        with stopping(transmission.stop):
            _run(transmission, order)
    finally:
        (_print_json if as_json else _print_table)(transmission)
    return warn_of_refusals(target, transmission.refused)


def _run(transmission: Transmission, order: Order) -> None:
    with progress_bar("{task.fields[flows]:,} flows", "{task.fields[pace]}/s") as progress:
        whole = order.flows or order.seconds
        task = progress.add_task("", total=whole, flows=0, pace="-")

        def show(transmission: Transmission) -> None:
            flows = transmission.total.flows
            progress.update(
                task,
                completed=flows if order.flows else transmission.seconds,
                flows=flows,
                pace=per_second(flows, transmission.seconds),
            )

        transmission.run(None if progress.disable else show)


def _print_json(transmission: Transmission) -> None:
    exporters = [
        {"name": profile.name, "protocol": profile.protocol, "sampling": profile.sampling}
        | asdict(sums)
        for profile, sums in zip(transmission.profiles, transmission.sums, strict=True)
    ]
    click.echo(
        json.dumps(
            {
                "total": asdict(transmission.total),
                "seconds": round(transmission.seconds, 3),
                "refused": transmission.refused,
                "exporters": exporters,
            }
        )
    )


def _print_table(transmission: Transmission) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    numbers = ("flows", "packets", "octets", "option_records", "datagrams")
    titles = [Column(name.replace("_", " "), justify="right") for name in numbers]
    table = Table("exporter", "protocol", "sampling", *titles, box=None, pad_edge=False)
    for profile, sums in zip(transmission.profiles, transmission.sums, strict=True):
        values = (f"{getattr(sums, name):,}" for name in numbers)
        table.add_row(profile.name, profile.protocol, f"1:{profile.sampling}", *values)
    total = transmission.total
    table.add_row("total", "", "", *(f"{getattr(total, name):,}" for name in numbers))
    Console().print(table)
    pace = per_second(total.flows, transmission.seconds)
    click.echo(f"in {transmission.seconds:.1f} s: {pace} flows/s")
