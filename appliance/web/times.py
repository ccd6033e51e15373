"""Local time: zones, RFC 3339, intervals such as `15m` and `1M`, and the bins that answers are
grouped by.

Times are seconds since 1970, UTC; a zone says what day, week or month they belong to. Nothing here
looks at a clock.
"""

from __future__ import annotations

import os
import re
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal, NamedTuple

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]
UNITS: tuple[Unit, ...] = ("second", "minute", "hour", "day", "week", "month", "year")

MAX_BINS = 1500
"""About the most bins of an answer; where the rules ask for more, the next unit is taken."""

LOCAL_TIME = Path("/etc/localtime")
QUARTER_SECONDS = 900
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BIN_SECONDS: dict[Unit, int] = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 28 * 86400,
    "year": 365 * 86400,
}
_INTERVAL = re.compile(r"([0-9]{1,15})([smhdwMy])")

# For each unit of an interval: up to which count it is grouped by which unit, then the rest.
_GROUPS: dict[str, tuple[tuple[int, Unit], Unit]] = {
    "s": ((60, "second"), "minute"),
    "m": ((60, "minute"), "hour"),
    "d": ((1, "hour"), "day"),
    "w": ((1, "day"), "week"),
    "M": ((1, "week"), "month"),
    "y": ((1, "month"), "year"),
}


class Interval(NamedTuple):
    """So many of a unit: s m h d w M y."""

    number: int
    unit: str

    @property
    def seconds(self) -> int | None:
        """Its length; None where the calendar says it."""
        unit = _UNIT_SECONDS.get(self.unit)
        return None if unit is None else self.number * unit

    def before(self, now: float, zone: tzinfo) -> float:
        """Return when the interval that ends now began: M and y by the calendar, from 1970 on."""
        if self.unit in _UNIT_SECONDS:
            return max(now - self.number * _UNIT_SECONDS[self.unit], 0.0)
        local = datetime.fromtimestamp(now, zone)
        months = local.year * 12 + local.month - 1 - self.number * (12 if self.unit == "y" else 1)
        year, month = divmod(months, 12)
        if year < 1970:
            return 0.0
        day = min(local.day, _days_of(year, month + 1))
        return max(local.replace(year=year, month=month + 1, day=day).timestamp(), 0.0)

    def group(self, span_seconds: float) -> Unit:
        """Return what `summary/group` groups this interval by."""
        if self.unit == "h":
            unit: Unit = "minute" if self.number <= 1 else "hour" if self.number <= 23 else "day"
        else:
            (limit, fine), coarse = _GROUPS[self.unit]
            unit = fine if self.number <= limit else coarse
        while span_seconds / _BIN_SECONDS[unit] > MAX_BINS and unit != "year":
            unit = UNITS[UNITS.index(unit) + 1]
        return unit


DEFAULT_INTERVAL = Interval(15, "m")


def parse_interval(text: str) -> Interval | None:
    """Read `15m`; None when it is no whole number with one of s m h d w M y."""
    found = _INTERVAL.fullmatch(text)
    return Interval(int(found[1]), found[2]) if found else None


def boundaries(unit: Unit, since: float, until: float, zone: tzinfo) -> list[int]:
    """Return where bins begin, from the one that holds `since`, and where the last one ends.

    Parameters
    ----------
    unit
        From the minute on, whole units of local time. An hour that daylight saving repeats is
        two bins, days may have 23 or 25 hours, weeks begin on Monday.

    Returns
    -------
    list of int
        Seconds UTC, ascending, whole minutes; at least two.
    """
    step = _STEPS[unit]
    bounds: list[int] = []
    for bound in step(since, zone):
        if bounds and bound <= bounds[-1]:
            continue
        bounds.append(bound)
        if bound > until and len(bounds) > 1:
            break
    return bounds


def rfc3339(seconds: float, zone: tzinfo) -> str:
    """Write a time in a zone; microseconds are left out when they are zero."""
    text = datetime.fromtimestamp(seconds, zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def local_zone(setting: tzinfo | None) -> tzinfo:
    """Return the zone of the setting, else the machine's with all its rules, else UTC."""
    if setting is not None:
        return setting
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return zoneinfo.ZoneInfo(name)
        with LOCAL_TIME.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key=_linked_zone(LOCAL_TIME))
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return UTC


def _linked_zone(path: Path) -> str | None:
    """Return the name of the zone that a link leads to; a copy of its file has none."""
    _, _, name = str(path.resolve()).partition("/zoneinfo/")
    return name or None


def _minutes(since: float, _zone: tzinfo) -> Iterator[int]:
    bound = int(since) // 60 * 60
    while True:
        yield bound
        bound += 60


def _hours(since: float, zone: tzinfo) -> Iterator[int]:
    """Walk by quarters: every offset in use is a multiple, and so is every change of offset."""

    def hour(at: int) -> tuple[int, int, timedelta | None]:
        local = datetime.fromtimestamp(at, zone)
        return local.toordinal(), local.hour, local.utcoffset()

    bound = int(since) // QUARTER_SECONDS * QUARTER_SECONDS
    while bound >= QUARTER_SECONDS and hour(bound - QUARTER_SECONDS) == hour(bound):
        bound -= QUARTER_SECONDS
    while True:
        yield bound
        current = hour(bound)
        while hour(bound) == current:
            bound += QUARTER_SECONDS


def _by_date(first: Callable[[date], date], following: Callable[[date], date]) -> _Step:
    def walk(since: float, zone: tzinfo) -> Iterator[int]:
        day = first(datetime.fromtimestamp(since, zone).date())
        while True:
            midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
            yield max(int(midnight.timestamp()) // 60 * 60, 0)
            day = following(day)

    return walk


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _days_of(year: int, month: int) -> int:
    return (_next_month(date(year, month, 1)) - timedelta(days=1)).day


_Step = Callable[[float, tzinfo], Iterator[int]]
_STEPS: dict[Unit, _Step] = {
    "minute": _minutes,
    "hour": _hours,
    "day": _by_date(lambda day: day, lambda day: day + timedelta(days=1)),
    "week": _by_date(
        lambda day: day - timedelta(days=day.weekday()), lambda day: day + timedelta(days=7)
    ),
    "month": _by_date(lambda day: day.replace(day=1), _next_month),
    "year": _by_date(
        lambda day: day.replace(month=1, day=1), lambda day: day.replace(year=day.year + 1)
    ),
}
