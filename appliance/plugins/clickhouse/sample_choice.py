"""Which sample answers a question, and how thinly it is read."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are numbers.

from __future__ import annotations

from appliance.errors import StorageError
from appliance.flowlog.questions import LAST_MS
from appliance.plugins.clickhouse.asking import Asking
from appliance.plugins.clickhouse.schema import (
    DAY_SAMPLES,
    DAY_SECONDS,
    DRAWN_FROM,
    FLOWS,
    MARK_RANK,
    PERIOD_SECONDS,
    RANK,
    SAMPLES,
)
from appliance.plugins.clickhouse.statements import Sample
from appliance.query.planner import HOURS_UP_TO_MS
from appliance.query.question import Question
from appliance.query.statements import LATE_MS

_LAST_PERIOD = (1 << 32) // PERIOD_SECONDS - 1


def choose_sample(asking: Asking, question: Question, most_rows: int) -> Sample | None:
    """Return the sample that answers a question; None where none was drawn from all its flows.

    Such are flows that were written before there were samples. Of up to three days the dense sample
    is read, of more the one of days; where that does not have all flows, the other one.

    Parameters
    ----------
    most_rows
        So many rows of the sample are read at most.
    """
    late_ms = 0 if question.step_ms is None else LATE_MS
    since_ms, until_ms = question.since_ms, question.until_ms + late_ms
    is_short = until_ms - since_ms <= HOURS_UP_TO_MS
    first, end = since_ms // 1000 // PERIOD_SECONDS, -(-until_ms // 1000 // PERIOD_SECONDS)
    first, end = (min(max(period, 0), _LAST_PERIOD) * PERIOD_SECONDS for period in (first, end))
    where = f"period >= toDateTime({first}) AND period < toDateTime({end})"
    ((n_flows,),) = asking.rows(f"SELECT count() FROM {FLOWS} WHERE {where}")
    drawn_from = {}
    for table in (SAMPLES, DAY_SAMPLES) if is_short else (DAY_SAMPLES, SAMPLES):
        if _is_there(asking, table):
            marks = f"{RANK} = {MARK_RANK} AND {where}"
            ((n,),) = asking.rows(f"SELECT sum({DRAWN_FROM}) FROM {table} WHERE {marks}")
            drawn_from[table] = int(n or 0)
    # Of flows that are gone there may be samples of days only.
    table = max(drawn_from, key=lambda name: drawn_from[name], default="")
    # Samples are written before flows: they are of more for a moment, never of fewer.
    if not table or drawn_from[table] < max(int(n_flows), 1):
        return None
    counted = asking.rows(
        f"SELECT {RANK}, count() FROM {table} WHERE {RANK} < {MARK_RANK} AND {where}"
        f" GROUP BY {RANK}"
    )
    rank, n_rows = _thinned({int(rank): int(n) for rank, n in counted}, most_rows)
    return Sample(table, rank, n_rows, drawn_from[table])


def range_of_samples_alone(asking: Asking) -> tuple[int, int] | None:
    """Return the range of the days, which go as a whole, that have samples and no flows any more.

    Milliseconds UTC.
    """
    days = [asking.first_day(table) for table in (SAMPLES, DAY_SAMPLES)]
    first = min((day for day in days if day is not None), default=None)
    first_of_flows = asking.first_day()
    end = LAST_MS if first_of_flows is None else first_of_flows * DAY_SECONDS * 1000
    start = end if first is None else first * DAY_SECONDS * 1000
    return (start, end) if start < end else None


def _thinned(counts: dict[int, int], most_rows: int) -> tuple[int, int]:
    """Return the least rank that leaves so many rows at most, and how many."""
    n_rows, least = 0, max(counts, default=0)
    for rank in range(least, -1, -1):
        n_more = n_rows + counts.get(rank, 0)
        if n_more > most_rows:
            break
        n_rows, least = n_more, rank
    return least, n_rows


def _is_there(asking: Asking, table: str) -> bool:
    """Tell whether a table is there: a collector of an earlier version makes none."""
    try:
        return bool(asking.columns_of(table))
    except StorageError:
        return False
