"""Answers about flows as tables for people: in units, with short times, as wide as the terminal.

Nothing is cut in a pipe or file. What exporters told is printed without control characters, so that
a name cannot write to the terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from appliance.protocols import PROTOCOL_NAMES

_GAP = 2
_SHORTEST = 10
"""A column that may be cut is left out rather than cut to less."""

_SHORTER = (
    ("_milliseconds", ""),
    ("_transport_port", "_port"),
    ("_delta_count", "s"),
    ("_identifier", ""),
    ("_address", ""),
    ("_as_number", "_as"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    rank
        The highest goes first where the terminal is too narrow; 0 always stays.
    is_elastic
        It may be cut to the width that is left.
    """

    heading: str
    cells: tuple[str, ...]
    is_number: bool = False
    rank: int = 0
    is_elastic: bool = False

    @property
    def width(self) -> int:
        """In columns of the terminal."""
        return max(_width(text) for text in (self.heading, *self.cells))


def terminal_width(output: Path | None) -> int | None:
    """Return the width of the terminal that a table goes to, None for a pipe or file."""
    if output is not None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def heading(name: str) -> str:
    """Return the heading of a column."""
    for long, short in _SHORTER:
        name = name.removesuffix(long) + short if name.endswith(long) else name
    return name.removeprefix("bgp_").replace("_", " ")


def wide_table(answer: Any, heading: Callable[[str], str] = heading) -> str:
    """Return every column of an answer, one row each, times in full.

    Parameters
    ----------
    answer
        A pyarrow table whose times and octets are texts already.
    heading
        Makes the heading of a column from its name.
    """
    rows = answer.to_pylist()
    columns = [
        Column(heading(name), tuple(cell(name, row[name]) for row in rows), is_number)
        for name, is_number in numbers(answer)
    ]
    return align_columns(columns)


def flows_table(answer: Any, width: int, now: datetime) -> str:
    """Return single flows, with as many of their columns as fit.

    Parameters
    ----------
    answer
        A pyarrow table with `FlowQuestion.columns`.
    now
        Times of this day (UTC) go without their date.
    """
    rows = answer.to_pylist()
    received = [row["collection_time_milliseconds"] for row in rows]
    today = all(time is None or time.date() == now.date() for time in received)
    form = "%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S"

    def of(cell: Callable[[dict[str, Any]], str]) -> tuple[str, ...]:
        return tuple(cell(row) for row in rows)

    def number(name: str) -> tuple[str, ...]:
        return of(lambda row: cell(name, row[name]))

    columns = [
        Column("time UTC", tuple(f"{time:{form}}" if time else "" for time in received)),
        Column("duration", of(_duration), True, 4),
        Column("exporter", of(lambda row: row["exporter_address"] or ""), rank=5),
        Column("in>out", of(_interfaces), rank=6),
        Column("proto", number("protocol_identifier"), rank=1),
        Column("source", of(lambda row: _endpoint(row, "source"))),
        Column("destination", of(lambda row: _endpoint(row, "destination"))),
        Column("packets", number("packet_delta_count"), True, 3),
        Column("octets", number("octet_delta_count"), True),
    ]
    if any((row["sampling_rate"] or 1) != 1 for row in rows):
        # Counts are as exported: without the rate they would be misread.
        columns.append(Column("sampling", of(_sampling), True, 2))
    fitting = fit(columns, width)
    missing = [column.heading for column in columns if column not in fitting]
    lines = align_columns(fitting, emphasis=True)
    if rows and missing:
        lines += f"left out to fit: {', '.join(missing)} (--wide shows all)\n"
    return lines


def table_text(table: Any, output: Path | None) -> str:
    """Return a table of rich as text: as wide as the terminal, or uncut for a pipe or file."""
    from rich.console import Console

    console = Console(no_color=output is not None)
    if output is not None or not console.is_terminal:
        console.width = 10_000
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def human_number(value: float, unit: str = "") -> str:
    """Write a number for people, decimal: 1234567 as `1.2 M`, with the unit B as `1.2 MB`."""
    if value < 1000:
        return f"{value:.0f} {unit}".rstrip()
    for prefix in "kMGTP":
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {prefix}{unit}"
    return f"{value / 1000:.1f} E{unit}"


def fit(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit, the last of the highest rank going first."""
    fitting = list(columns)
    while (excess := _total_width(fitting) - width) > 0:
        last = max(fitting, key=lambda column: column.rank)
        if last.rank == 0:
            break
        if last.is_elastic and last.width - excess >= _SHORTEST:
            cells = tuple(_cut(cell, last.width - excess) for cell in last.cells)
            fitting[fitting.index(last)] = replace(last, cells=cells)
            break
        fitting.remove(last)
    return fitting


def align_columns(
    columns: Sequence[Column], *, emphasis: bool = False, last_is_sum: bool = False
) -> str:
    """Return headings and rows as lines; with emphasis headings and sums stand out."""
    widths = [column.width for column in columns]
    lines = [
        (" " * _GAP)
        .join(
            _pad(text, width, column.is_number)
            for text, width, column in zip(texts, widths, columns, strict=True)
        )
        .rstrip()
        for texts in zip(*((column.heading, *column.cells) for column in columns), strict=True)
    ]
    if emphasis and "NO_COLOR" not in os.environ:
        strong = {0, len(lines) - 1} if last_is_sum else {0}
        lines = [click.style(t, bold=True) if n in strong else t for n, t in enumerate(lines)]
    return "".join(f"{line}\n" for line in lines)


def numbers(answer: Any) -> Iterable[tuple[str, bool]]:
    """Return the columns of an answer, and whether they are numbers to people."""
    import pyarrow as pa

    for field in answer.schema:
        is_name = field.name in ("protocol_identifier", "application_id")
        yield field.name, not is_name and not pa.types.is_string(field.type)


def cell(name: str, value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return ""
    if name == "protocol_identifier":
        return PROTOCOL_NAMES.get(value, str(value))
    if name == "application_id":
        # As conditions take it: engine and selector, RFC 6759 section 4.
        return f"{value >> 56}:{value & (1 << 56) - 1}"
    # All digits that a double has: 1234567 packets must not become 1.23457e+06.
    return f"{value:.15g}" if isinstance(value, float) else printable(str(value))


def _endpoint(row: dict[str, Any], side: str) -> str:
    address, port = row[f"{side}_address"] or "", row[f"{side}_transport_port"]
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _duration(row: dict[str, Any]) -> str:
    start, end = row["flow_start_milliseconds"], row["flow_end_milliseconds"]
    if start is None or end is None:
        return ""
    return f"{(end - start).total_seconds():.1f} s"


def _interfaces(row: dict[str, Any]) -> str:
    ends = (row["ingress_interface"], row["egress_interface"])
    return ">".join("-" if end is None else str(end) for end in ends) if any(ends) else ""


def _sampling(row: dict[str, Any]) -> str:
    return f"1:{row['sampling_rate']:g}" if row["sampling_rate"] else ""


def printable(text: str) -> str:
    """Replace what would control the terminal, or break the line."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _pad(text: str, width: int, is_number: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if is_number else text + space


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while _width(text) > width - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _total_width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def utc_now() -> datetime:
    """Return the time, in UTC and without a zone, as answers have it."""
    return datetime.now(UTC).replace(tzinfo=None)
