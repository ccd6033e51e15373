"""`appliance export`: any number of flows as CSV, JSON lines, Parquet or IPFIX."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flows import (
    columns_from_text,
    export_options,
    load_plugin_columns,
    question_parts,
    report_gaps,
)
from appliance.cli.sending import progress_bar
from appliance.flowlog.forms import CONTENT_TYPES, form_of_file
from appliance.flowlog.questions import FlowQuestion
from appliance.query.language.fields import HELP

if TYPE_CHECKING:
    from appliance.flowlog.exports import FlowExport


@click.command("export", epilog=HELP)
@click.argument("conditions", nargs=-1, metavar="[CONDITION]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(CONTENT_TYPES)),
    help="Default: what the name of the file says, else csv. json has an object on each line.",
)
@click.option("--columns", metavar="NAME,...", help="What to write, or all.")
@click.option("--limit", type=click.IntRange(1), help="Most flows; default: all.")
@export_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Write any number of flows as CSV, JSON, Parquet or IPFIX.

    Writes all flows that satisfy every CONDITION, oldest first, such as: appliance export
    --last 30d exporter=192.0.2.1 --output flows.parquet

    Any number of flows takes the same little memory. A file is there when it is whole; names,
    times and addresses are written as `appliance flows` shows them. ipfix is a file of messages
    (RFC 5655) with numbers; columns that IPFIX has no element for are refused.
    """
    load_plugin_columns(ctx, given["directory"])
    form = given["form"] or form_of_file(given["output"])

    from appliance.flowlog.exports import FlowExport
    from appliance.flowlog.output import refuse_terminal

    refuse_terminal(form, given["output"])
    search, common = question_parts(ctx, given | {"timeout": given["timeout"] or math.inf})
    columns = columns_from_text(given["columns"])
    question = FlowQuestion(**common, limit=given["limit"], columns=columns)
    export = FlowExport(search, question, form)
    n_octets = _write(export, given["output"])
    if given["output"] is not None:
        click.echo(f"{export.n_rows:,} flows, {n_octets:,} octets: {given['output']}", err=True)
    report_gaps(search, is_empty=not export.n_rows)


def _write(export: FlowExport, output: Path | None) -> int:
    """Write an export and return its octets; a terminal shows how far it is."""
    from appliance.flowlog.output import open_output

    n_octets = 0
    with (
        open_output(output) as sink,
        progress_bar("{task.fields[flows]:,} flows", "{task.fields[octets]:,} octets") as progress,
    ):
        task = progress.add_task("", total=export.most_rows(), flows=0, octets=0)
        for piece in export.pieces():
            sink.write(piece)
            n_octets += len(piece)
            n = export.n_rows
            progress.update(task, completed=n, flows=n, octets=n_octets)
    return n_octets
