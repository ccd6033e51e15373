"""A command: `appliance countflows` counts the records of the flow log."""

from __future__ import annotations

import click

from appliance import Cursor, FlowLogReader, Settings, hookimpl, pass_settings

MAX_ROWS = 1_000_000


@click.command("countflows")
@pass_settings
def countflows(settings: Settings) -> None:
    """Count the records of the flow log."""
    log = FlowLogReader(settings["data_directory"] / "flowlog")
    cursor, n_rows = Cursor(), 0
    while True:
        parts, after = log.follow_rows(cursor, MAX_ROWS)
        if after == cursor:
            break
        cursor, n_rows = after, n_rows + sum(part.n_rows for part in parts)
    click.echo(f"{n_rows} flows")


@hookimpl
def register_commands() -> list[click.Command]:
    """Register the command."""
    return [countflows]
