"""`appliance interfaces`: names of interfaces, and whether their flows tell the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance import ApplianceError, Settings
from appliance.cli.options import pass_settings
from appliance.cli.tables import human_number, table_text

if TYPE_CHECKING:
    from appliance.plugins.names.snmp.truth import InterfaceTruth

FORMATS = ("table", "csv", "json")
_EPILOG = """FLOWS and COUNTERS: octets by flows, and as the interface counts them itself, of those
five minutes that have both. FROM: who told the counters, SNMP or the exporter by itself (sFlow).
RATIO: flows to counters. WHY: the likely reason where they differ."""


@click.command("interfaces", epilog=_EPILOG)
@click.argument("exporter", required=False)
@click.option("--last", default="1h", show_default=True, metavar="SPAN", help="Such as 1h or 1d.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."
)
@pass_settings
def interfaces(
    settings: Settings, /, exporter: str | None, last: str, form: str, output: Path | None
) -> None:
    """Compare flows of interfaces with their counters.

    Of one EXPORTER, or of all whose counters are known: SNMP has read them, or they come by sFlow.
    """
    from appliance.counter_history import counter_history
    from appliance.flowlog.times import time_range
    from appliance.interface_history import interface_history
    from appliance.plugins.names.snmp.truth import exporter_truth, whole_bins

    now = time.time()
    since_ms, _ = time_range(last, None, None, int(now * 1000))
    bins = whole_bins(since_ms // 1000, int(now), now)
    known = {*interface_history(settings).exporters(), *counter_history(settings).exporters()}
    exporters = [exporter] if exporter else sorted(known)
    if not exporters:
        raise ApplianceError(
            "SNMP has read no exporter yet, and none sends counters by sFlow:"
            " snmp.community or snmp.user is needed"
        )
    if not len(bins.starts_ms):
        raise ApplianceError(f"--last {last} has no whole five minutes")
    answers = [exporter_truth(one, bins, settings) for one in exporters]
    for text in dict.fromkeys(text for answer in answers for text in answer.left_out):
        click.echo(f"appliance: {text}", err=True)
    truths = [truth for answer in answers for truth in answer.interfaces]
    if form != "table":
        _write([row for truth in truths for row in _rows(truth)], form, output)
    elif output is None:
        click.echo(_table(truths, None), nl=False)
    else:
        output.write_text(_table(truths, output), encoding="utf-8")


def _rows(truth: InterfaceTruth) -> Iterator[dict[str, Any]]:
    for direction, side in truth.directions.items():
        yield {
            "exporter": truth.exporter,
            "number": truth.number,
            "name": truth.name,
            "description": truth.description,
            "speed": truth.speed,
            "direction": direction,
            "flow_octets": side.total_flow_octets,
            "counter_octets": side.total_counter_octets,
            "counters_from": " ".join(side.sources),
            "ratio": side.ratio,
            "reason": side.reason.name,
            "text": side.reason.sentence,
        }


def _write(rows: Sequence[dict[str, Any]], form: str, output: Path | None) -> None:
    import pyarrow as pa

    from appliance.flowlog.output import write_answer

    write_answer(pa.Table.from_pylist(list(rows)), form, output)


def _table(truths: Sequence[InterfaceTruth], output: Path | None) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("exporter", "interface", "", "flows", "counters", "from", "ratio", "why"):
        is_number = heading in ("flows", "counters", "ratio")
        table.add_column(heading, justify="right" if is_number else "left")
    for truth in truths:
        for direction, side in truth.directions.items():
            cells = (
                *(truth.exporter, truth.name or f"if {truth.number}", direction),
                human_number(side.total_flow_octets, "B"),
                human_number(side.total_counter_octets, "B"),
                ", ".join(side.sources),
                "" if side.ratio is None else f"{side.ratio:.2f}",
                side.reason.sentence,
            )
            table.add_row(*map(Text, cells))
    return table_text(table, output)
