"""`appliance exporters`: who sends, how much, what is lost, and how it samples."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from appliance.accounts.commands import accounts_of, act_recorded
from appliance.app import App
from appliance.cli.exporter_health import command as health_command
from appliance.cli.moments import age_text, utc_text
from appliance.cli.options import Invocation, pass_app
from appliance.cli.tables import table_text
from appliance.collector.exporter_rows import ExporterRow, exporter_rows, is_current
from appliance.collector.status import read_status
from appliance.errors import ApplianceError
from appliance.stores import store_factory
from appliance.web.parameters import find_device

FORMATS = ("table", "csv", "json")

_SOURCES = {
    "exporter": "told",
    "exporter, by selector or interface": "by interface",
    "exporter, in its records": "in records",
    "exporter, in its headers": "in headers",
    "exporter, to another collector": "shared",
    "collector.sampling_overrides": "set",
    "collector.default_sampling_rate": "default",
}
_EPILOG = """A line is a sender: an address, or address and port where several exporters share one.
STATE: active; waiting for a template; silent for five minutes; ended, of a connection; unheard
since the collector's start. PROTO: with /tcp or /tls where that carries it.
TMPL: templates. WAIT: sets of flows that wait for one. SAMPLING: one packet of so many; told by
the exporter (shared: another collector heard it), set in the settings, or assumed."""


@click.group("exporters", invoke_without_command=True, epilog=_EPILOG)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."
)
@click.pass_context
def command(ctx: click.Context, /, form: str, output: Path | None) -> None:
    """Show who sends flows, what is lost, how it is sampled.

    Reads what the collector wrote last, so it also works after it has stopped.
    """
    if ctx.invoked_subcommand is None:
        _show(ctx, form, output)


command.add_command(health_command)


@command.command("forget")
@click.argument("exporter", metavar="ADDRESS_OR_ID")
@pass_app
def forget(app: App, exporter: str) -> None:
    """Forget an exporter: its name, its info and its sums.

    Sums over all exporters and the flow log keep what it sent. When it sends again, it is listed
    again, as a new exporter.
    """
    opener = store_factory(app.stores, app.settings)
    if opener is None:
        raise ApplianceError("no plugin keeps exporters")
    with closing(opener()) as store, accounts_of(app.open_accounts) as accounts:
        record = find_device(store.exporters(), exporter)
        with act_recorded(accounts, "exporters forget") as note:
            note(f"exporter {record.id} {record.address}")
            try:
                store.forget_exporter(record.id)
            except KeyError:
                raise ApplianceError(f"no exporter {record.id}") from None
    click.echo(f"exporter {record.id}, {record.address}, is forgotten")


def _show(ctx: click.Context, form: str, output: Path | None) -> None:
    from appliance.collector.paths import CollectorPaths

    settings = ctx.ensure_object(Invocation).app.settings
    path = CollectorPaths(settings["data_directory"]).status
    status = read_status(path)
    if status is None:
        raise ApplianceError(f"no collector has run here: {path} cannot be read")
    now = time.time()
    for note in _notes(status, now):
        click.echo(f"appliance: {note}", err=True)
    rows = exporter_rows(status, settings)
    if form == "table" and not rows:
        return
    text = _table(rows, now, output) if form == "table" else None
    if text is None:
        _write_answer(rows, form, output)
    elif output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _notes(status: dict[str, Any], now: float) -> list[str]:
    notes = []
    time_ms = status.get("time_ms")
    if not is_current(status, now):
        moment = utc_text(time_ms / 1000 if isinstance(time_ms, int) else 0)
        notes.append(f"the collector is not running; its figures are of {moment}")
    if feed := status.get("feed"):
        source = feed.get("source", "a table") if isinstance(feed, dict) else "a table"
        notes.append(f"flows are read from {source}, which does not say what exporters send")
    elif not status.get("exporters"):
        notes.append("no exporter has sent anything yet")
    return notes


def _write_answer(rows: list[ExporterRow], form: str, output: Path | None) -> None:
    import pyarrow as pa

    from appliance.flowlog.output import write_answer

    schema = pa.schema(
        [
            ("exporter", pa.string()),
            ("port", pa.uint16()),
            ("state", pa.string()),
            ("protocol", pa.string()),
            ("last_seen_ms", pa.timestamp("ms")),
            ("flows_per_second", pa.float64()),
            ("lost_percent", pa.float64()),
            ("templates", pa.int64()),
            ("waiting", pa.int64()),
            ("sampling", pa.float64()),
            ("sampling_source", pa.string()),
            ("named", pa.string()),
            ("transport", pa.string()),
        ]
    )
    shown = [asdict(row) | {"named": " ".join(row.named) or None} for row in rows]
    table = pa.Table.from_pylist(shown, schema)
    names = ["last_seen" if name == "last_seen_ms" else name for name in table.schema.names]
    write_answer(table.rename_columns(names), form, output)


def _table(rows: list[ExporterRow], now: float, output: Path | None) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("exporter", overflow="fold", min_width=15)
    for heading in ("state", "proto"):
        table.add_column(heading, no_wrap=True)
    for heading in ("seen", "flows/s", "lost", "tmpl", "wait"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("sampling")
    for row in rows:
        table.add_row(
            *map(Text, _cells(row, now)), style="yellow" if row.state == "waiting" else None
        )
    return table_text(table, output)


def _cells(row: ExporterRow, now: float) -> tuple[str, ...]:
    seen = "never" if row.last_seen_ms is None else age_text(now - row.last_seen_ms / 1000)
    source = _SOURCES.get(row.sampling_source, row.sampling_source)
    sampling = source if row.sampling is None else f"{row.sampling:g} {source}"
    return (
        _name(row),
        row.state,
        row.protocol if row.transport == "udp" else f"{row.protocol}/{row.transport}",
        seen,
        "" if row.flows_per_second is None else f"{row.flows_per_second:,.1f}",
        "" if row.lost_percent is None else f"{row.lost_percent:.1f}%",
        str(row.templates),
        str(row.waiting),
        sampling,
    )


def _name(row: ExporterRow) -> str:
    address = f"[{row.exporter}]" if row.port is not None and ":" in row.exporter else row.exporter
    sender = address if row.port is None else f"{address}:{row.port}"
    if not row.named or row.named == (row.exporter,):
        return sender
    named = row.named[0] if len(row.named) == 1 else f"{len(row.named)} exporters"
    return f"{named} by {sender}"
