"""Time bins of pmacct's tables: `sql_history`, `sql_history_roundoff` and when a purge is due.

Bins are a grid that begins when the loader starts, rounded down as asked, and repeats in both
directions, by the clocks of the machine's time zone. Months are counted from January.
"""

from __future__ import annotations

import datetime
import time
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.plugins.pmacct.configuration.time_slots import MONTH, ROUNDOFFS, History

_QUARTER, _DAY = 900, 86400
_MOST_QUARTERS = 10_000

Times = NDArray[np.int64]


def round_down(second: int, roundoff: str) -> int:
    """Round a moment down in local time: minutes, hours, days of the month, weeks, months.

    As in nfacctd `m` empties the minutes, `h` the hours as well, `d` goes to the first of the
    month, `w` to Monday and `M` to January.
    """
    moment = datetime.datetime.fromtimestamp(second).astimezone().replace(second=0, microsecond=0)
    if any(letter in roundoff for letter in "mhdwM"):
        moment = moment.replace(minute=0)
    if any(letter in roundoff for letter in "hdwM"):
        moment = moment.replace(hour=0)
    if "w" in roundoff:
        moment -= datetime.timedelta(days=moment.weekday())
    elif "d" in roundoff:
        moment = moment.replace(day=1)
    if "M" in roundoff:
        moment = moment.replace(month=1, day=1)
    return int(moment.timestamp())


def grid_start(now: int, history: History, roundoff: str) -> int:
    """Return where the grid begins for a loader that starts now."""
    rounding = "".join(letter for letter in roundoff if letter in ROUNDOFFS)
    start = round_down(now, rounding)
    if history.unit == MONTH:
        return start
    # Minutes alone are rounded to a whole bin, as 10m at 21:28 begins at 21:20.
    return int(_bins(np.array([now]), start, history)[0])


def bins(times: Times, start: int, history: History) -> Times:
    """Return the start of the bin of each moment, in seconds.

    The grid is one of local time, so that a day begins at midnight on both sides of a change of
    the clocks; what the change repeats stays two hours. An offset begins all of them earlier.
    """
    return _bins(times + history.offset, start, history) - history.offset


def _bins(times: Times, start: int, history: History) -> Times:
    if history.unit == MONTH:
        return _months(times, history.count)
    anchor, length = start + _utc_offset(start // _QUARTER), history.seconds
    offsets = _utc_offsets(times)
    local: Times = anchor + np.floor_divide(times + offsets - anchor, length) * length
    # The bin may begin before the clocks were changed.
    starts: Times = local - _utc_offsets(local - offsets)
    return starts


def _utc_offsets(times: Times) -> Times:
    """Return what local time is ahead of UTC at each moment, in seconds."""
    if not len(times):
        return times
    quarters = np.floor_divide(times, _QUARTER)
    first, last = int(quarters.min()), int(quarters.max())
    if last - first < _MOST_QUARTERS:
        table = np.array([_utc_offset(quarter) for quarter in range(first, last + 1)], np.int64)
        offsets: Times = table[quarters - first]
        return offsets
    distinct, places = np.unique(quarters, return_inverse=True)
    offsets = np.array([_utc_offset(quarter) for quarter in distinct.tolist()], np.int64)
    return offsets[places]


@lru_cache(maxsize=65536)
def _utc_offset(quarter: int) -> int:
    """Return the offset in a quarter of an hour: no zone changes its clocks within one."""
    return time.localtime(quarter * _QUARTER).tm_gmtoff


def _months(times: Times, count: int) -> Times:
    """Return the start of each moment's bin of months, counted from January of the year 0."""
    days = pa.array(np.floor_divide(times + _utc_offsets(times), _DAY)).dictionary_encode()
    months = [_month_start(day, count) for day in days.dictionary.to_pylist()]
    starts: Times = np.array(months, np.int64)[days.indices.to_numpy()]
    return starts


def _month_start(day: int, count: int) -> int:
    moment = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    month = max((moment.year * 12 + moment.month - 1) // count * count, 12)
    return int(datetime.datetime(month // 12, month % 12 + 1, 1).timestamp())


def next_purge(after: float, start: int, refresh: int, delay: int) -> float:
    """Return when the first purge after a moment is due: whole refresh times from the start."""
    origin = start + delay
    steps: Any = (after - origin) // refresh + 1
    return float(origin + steps * refresh)
