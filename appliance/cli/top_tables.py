"""Groups of flows as a table for people: keys, sums or rates, shares, errors, the total."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.cli.tables import Column, align_columns, cell, fit, heading, human_number, numbers
from appliance.query.deduplication import RULES
from appliance.query.question import (
    LEAST_SAMPLED_ROWS,
    SAMPLED_ROWS,
    SUMS,
    Provenance,
    Question,
    TopAnswer,
)

_HEADINGS = {
    "application_id": "application",
    "application_name": "name",
    "interface_name": "name",
    "interface_description": "description",
    "vrf_name": "name",
    **dict.fromkeys(("bgp_as_name", "bgp_source_as_name", "bgp_destination_as_name"), "name"),
    "service_port": "port",
    "tcp_control_bits": "tcp flags",
    "mean_packet_size": "octets/packet",
    "mean_duration": "duration",
}
"""Headings where the column beside says of what they are."""

_RATE_HEADINGS = {"octets": "bit/s", "packets": "packets/s", "flows": "flows/s"}
_NO_VALUE = "(none)"

_PLAIN: Callable[[float], str] = "{:.15g}".format
_WRITERS: Mapping[str, Callable[[float], str]] = {
    "octets": lambda value: human_number(value, "B"),
    "mean_duration": lambda value: f"{value / 1000:.1f} s",
}


def top_table(
    top: TopAnswer, question: Question, width: int | None, *, raw_numbers: bool, is_rate: bool
) -> str:
    """Return groups with their share, and the total.

    Parameters
    ----------
    width
        Of the terminal; None for a pipe or file.
    raw_numbers
        Write plain numbers, not such as 1.2 MB.
    is_rate
        Write what a second had on average, octets as bits.
    """
    rows = [*top.rows.to_pylist(), *([top.other] if top.other else []), top.total]
    if not top.rows.num_rows:
        rows = []
    labels = {len(rows) - 1: "total"} | ({len(rows) - 2: "other"} if top.other else {})
    columns = _key_columns(top, rows, labels)
    seconds = (question.until_ms - question.since_ms) / 1000 if is_rate else 0.0
    for name in (*SUMS, *question.measures):
        columns.append(_measure_column(name, rows, seconds, raw_numbers=raw_numbers))
        if name == question.order and name in SUMS:
            whole = top.total[name]
            columns += _share_columns(name, rows, whole, top.provenance)
    columns = columns if width is None else fit(columns, width)
    lines = align_columns(columns, emphasis=width is not None, last_is_sum=True)
    return lines + "".join(f"{note}\n" for note in notes(top.provenance))


def _key_columns(
    top: TopAnswer, rows: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> list[Column]:
    figures = [name for name in top.rows.schema.names if name in top.total]
    columns: list[Column] = []
    for name, is_number in numbers(top.rows):
        if name in figures:
            continue
        cells = [_key(name, row.get(name)) for row in rows]
        for row, label in labels.items() if rows else ():
            cells[row] = "" if columns else label
        elastic = name == "interface_description" or name.endswith("_as_name")
        text = _HEADINGS.get(name) or heading(name)
        columns.append(Column(text, tuple(cells), is_number, int(elastic), elastic))
    return columns


def _measure_column(
    name: str, rows: Sequence[Mapping[str, Any]], seconds: float, *, raw_numbers: bool
) -> Column:
    if seconds and name in SUMS:
        factor = (8 if name == "octets" else 1) / seconds
        unit = "bit/s" if name == "octets" else ""
        text = _RATE_HEADINGS[name] if raw_numbers or name != "octets" else "rate"
        values = [row[name] * factor for row in rows]
        cells = [f"{v:.0f}" if raw_numbers else human_number(v, unit) for v in values]
        return Column(text, tuple(cells), True)
    write = _PLAIN if raw_numbers else _WRITERS.get(name, human_number)
    cells = ["" if row.get(name) is None else write(row[name]) for row in rows]
    return Column(_HEADINGS.get(name, name), tuple(cells), True)


def _share_columns(
    name: str, rows: Sequence[Mapping[str, Any]], whole: float, provenance: Provenance
) -> list[Column]:
    shares = tuple(f"{row[name] / whole:.1%}" if whole else "" for row in rows)
    columns = [Column("share", shares, True)]
    if provenance.method == "sampled":
        columns.append(Column("±", tuple(_relative_error(row, name) for row in rows), True))
    return columns


def _relative_error(row: Mapping[str, Any], name: str) -> str:
    more = "> " if 0 < row.get(SAMPLED_ROWS, 0) < LEAST_SAMPLED_ROWS else ""
    return f"{more}{row.get(f'{name}_error', 0) / max(row[name], 1):.1%}"


def notes(provenance: Provenance) -> list[str]:
    """Return lines below a table: of what an estimate was made, or that sums answered, and by which
    rule a flow counts once.
    """
    rule = [] if provenance.dedupe is None else [RULES[provenance.dedupe]]
    return [*_method(provenance), *rule]


def _method(provenance: Provenance) -> list[str]:
    if provenance.method == "rollups":
        return ["exact, from roll-ups"]
    if provenance.method != "sampled":
        return []
    scanned, whole = (
        human_number(n) for n in (provenance.rows_scanned or 0, provenance.rows_in_range or 0)
    )
    return [
        f"estimated from {scanned} of {whole} flows, ± is one standard error"
        " (--exact reads them all)",
        f"> before an error: it rests on fewer than {LEAST_SAMPLED_ROWS} flows, and may be larger",
    ]


def _key(name: str, value: Any) -> str:
    if value is None and not name.endswith(("_name", "_description")):
        return _NO_VALUE
    return cell(name, value)
