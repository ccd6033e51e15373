"""A report as tables for people, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.cli.tables import Column, align_columns, human_number, printable
from appliance.flowlog.output import FORMULA_LETTERS
from appliance.plugins.reports.contents import TOTALS, TRAFFIC

PERIODS = {"daily": "day", "weekly": "week", "monthly": "month"}


def report_text(report: dict[str, Any]) -> str:
    """Return a report as plain text, for the terminal and for mails."""
    name = report["name"] or f"{report['kind']} report"
    parts = [f"{name}, {report['period']}\n"]
    if report["filter"]:
        parts.append(f"only flows of: {printable(report['filter'])}\n")
    parts += [f"{note}\n" for note in notes_of(report)]
    change = "change" if report["compared"] else ""
    if TOTALS in report["sections"]:
        totals = [
            (row["measure"], total_text(row), _change(row, report)) for row in report["totals"]
        ]
        parts.append(text_table(("total", "", change), totals))
    if TRAFFIC in report["sections"] and report["series"]["maximum"] is not None:
        mean, most = (rate_text(report["series"][key]) for key in ("mean", "maximum"))
        parts.append(f"mean {mean}, busiest five minutes {most}\n")
    for top in report["tops"]:
        rows = [(*_top_row(row), _change(row, report)) for row in top["rows"]]
        if rows:
            parts.append(text_table((top["by"], "octets", "share", change), rows))
    if report["billing"]:
        parts.append(_billing(report["billing"]))
    return "\n".join(parts)


def moment_text(text: str) -> str:
    """Return a time of a report, RFC 3339, for people."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %z}"


def total_text(row: dict[str, Any], key: str = "value") -> str:
    """Return a total for people."""
    return human_number(row[key], "B" if row["measure"] == "octets" else "")


def notes_of(report: dict[str, Any]) -> list[str]:
    """Return what has to be known of a report to read its figures."""
    notes = []
    if report["complete_from"] > report["since"]:
        notes.append(f"flows are stored from {moment_text(report['complete_from'])} on only")
    if report["complete_until"] < report["until"]:
        notes.append(f"it still goes on: up to {moment_text(report['complete_until'])}")
    if not report["compared"]:
        notes.append(f"there is no whole {PERIODS[report['kind']]} before to compare with")
    if report["estimated"]:
        notes.append("figures are estimated from samples")
    return notes


def report_csv(report: dict[str, Any]) -> str:
    """Return what would be billed, a row for each interface and customer."""
    file = io.StringIO()
    names = ("kind", "name", "description", "ingress", "egress", "billed", "direction", "bins")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("period", *names))
    for row in report["billing"]:
        writer.writerow((report["period"], *(_plain(row[name]) for name in names)))
    return file.getvalue()


def tops_csv(report: dict[str, Any]) -> str:
    """Return the lists of the largest, a row for each of their rows."""
    names = ("key", "octets", "share_percent", "change_percent")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("period", "by", "place", *names))
    for top in report["tops"]:
        for place, row in enumerate(top["rows"], 1):
            percents = ("" if row[n] is None else round(row[n], 2) for n in names[2:])
            key, octets = _plain(row["key"]), _plain(row["octets"])
            writer.writerow((report["period"], top["by"], place, key, octets, *percents))
    return file.getvalue()


def traffic_csv(report: dict[str, Any]) -> str:
    """Return traffic over time, a row for each bin of the picture."""
    series = report["series"]
    since = datetime.fromisoformat(report["since"])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("begin", "seconds", "bits_a_second"))
    for place, value in enumerate(series["bits_a_second"]):
        # In seconds of the clock of the world: a day may have 23 hours.
        begin = since.astimezone(UTC) + timedelta(seconds=place * series["step_seconds"])
        at = begin.astimezone(since.tzinfo).isoformat()
        writer.writerow((at, series["step_seconds"], round(value)))
    return file.getvalue()


def _top_row(row: dict[str, Any]) -> tuple[str, ...]:
    share = f"{row['share_percent']:.1f} %"
    return row["key"], human_number(row["octets"], "B"), share


def _change(row: dict[str, Any], report: dict[str, Any]) -> str:
    value = row["octets"] if "octets" in row else row["value"]
    return change_text(row["change_percent"], value) if report["compared"] else ""


def _billing(rows: list[dict[str, Any]]) -> str:
    shown = [_bill_row(row) for row in rows]
    return text_table(("95th percentile", "in", "out", "billed", "side"), shown)


def _bill_row(row: dict[str, Any]) -> tuple[str, ...]:
    rates = [rate_text(row[name]) for name in ("ingress", "egress", "billed")]
    return f"{row['name']} {row['description']}".strip(), *rates, row["direction"]


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], n_texts: int = 1) -> str:
    """Return a table of lines; all columns but the first `n_texts` are numbers.

    One without heading and cells is left out.
    """
    cells = zip(*rows, strict=True)
    columns = [
        Column(heading, tuple(map(printable, texts)), place >= n_texts)
        for place, (heading, texts) in enumerate(zip(headings, cells, strict=True))
        if heading or any(texts)
    ]
    return align_columns(columns)


def rate_text(value: float | None) -> str:
    """Return bits a second for people; nothing of none."""
    return "" if value is None else human_number(value, "bit/s")


def change_text(percent: float | None, value: float) -> str:
    """Return a change against the period before: `+12 %`, or that something is new."""
    if percent is not None:
        return f"{percent:+.0f} %"
    return "new" if value else ""


def _plain(value: Any) -> Any:
    """Return a value; a text that a spreadsheet would run with an apostrophe before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(tuple(FORMULA_LETTERS)) else value
    return "" if value is None else round(value)
