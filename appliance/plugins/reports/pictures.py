"""The picture of traffic over time in mails, a PNG: their programs run no script, draw no SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 400
"""Twice what mails show, for screens with small pixels."""

_OVERSAMPLING = 2
"""Drawn so much larger and made smaller, for smooth lines."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 176, 24, 20, 60
_TEXT, _GRID, _LINE, _AREA, _MISSING = "#566472", "#e3e8ed", "#0a6b52", "#cfe5dd", "#f0f2f4"
_FONT_PIXELS = 30
_LEAST_TICKS = 3


class Chart(NamedTuple):
    """What is drawn: means of bins that begin at `since` and follow each other.

    Attributes
    ----------
    since, until, stored_from
        Seconds UTC; before the last there are no flows.
    step
        Seconds.
    values
        Bits a second.
    """

    since: float
    until: float
    stored_from: float
    step: int
    values: Sequence[float]


def chart_of(report: dict[str, Any]) -> Chart:
    """Return what a report has to be drawn."""
    since, until, stored_from = (
        datetime.fromisoformat(report[key]).timestamp()
        for key in ("since", "until", "complete_from")
    )
    series = report["series"]
    return Chart(since, until, stored_from, series["step_seconds"], series["bits_a_second"])


def chart_png(chart: Chart, zone: tzinfo) -> bytes:
    """Return traffic over time as a picture of `WIDTH` by `HEIGHT` pixels.

    Parameters
    ----------
    zone
        Of the days and hours below it.
    """
    scale = _OVERSAMPLING
    image = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), "white")
    _Canvas(ImageDraw.Draw(image), chart, zone, scale).draw()
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # Few colours: a palette makes a third of the octets.
    small.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


class _Canvas:
    """Draws one chart in units of the finished picture."""

    def __init__(self, pen: Any, chart: Chart, zone: tzinfo, scale: int) -> None:
        self._pen, self._chart, self._zone, self._scale = pen, chart, zone, scale
        self._top, self._ticks = height_ticks(max(chart.values, default=0.0))
        self._font = ImageFont.load_default(_FONT_PIXELS * scale)

    def draw(self) -> None:
        """Draw missing time, grid, traffic and labels, from back to front."""
        chart = self._chart
        if chart.stored_from > chart.since:
            corner = self._point(min(chart.stored_from, chart.until), 0)
            start = self._point(chart.since, self._top)
            self._pen.rectangle((*start, *corner), fill=_MISSING)
        for height in self._ticks:
            line = (self._point(chart.since, height), self._point(chart.until, height))
            self._pen.line(line, fill=_GRID, width=2 * self._scale)
            at = (line[0][0] - 14 * self._scale, line[0][1])
            text = height_text(height, self._top)
            self._pen.text(at, text, fill=_TEXT, font=self._font, anchor="rm")
        self._draw_traffic()
        for moment, text in time_ticks(chart.since, chart.until, self._zone):
            place = self._point(moment, 0)
            below = (place[0], place[1] + 8 * self._scale)
            self._pen.line((place, below), fill=_TEXT, width=2 * self._scale)
            label = (place[0], below[1] + 6 * self._scale)
            self._pen.text(label, text, fill=_TEXT, font=self._font, anchor="mt")

    def _draw_traffic(self) -> None:
        chart = self._chart
        corners = []
        for number, value in enumerate(chart.values):
            begin = chart.since + number * chart.step
            end = min(begin + chart.step, chart.until)
            if end > chart.stored_from:
                corners += [self._point(begin, value), self._point(end, value)]
        if not corners:
            return
        bottom = self._point(0, 0)[1]
        area = [(corners[0][0], bottom), *corners, (corners[-1][0], bottom)]
        self._pen.polygon(area, fill=_AREA)
        self._pen.line(corners, fill=_LINE, width=3 * self._scale, joint="curve")

    def _point(self, at: float, value: float) -> tuple[float, float]:
        chart = self._chart
        share = (at - chart.since) / max(chart.until - chart.since, 1)
        x = _LEFT + share * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - value / self._top * (HEIGHT - _TOP - _BOTTOM)
        return x * self._scale, y * self._scale


def height_ticks(largest: float) -> tuple[float, list[float]]:
    """Return where a scale ends, and its marks: from 0 on, in steps of 1, 2 or 5 with zeros."""
    if largest < 1:
        return 1.0, [0.0]
    magnitude = 10.0 ** math.floor(math.log10(largest))
    steps = (factor * magnitude for factor in (5, 2, 1, 0.5, 0.2))
    step = next((one for one in steps if largest / one >= _LEAST_TICKS), magnitude / 5)
    n = math.ceil(largest / step)
    return n * step, [number * step for number in range(n + 1)]


def height_text(height: float, top: float) -> str:
    """Return a mark of a scale with the unit that its end has: `0.5 Gbit/s` below `2 Gbit/s`."""
    prefix, factor = "", 1.0
    for word in "kMGTPE":
        if top < 1000 * factor:
            break
        prefix, factor = word, factor * 1000
    return f"{height / factor:g} {prefix}bit/s" if height else "0"


def time_ticks(since: float, until: float, zone: tzinfo) -> Iterator[tuple[float, str]]:
    """Yield marks of local time: hours of a day, days of a week, some days of a month."""
    first = datetime.fromtimestamp(since, zone)
    days = round((until - since) / 86_400)
    if days <= 1:
        for hour in range(0, 24, 4):
            at = first.replace(hour=hour).timestamp()
            yield at, f"{hour:02}:00"
        return
    is_week = days <= 7
    for number in range(0, days, 1 if is_week else 5):
        # By the calendar, for days of 23 and 25 hours.
        day = (first.replace(tzinfo=None) + timedelta(days=number)).replace(tzinfo=zone)
        at = day.timestamp()
        # A name of a day stands in its middle, a date at its beginning.
        yield (at + 43_200, f"{day:%a %d}") if is_week else (at, f"{day:%b %d}")
