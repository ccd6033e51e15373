"""QueryEngine: questions answered from the flow log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from appliance.flowlog.option_names import with_names
from appliance.flowlog.search import FlowSearch
from appliance.flows import AnyArray
from appliance.query.question import (
    SUMS,
    Provenance,
    Question,
    SeriesAnswer,
    SeriesRow,
    Statistics,
    TopAnswer,
)
from appliance.query.statements import LATE_MS, question_items, series_statement, top_statement

PERCENTILE = 0.95


class Range(NamedTuple):
    """A range of collection times, half open, milliseconds UTC."""

    since_ms: int
    until_ms: int


class QueryEngine:
    """Answers questions about one flow log.

    Parameters
    ----------
    search
        Its limits are those of every question.
    """

    def __init__(self, search: FlowSearch) -> None:
        self.search = search

    def top(self, question: Question) -> TopAnswer:
        """Return the largest groups.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        began = time.monotonic()
        table = self.search.run(top_statement(question), question, False)
        parts = table.column("part").to_numpy()
        figures = table.select([*SUMS, *question.measures])
        total = figures.slice(int(np.searchsorted(parts, 2))).to_pylist()
        other = figures.slice(int(np.searchsorted(parts, 1)), int((parts == 1).sum())).to_pylist()
        rows = table.drop_columns(["part", "place"]).slice(0, int((parts == 0).sum()))
        return TopAnswer(
            with_names(self.search, rows),
            other[0] if other else None,
            {name: value or 0 for name, value in total[0].items()},
            self._provenance(question, began),
        )

    def series(self, question: Question, now_ms: int) -> SeriesAnswer:
        """Return traffic over time of the largest groups, and of the rest together.

        The range is widened to whole bins, which begin at multiples of the step since 1970.

        Parameters
        ----------
        now_ms
            Says which bins are complete.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        if question.step_ms is None:
            raise ValueError("a series has a step")
        began, step = time.monotonic(), question.step_ms
        first, last = question.since_ms // step, (question.until_ms - 1) // step
        whole = replace(question, since_ms=first * step, until_ms=(last + 1) * step)
        received = Range(whole.since_ms, whole.until_ms + LATE_MS)
        table = self.search.run(series_statement(whole), received, False)
        names = [item.name for item in question_items(question)]
        bins = table.column("bin").to_numpy() - first
        values = table.column("value").to_numpy()
        rows = [
            _row(
                keys, is_other, _filled(bins[start:end], values[start:end], last - first + 1), step
            )
            for keys, is_other, start, end in _groups(table, names)
        ]
        return SeriesAnswer(
            [number * step for number in range(first, last + 1)],
            step,
            rows,
            min(now_ms, whole.until_ms),
            self._provenance(received, began),
        )

    def _provenance(self, received: Any, began: float) -> Provenance:
        damaged = tuple(self.search.damaged)
        rows = self.search.rows_between(received.since_ms, received.until_ms)
        seconds = time.monotonic() - began
        return Provenance("exact", rows, rows, seconds, damaged)


def _groups(table: Any, names: Sequence[str]) -> list[tuple[dict[str, Any], bool, int, int]]:
    """Return keys, whether they are the rest, and where rows of a group begin and end."""
    rows = table.select([*names, "is_other"]).to_pylist()
    starts = [n for n, row in enumerate(rows) if n == 0 or row != rows[n - 1]]
    groups = []
    for start, end in pairwise([*starts, len(rows)]):
        is_other = rows[start].pop("is_other")
        groups.append(({} if is_other else rows[start], is_other, start, end))
    return groups


def _filled(bins: AnyArray, values: AnyArray, n_bins: int) -> AnyArray:
    filled = np.zeros(n_bins)
    filled[bins.astype(np.intp)] = values
    return filled


def _row(keys: Mapping[str, Any], is_other: bool, values: AnyArray, step_ms: int) -> SeriesRow:
    return SeriesRow(keys, values.tolist(), statistics(values, step_ms), is_other)


def statistics(values: AnyArray, step_ms: int) -> Statistics:
    """Return the statistics of bins.

    Parameters
    ----------
    values
        Sums, in the order of time; one at least.
    """
    rates = values / (step_ms / 1000)
    rank = max(int(np.ceil(PERCENTILE * len(rates))) - 1, 0)
    return Statistics(
        float(rates.min()),
        float(rates.mean()),
        float(rates.max()),
        float(rates[-1]),
        float(np.sort(rates)[rank]),
        float(values.sum()),
    )
