"""`appliance replication`: what other collectors got, and what they lack."""

from __future__ import annotations

import json

import click

from appliance import Settings
from appliance.cli.options import pass_settings
from appliance.plugins.replicate.figures import fresh_figures
from appliance.plugins.replicate.replicate_settings import KEEP_SOURCE, TARGETS


@click.command("replication")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_settings
def replication(settings: Settings, /, as_json: bool) -> None:
    """Show what other collectors got, and what they lack.

    Counts are datagrams since the collector's start. Dropped are those that the queue of a target
    had no room for, failed those that the network did not take; refused says how often the target's
    machine answered that nobody listens. Targets are set by replicate.targets.
    """
    targets = settings[TARGETS]
    figures = fresh_figures(settings["data_directory"])
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    if not targets:
        click.echo("nobody gets copies: replicate.targets is empty")
        return
    if not figures:
        click.echo("no collector that replicates is running")
        return
    click.echo(_table(figures, wants_source=settings[KEEP_SOURCE]), nl=False)


def _table(figures: dict[str, dict[str, int]], *, wants_source: bool) -> str:
    from appliance.cli.tables import Column, align_columns

    rows = list(figures.values())

    def numbers(heading: str, name: str) -> Column:
        return Column(heading, tuple(f"{row.get(name, 0):,}" for row in rows), is_number=True)

    sources = tuple(_source(row, wants_source=wants_source) for row in rows)
    columns = [
        Column("target", tuple(figures)),
        *(numbers(name, name) for name in ("sent", "dropped", "failed", "refused")),
        numbers("octets waiting", "waiting_octets"),
        Column("sent from", sources),
    ]
    return align_columns(columns)


def _source(row: dict[str, int], *, wants_source: bool) -> str:
    if not row.get("keeps_source"):
        return "this machine, for lack of CAP_NET_RAW" if wants_source else "this machine"
    own = row.get("own_source", 0)
    return "the exporters' addresses" + (f", {own:,} from this machine" if own else "")
