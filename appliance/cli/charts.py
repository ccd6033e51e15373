"""Charts in the terminal, and the statistics below them."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from appliance.cli.tables import Column, align_columns, cell, fit, human_number, printable
from appliance.cli.top_tables import notes
from appliance.query.question import SeriesAnswer, SeriesRow

PIPE_WIDTH, HEIGHT = 100, 20
_TICKS = 6
_Y_TICKS = 4
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")
_UNITS = {"octets": "bit/s", "packets": "packets/s", "flows": "flows/s"}
_FACTORS = {"octets": 8.0, "packets": 1.0, "flows": 1.0}
_LONGEST_LABEL = 30
_DAY_MS = 86_400_000


def chart(series: SeriesAnswer, order: str, width: int | None) -> str:
    """Return the rates of all lines over time, in the machine's time zone.

    Parameters
    ----------
    width
        Of the terminal; None for a pipe or file, which gets no colours.
    """
    import plotext

    plotext.clear_figure()
    plotext.theme("clear" if width is None or "NO_COLOR" in os.environ else "pro")
    plotext.limit_size(False, False)
    plotext.plotsize(min(width or PIPE_WIDTH, 200), HEIGHT)
    factor = _FACTORS[order] / (series.step_ms / 1000)
    places = list(range(len(series.starts_ms)))
    for row in series.rows:
        rates = [value * factor for value in row.values]
        plotext.plot(places, rates, label=_label(row), marker="braille")
    top = max((max(row.values) * factor for row in series.rows), default=0.0)
    heights = [top * n / _Y_TICKS for n in range(_Y_TICKS + 1)]
    plotext.ylim(0, top or 1)
    plotext.yticks(heights, [human_number(height, _UNITS[order]) for height in heights])
    marks = places[:: max(len(places) // _TICKS, 1)]
    plotext.xticks(marks, [_moment(series, place) for place in marks])
    text: str = plotext.build()
    lines = text.splitlines()
    plain = width is None or "NO_COLOR" in os.environ
    return "".join(f"{_CONTROL.sub('', line).rstrip() if plain else line}\n" for line in lines)


def statistics_table(series: SeriesAnswer, order: str, width: int | None) -> str:
    """Return mean, largest and last rate and the 95th percentile of each line's whole bins, how
    many these are, and the sum of all."""
    unit = _UNITS[order] if order == "octets" else ""

    def rates(name: str) -> tuple[str, ...]:
        values = (getattr(row.statistics, name) for row in series.rows)
        return tuple("" if v is None else human_number(v * _FACTORS[order], unit) for v in values)

    sums = (row.statistics.sum for row in series.rows)
    columns = [
        Column("", tuple(_label(row) for row in series.rows)),
        Column("mean", rates("mean"), True),
        Column("maximum", rates("maximum"), True, 1),
        Column("last", rates("last"), True, 2),
        Column("95th percentile", rates("percentile_95"), True),
        Column("bins", tuple(str(row.statistics.bins) for row in series.rows), True, 3),
        Column(order, tuple(human_number(s, "B" * (order == "octets")) for s in sums), True),
    ]
    fitting = columns if width is None else fit(columns, width)
    lines = align_columns(fitting, emphasis=width is not None)
    return lines + "".join(f"{note}\n" for note in notes(series.provenance))


def _label(row: SeriesRow) -> str:
    if row.is_other:
        return "other"
    keys = {
        name: value
        for name, value in row.keys.items()
        # A name stands for its number, a description is too long.
        if not (name.endswith("_id") and row.keys.get(f"{name.removesuffix('_id')}_name"))
        and not (name.endswith(("_name", "_description")) and (value is None or "desc" in name))
    }
    text = " ".join(_key(name, value) for name, value in keys.items()) or "all"
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _key(name: str, value: Any) -> str:
    if value is None:
        return "(none)"
    return f"{'AS' * name.endswith('_as_number')}{printable(cell(name, value))}"


def _moment(series: SeriesAnswer, place: int) -> str:
    length_ms = len(series.starts_ms) * series.step_ms
    form = "%H:%M:%S" if length_ms <= _DAY_MS // 24 else "%H:%M"
    if length_ms > _DAY_MS:
        form = "%m-%d %H:%M" if length_ms <= 14 * _DAY_MS else "%Y-%m-%d"
    return time.strftime(form, time.localtime(series.starts_ms[place] / 1000))
