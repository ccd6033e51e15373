"""A report as HTML for mail programs: tables, styles in each element, no script, no outside image.

Every text from flows, settings and people is escaped; the only markup is that of this file. The
width fits a phone, and the bars of lists are cells of tables, which old programs show as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from appliance.cli.tables import human_number
from appliance.plugins.reports.contents import TOTALS, TRAFFIC
from appliance.plugins.reports.showing import (
    PERIODS,
    change_text,
    moment_text,
    notes_of,
    rate_text,
    total_text,
)

MAX_BILLED = 40
"""Rows of what is billed; the CSV that comes with the mail has all."""

PICTURE = "traffic"
"""The content ID of the picture."""

_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_TEXT, _FAINT, _LINE, _ACCENT, _BAR = "#17212b", "#566472", "#dde3e9", "#0a6b52", "#8cc4b1"
_CELL = (
    f"padding:6px 0;border-top:1px solid {_LINE};font-size:14px;color:{_TEXT};"
    "overflow-wrap:anywhere"
)
_TABLE = '<table role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%"'


def mail_page(report: dict[str, Any], title: str, site: str, *, has_picture: bool) -> str:
    """Return the HTML of a mail.

    Parameters
    ----------
    has_picture
        The mail holds a picture with the content ID `PICTURE`.
    """
    sections = report["sections"]
    parts = [_notes(report)]
    if TOTALS in sections:
        parts.append(_totals(report["totals"], report["compared"]))
    if TRAFFIC in sections:
        parts.append(_traffic(report, has_picture))
    parts += [_top(top, report["compared"]) for top in report["tops"] if top["rows"]]
    parts += [
        _billing(text, rows)
        for kind, text in (("customer", "customers"), ("interface", "interfaces"))
        if (rows := [row for row in report["billing"] if row["kind"] == kind])
    ]
    head = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light"><title>{escape(title)}</title></head>
<body style="margin:0;padding:0;background:#eef1f4;{_FONT}">
<div style="display:none;max-height:0;overflow:hidden">{escape(_preview(report))}</div>
{_TABLE} style="background:#eef1f4"><tr><td align="center" style="padding:16px 8px">
{_TABLE} style="max-width:640px;background:#ffffff;border-radius:8px">
<tr><td style="padding:20px 20px 4px;border-top:4px solid {_ACCENT};border-radius:8px 8px 0 0">
<div style="font-size:13px;color:{_FAINT}">NetFlow report of {escape(site)}</div>
<h1 style="margin:2px 0 0;font-size:22px;line-height:1.25;color:{_TEXT}">{escape(title)}</h1>
</td></tr>
"""
    body = "".join(_row(part, "10px 20px") for part in parts if part)
    end = "</table></td></tr></table></body></html>\n"
    return f"{head}{body}{_row(_footer(report), '10px 20px 20px')}{end}"


def _preview(report: dict[str, Any]) -> str:
    """Return what lists of mails show beside the subject."""
    texts = [f"{row['measure']} {total_text(row)}" for row in report["totals"]]
    mean = report["series"]["mean"]
    return ", ".join([*texts, *([f"mean {rate_text(mean)}"] if mean is not None else [])])


def _row(part: str, padding: str) -> str:
    return f'<tr><td style="padding:{padding}">{part}</td></tr>\n'


def _notes(report: dict[str, Any]) -> str:
    lines = [f"only flows of: {report['filter']}"] if report["filter"] else []
    lines += notes_of(report)
    if not lines:
        return ""
    text = "<br>".join(escape(line[:1].upper() + line[1:]) for line in lines)
    return (
        f'<div style="padding:8px 12px;background:#fff7e8;border-left:3px solid #d9a441;'
        f'font-size:13px;color:{_TEXT};overflow-wrap:anywhere">{text}</div>'
    )


def _totals(rows: Sequence[dict[str, Any]], is_compared: bool) -> str:
    cells = []
    for row in rows:
        value, before = total_text(row), total_text(row, "before")
        change = change_text(row["change_percent"], row["value"])
        texts = [change, f"before {before}"] if row["change_percent"] is not None else [change]
        notes = "".join(_note(text) for text in texts if text and is_compared)
        cells.append(
            f'<td valign="top" width="33%" style="padding-right:8px">'
            f'<div style="font-size:12px;color:{_FAINT}">{escape(row["measure"])}</div>'
            f'<div style="font-size:22px;color:{_TEXT};white-space:nowrap">{escape(value)}</div>'
            f"{notes}</td>"
        )
    return f"{_TABLE}><tr>{''.join(cells)}</tr></table>"


def _traffic(report: dict[str, Any], has_picture: bool) -> str:
    series = report["series"]
    if series["maximum"] is None:
        return ""
    words = f"mean {rate_text(series['mean'])}, busiest five minutes {rate_text(series['maximum'])}"
    picture = (
        f'<img src="cid:{PICTURE}" width="600" alt="Traffic over time: {escape(words)}"'
        ' style="display:block;width:100%;max-width:600px;height:auto;border:0">'
        if has_picture
        else ""
    )
    return f"{_title('Traffic')}{picture}{_note(words)}"


def _top(top: dict[str, Any], is_compared: bool) -> str:
    largest = max(row["octets"] for row in top["rows"]) or 1
    rows = "".join(_top_row(row, largest, is_compared) for row in top["rows"])
    words = ["AS" if word == "as" else word for word in top["by"].split("_")]
    title = f"Largest by {' '.join(words)}"
    return f"{_title(title)}{_data_table(title)}{rows}</table>"


def _top_row(row: dict[str, Any], largest: float, is_compared: bool) -> str:
    percent = max(round(100 * row["octets"] / largest), 1)
    rest = f'<td width="{100 - percent}%"></td>' if percent < 100 else ""
    bar = (
        f'{_TABLE} style="margin-top:4px"><tr><td width="{percent}%" height="4"'
        f' style="background:{_BAR};font-size:1px;line-height:4px">&nbsp;</td>{rest}</tr></table>'
    )
    change = change_text(row["change_percent"], row["octets"]) if is_compared else ""
    share = f"{row['share_percent']:.1f} %{f', {change}' if change else ''}"
    return _two_cells(row["key"], bar, human_number(row["octets"], "B"), share)


def _billing(text: str, rows: Sequence[dict[str, Any]]) -> str:
    shown = rows[:MAX_BILLED]
    body = "".join(_billing_row(row) for row in shown)
    more = len(rows) - len(shown)
    note = _note(f"and {more} more, in the attached CSV") if more else ""
    title = f"95th percentile of {text}"
    return f"{_title(title)}{_data_table(title)}{body}</table>{note}"


def _billing_row(row: dict[str, Any]) -> str:
    into, out = (rate_text(row[side]) for side in ("ingress", "egress"))
    sides = f"in {into}, out {out}" if into else "no complete bins"
    texts = [text for text in (row["description"], sides) if text]
    below = "".join(_note(text) for text in texts)
    direction = f"billed {row['direction']}" if row["direction"] else ""
    return _two_cells(row["name"], below, rate_text(row["billed"]), direction)


def _two_cells(key: str, below: str, figure: str, note: str) -> str:
    """Return a row: what it is about, and its figure; two columns fit a phone, too.

    Parameters
    ----------
    below
        Markup that stands under `key`; all else is text.
    """
    return (
        f'<tr><td valign="top" style="{_CELL}">'
        f'<span dir="auto">{escape(key)}</span>{below}</td>'
        f'<td valign="top" align="right" width="120" style="{_CELL};padding-left:12px;'
        f'white-space:nowrap"><b>{escape(figure)}</b>{_note(note) if note else ""}</td></tr>'
    )


def _footer(report: dict[str, Any]) -> str:
    since, until = (moment_text(report[key]) for key in ("since", "until"))
    text = f"From {since} to {until}. "
    if report["compared"]:
        text += f"Change is against the {PERIODS[report['kind']]} before. "
    text += "Octets are decimal, 1 kB is 1000. The attached CSV files have the figures in full."
    return f'<div style="font-size:12px;color:{_FAINT};line-height:1.5">{escape(text)}</div>'


def _data_table(title: str) -> str:
    """Return the beginning of a table that programs for blind people read as one."""
    return (
        f'<table aria-label="{escape(title)}" cellpadding="0" cellspacing="0" border="0"'
        ' width="100%">'
    )


def _note(text: str) -> str:
    return f'<div style="font-size:12px;color:{_FAINT};padding-top:2px">{escape(text)}</div>'


def _title(text: str) -> str:
    return f'<h2 style="margin:8px 0 6px;font-size:16px;color:{_TEXT}">{escape(text)}</h2>'
