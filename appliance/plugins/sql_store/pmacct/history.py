"""Time bins of pmacct's tables: `sql_history`, `sql_history_roundoff` and when a purge is due.

Bins are a grid that begins when the loader starts, rounded down as asked, and repeats in both
directions. Months follow the calendar of the machine's time zone.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MONTH = "M"
ROUNDOFFS = "mhdwM"
_HISTORY = re.compile(r"\s*([0-9]+)\s*([A-Za-z]?)")

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class History:
    """How long a bin is: `count` units of s, m, h, d, w or M."""

    count: int
    unit: str

    @property
    def seconds(self) -> int:
        """Return the length, of months the shortest."""
        return self.count * (28 * 86400 if self.unit == MONTH else SECONDS[self.unit])


def parse_history(text: str) -> tuple[History | None, str | None]:
    """Read `sql_history`.

    Returns
    -------
    tuple
        The length of bins, None for no history; nfacctd's words when the unit is not known.
    """
    match = _HISTORY.match(text)
    if match is None or int(match[1]) == 0:
        return None, None
    unit = match[2] or "s"
    if unit not in SECONDS and unit != MONTH:
        return None, f"Ignoring unknown time measuring unit: '{unit}'."
    return History(int(match[1]), unit), None


def unknown_roundoffs(text: str) -> list[str]:
    """Return the letters of `sql_history_roundoff` that mean nothing."""
    return [letter for letter in text if letter not in ROUNDOFFS]


def rounded_down(second: int, roundoff: str) -> int:
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
    start = rounded_down(now, rounding)
    if history.unit == MONTH:
        return start
    # Minutes alone are rounded to a whole bin, as 10m at 21:28 begins at 21:20.
    return start + (now - start) // history.seconds * history.seconds


def bins(times: Times, start: int, history: History) -> Times:
    """Return the start of the bin of each moment, in seconds."""
    if history.unit == MONTH:
        return _months(times, start, history.count)
    length = history.seconds
    return start + np.floor_divide(times - start, length) * length


def _months(times: Times, start: int, count: int) -> Times:
    distinct, inverse = np.unique(times, return_inverse=True)
    first = datetime.datetime.fromtimestamp(start)
    found = [_month(int(second), first, count) for second in distinct.tolist()]
    return np.array(found, np.int64)[inverse]


def _month(second: int, first: datetime.datetime, count: int) -> int:
    moment = datetime.datetime.fromtimestamp(second)
    months = (moment.year - first.year) * 12 + moment.month - first.month
    whole = first.year * 12 + first.month - 1 + months // count * count
    return int(datetime.datetime(whole // 12, whole % 12 + 1, 1).timestamp())


def next_purge(after: float, start: int, refresh: int, delay: int) -> float:
    """Return when the first purge after a moment is due: whole refresh times from the start."""
    origin = start + delay
    steps: Any = (after - origin) // refresh + 1
    return float(origin + steps * refresh)
