"""A report as tables for people, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from appliance.cli.tables import human_number, table_text
from appliance.flowlog.output import FORMULA_LETTERS


def report_text(report: dict[str, Any]) -> str:
    """Return a report for the terminal."""
    parts = [f"{report['kind']} report, {report['period']}\n"]
    if report["complete_from"] > report["since"]:
        parts.append(f"flows are stored from {report['complete_from']} on only\n")
    if report["complete_until"] < report["until"]:
        parts.append(f"it still goes on: up to {report['complete_until']}\n")
    if report["estimated"]:
        parts.append("figures are estimated from samples\n")
    totals = [
        (row["measure"], human_number(row["value"]), _change(row["change_percent"], row["value"]))
        for row in report["totals"]
    ]
    parts.append(_table(("total", "", "change"), totals))
    for top in report["tops"]:
        rows = [_top_row(row) for row in top["rows"]]
        if rows:
            parts.append(_table((top["by"], "octets", "share", "change"), rows))
    if report["billing"]:
        parts.append(_billing(report["billing"]))
    return "\n".join(parts)


def report_csv(report: dict[str, Any]) -> str:
    """Return what would be billed, a row for each interface and customer."""
    file = io.StringIO()
    names = ("kind", "name", "description", "ingress", "egress", "billed", "direction", "bins")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("period", *names))
    for row in report["billing"]:
        writer.writerow((report["period"], *(_plain(row[name]) for name in names)))
    return file.getvalue()


def _top_row(row: dict[str, Any]) -> tuple[str, ...]:
    share, change = f"{row['share_percent']:.1f} %", _change(row["change_percent"], row["octets"])
    return row["key"], human_number(row["octets"], "B"), share, change


def _billing(rows: list[dict[str, Any]]) -> str:
    shown = [_bill_row(row) for row in rows]
    return _table(("95th percentile", "in", "out", "billed", "side"), shown)


def _bill_row(row: dict[str, Any]) -> tuple[str, ...]:
    rates = [_rate(row[name]) for name in ("ingress", "egress", "billed")]
    return f"{row['name']} {row['description']}".strip(), *rates, row["direction"]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table_text(table, None)


def _rate(value: float | None) -> str:
    return "" if value is None else human_number(value, "bit/s")


def _change(percent: float | None, value: float) -> str:
    if percent is not None:
        return f"{percent:+.0f} %"
    return "new" if value else ""


def _plain(value: Any) -> Any:
    """Return a value; a text that a spreadsheet would run with an apostrophe before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(tuple(FORMULA_LETTERS)) else value
    return "" if value is None else round(value)
