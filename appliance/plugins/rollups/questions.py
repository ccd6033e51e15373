"""Questions answered from `rollup`: sums, largest names, series.

A range is made of few bins, large ones first, so that what is read does not grow with traffic and
hardly with the range. It begins at the start of the smallest bin stored there that holds `since`
and ends likewise. Each question is one transaction of a fixed number of queries, each of which
reads ranges of the primary key.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from appliance.contracts import KeyedMeasure, Measure, MeasureName, Selection, TopAnswer
from appliance.plugins.rollups.bins import LAST, Size, Span, bin_end, bin_start, spans
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.rollups.grouping import LARGEST_SUM
from appliance.plugins.rollups.progress import Progress, read_progress
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import KNOWN_EXPORTER, ROLLUP

EXACT_SIZES = tuple(Size)
_HALF = 30
SUMS = ", ".join(
    f"SUM({measure} >> {_HALF}), SUM({measure} & {(1 << _HALF) - 1})"
    for measure in ("octets", "packets", "flows")
)
"""In two halves each: SQLite refuses a sum beyond 64 bits. `ExactQuestions.read` joins them."""

SATURATED_SUMS = ", ".join(
    f"CASE WHEN SUM({measure} >> {_HALF}) >= {LARGEST_SUM >> _HALF} THEN {LARGEST_SUM}"
    f" ELSE SUM({measure} >> {_HALF}) * {1 << _HALF} + SUM({measure} & {(1 << _HALF) - 1}) END"
    for measure in ("octets", "packets", "flows")
)
"""For rows made of others, which are never larger than `LARGEST_SUM`."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a selection comes to.

    Attributes
    ----------
    spans
        Of bins; empty when nothing is stored.
    """

    spans: list[Span]
    exporter: int
    directions: tuple[int, ...]


def choose_range(
    selection: Selection, progress: Progress, oldest_starts: Mapping[Size, int], now: float
) -> Range:
    """Turn a selection into spans of exact bins."""
    exporter = ALL_EXPORTERS if selection.exporter is None else selection.exporter
    directions = (0, 1) if selection.direction is None else (int(selection.direction),)
    since, until = bounds(selection, progress, now)
    found = spans(since, until, oldest_starts) if since < until else []
    return Range(found, exporter, directions)


def bounds(selection: Selection, progress: Progress, now: float) -> tuple[int, int]:
    """Return the range asked for; what is open ends beyond everything that is stored."""
    if not progress.oldest:
        return 0, 0
    end = bin_end(Size.MONTH, bin_start(Size.MONTH, max(int(now), progress.newest)))
    since = progress.oldest if selection.since is None else selection.since
    until = end if selection.until is None else selection.until
    return max(since, bin_start(Size.MONTH, progress.oldest)), min(until, end, LAST)


def oldest_starts(limits: StoreLimits, sizes: Sequence[Size], now: float) -> dict[Size, int]:
    """Return from when on there are bins, by size."""
    oldest = {size: int(now) - limits.retention_seconds(size) for size in sizes}
    return {
        size: 0 if moment <= 0 else bin_end(size, bin_start(size, moment))
        for size, moment in oldest.items()
    }


class ExactQuestions:
    """Answers from the exact dimensions; call its methods inside a transaction."""

    def __init__(self, database: SqlDatabase, limits: StoreLimits) -> None:
        self.database, self.limits = database, limits

    def range(self, selection: Selection, now: float) -> Range:
        """Turn a selection into spans; one query."""
        kept = oldest_starts(self.limits, EXACT_SIZES, now)
        return choose_range(selection, read_progress(self.database), kept, now)

    def totals(self, asked: Range) -> Measure:
        """Return the sums of everything; one query."""
        found = self.read(f"SELECT {SUMS}", Dimension.TOTAL, asked)
        sums = [sum(row[place] for row in found) for place in range(3)]
        return Measure(*sums)

    def totals_by_exporter(self, asked: Range) -> dict[int, Measure]:
        """Return the sums of each exporter; one query."""
        which = f"exporter IN (SELECT id FROM {KNOWN_EXPORTER})"
        if asked.exporter != ALL_EXPORTERS:
            which = "exporter = ?"
        found = self.read(f"SELECT exporter, {SUMS}", Dimension.TOTAL, asked, which, "exporter")
        sums: dict[int, Measure] = {}
        for number, *values in found:
            before = sums.get(int(number), Measure())
            sums[int(number)] = Measure(*(a + b for a, b in zip(before, values, strict=True)))
        return {number: sums[number] for number in sorted(sums) if sums[number].flows}

    def top(
        self, dimension: Dimension, asked: Range, by: MeasureName, limit: int | None
    ) -> TopAnswer:
        """Return the largest names of an exact dimension; one query."""
        found = self.read(f"SELECT name, {SUMS}", dimension, asked, group="name")
        sums: dict[str, list[int]] = {}
        for name, *values in found:
            before = sums.setdefault(str(name), [0, 0, 0])
            for place, value in enumerate(values):
                before[place] += value
        rows = [KeyedMeasure(name, *values) for name, values in sums.items()]
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        return answer(rows[:limit], sum_measures(rows))

    def bin_at(self, moment: int, sizes: Sequence[Size], now: float) -> tuple[int, int]:
        """Return the smallest bin that is kept of a moment; one query."""
        oldest = read_progress(self.database).oldest
        kept = oldest_starts(self.limits, sizes, now)
        size = sizes[0]
        if oldest and moment > oldest:
            size = next((size for size in sizes if kept[size] <= moment), sizes[-1])
        start = bin_start(size, moment)
        return start, bin_end(size, start)

    def series(self, boundaries: Sequence[int], selection: Selection, now: float) -> list[Measure]:
        """Return the sums between neighbouring boundaries; two queries."""
        kept = oldest_starts(self.limits, EXACT_SIZES, now)
        progress = read_progress(self.database)
        asked = choose_range(selection, progress, kept, now)
        found = [[0, 0, 0] for _ in boundaries[1:]]
        if not found or not progress.oldest:
            return [Measure() for _ in found]
        parts = _series_spans(boundaries, kept, progress.oldest)
        rows = self.read(
            f"SELECT bin_start, {SUMS}",
            Dimension.TOTAL,
            Range(parts, asked.exporter, asked.directions),
            group="bin_start",
        )
        for start, *values in rows:
            sums = found[max(0, bisect_right(boundaries, int(start)) - 1)]
            for place, value in enumerate(values):
                sums[place] += value
        return [Measure(*sums) for sums in found]

    def read(
        self,
        select: str,
        dimension: int,
        asked: Range,
        which: str = "exporter = ?",
        group: str = "",
    ) -> list[tuple[Any, ...]]:
        """Read the bins of a range, in one query; `select` ends in `SUMS`.

        Returns
        -------
        list of tuple
            The three sums stand last, whole and never None.
        """
        found = self.statement(select, dimension, asked, which, group)
        rows = [] if found is None else self.database.rows(*found)
        return [(*row[:-6], *_whole(row[-6:])) for row in rows]

    @staticmethod
    def statement(
        select: str,
        dimension: int,
        asked: Range,
        which: str = "exporter = ?",
        group: str = "",
        flags: int = 0,
    ) -> tuple[str, list[int]] | None:
        """Return the statement that reads a range, span by span, and its parameters.

        Parameters
        ----------
        which
            The condition on exporters, with at most one parameter.
        flags
            Only rows that have one of these; 0 for all.

        Returns
        -------
        tuple or None
            None when the range is empty.
        """
        if not asked.spans:
            return None
        marks = ", ".join("?" * len(asked.directions))
        one = (
            f"{select} FROM {ROLLUP} WHERE dimension = {int(dimension)} AND size = ? AND {which}"
            f" AND direction IN ({marks}) AND bin_start >= ? AND bin_start < ?"
            + (f" AND (flags & {flags}) <> 0" if flags else "")
            + (f" GROUP BY {group}" if group else "")
        )
        parameters: list[int] = []
        for span in asked.spans:
            exporter = [asked.exporter] if "?" in which else []
            parameters += [int(span.size), *exporter, *asked.directions, span.since, span.until]
        return " UNION ALL ".join([one] * len(asked.spans)), parameters


def _whole(halves: Sequence[Any]) -> list[int]:
    return [
        (int(high or 0) << _HALF) + int(low or 0)
        for high, low in zip(halves[::2], halves[1::2], strict=True)
    ]


def answer(
    rows: Sequence[KeyedMeasure],
    total: Measure,
    error: Measure = Measure(),  # noqa: B008 - a value
    pending: Measure = Measure(),  # noqa: B008 - a value
) -> TopAnswer:
    """Put an answer together: the rest is what the rows leave of the total."""
    pairs = zip(total, sum_measures(rows), strict=True)
    other = Measure(*(max(0, whole - shown) for whole, shown in pairs))
    return TopAnswer(tuple(rows), other, total, error, pending)


def sum_measures(rows: Iterable[KeyedMeasure]) -> Measure:
    """Return the sums of rows."""
    rows = list(rows)
    return Measure(
        sum(row.octets for row in rows),
        sum(row.packets for row in rows),
        sum(row.flows for row in rows),
    )


def _series_spans(boundaries: Sequence[int], kept: Mapping[Size, int], oldest: int) -> list[Span]:
    """Return spans no bin of which holds a boundary: only the ends may be no whole large bins."""
    if len(boundaries) < 4:
        parts = (spans(since, until, kept) for since, until in pairwise(boundaries))
        return [span for part in parts for span in part]
    inner = boundaries[1:-1]
    middle = Span(_fitting(inner, kept, oldest), inner[0], inner[-1])
    first = spans(boundaries[0], boundaries[1], kept)
    return [*first, middle, *spans(boundaries[-2], boundaries[-1], kept)]


def _fitting(boundaries: Sequence[int], kept: Mapping[Size, int], oldest: int) -> Size:
    """Return the largest size of bin that all boundaries fit, else the smallest that is kept."""
    since = max(boundaries[0], oldest)
    for size in reversed(EXACT_SIZES):
        if all(bin_start(size, boundary) == boundary for boundary in boundaries):
            return size
    return next((size for size in EXACT_SIZES if kept[size] <= since), Size.MONTH)
