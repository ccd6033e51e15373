"""`appliance stream`: flows on standard output while they come."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from appliance import Settings
from appliance.cli.options import pass_settings

BATCH_ROWS = 10_000
PAUSE_SECONDS = 0.5


@click.command("stream")
@click.argument("conditions", nargs=-1, metavar="[CONDITION]...")
@click.option("--columns", metavar="NAME,...", default="", help="What to write, or all.")
@click.option("--history", is_flag=True, help="Begin with the oldest flow that is there.")
@click.option("--once", is_flag=True, help="End when there is nothing new.")
@pass_settings
def stream(
    settings: Settings, /, conditions: tuple[str, ...], columns: str, history: bool, once: bool
) -> None:
    """Write flows as lines of JSON while they come.

    Begins with the next flow and goes on until Ctrl-C, as tail -f does, such as: appliance stream
    'port 443' | jq .source_address. Names and forms are those of `appliance export`. To send flows
    to another program for good, set stream.targets.
    """
    from appliance.flowlog import FLOW_LOG_FOLDER, Cursor, FlowLogReader
    from appliance.query.flow_lines import FlowLines

    folder = Path(settings["data_directory"]) / FLOW_LOG_FOLDER
    text = " and ".join(f"({condition})" for condition in conditions)
    names = [name.strip() for name in columns.split(",") if name.strip()]
    lines = FlowLines(folder, text, names, settings["search.lists"])
    lines.check()
    reader = FlowLogReader(folder)
    newest = None if history or not folder.is_dir() else max(reader.spans(), default=None)
    cursor = Cursor()
    if newest is not None:
        cursor = Cursor(newest.segment, newest.first + newest.n_rows)
    while True:
        rows, after = reader.follow_rows(cursor, BATCH_ROWS) if folder.is_dir() else ([], cursor)
        if rows:
            sys.stdout.buffer.writelines(line + b"\n" for line in lines.lines(rows))
            sys.stdout.buffer.flush()
        elif once and after == cursor:
            return
        else:
            time.sleep(PAUSE_SECONDS)
        cursor = after
