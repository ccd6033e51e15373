"""The days, weeks and months that reports are about, by local time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from appliance import ApplianceError
from appliance.web.times import Unit, boundaries

KINDS: Mapping[str, Unit] = {"daily": "day", "weekly": "week", "monthly": "month"}


class Period(NamedTuple):
    """A day, week or month, and when the one before it began; seconds UTC."""

    kind: str
    before: int
    since: int
    until: int


class PeriodError(ApplianceError):
    """There is no such period."""


def period_at(kind: str, at: float, zone: tzinfo) -> Period:
    """Return the period that holds a time."""
    unit = KINDS[kind]
    since, until = boundaries(unit, at, at, zone)[:2]
    return Period(kind, boundaries(unit, since - 1, since - 1, zone)[0], since, until)


def last_period(kind: str, now: float, zone: tzinfo) -> Period:
    """Return the newest period that is over."""
    return period_at(kind, period_at(kind, now, zone).since - 1, zone)


def period_from_text(kind: str, day: str, now: float, zone: tzinfo) -> Period:
    """Return the period that holds a day such as 2026-01-31; of no text, the last one.

    Raises
    ------
    PeriodError
        It is no day, or lies ahead.
    """
    if kind not in KINDS:
        raise PeriodError(f"unknown report, expected {', '.join(KINDS)}")
    if not day:
        return last_period(kind, now, zone)
    try:
        first = date.fromisoformat(day)
        at = datetime(first.year, first.month, first.day, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise PeriodError("expected a day such as 2026-01-31") from None
    if not 0 < at <= now:
        raise PeriodError("expected a day that is not ahead")
    return period_at(kind, at, zone)


def period_text(period: Period, zone: tzinfo) -> str:
    """Return a period for people."""
    since = datetime.fromtimestamp(period.since, zone)
    last = datetime.fromtimestamp(period.until - 1, zone)
    if period.kind == "monthly":
        return f"{since:%Y-%m}"
    return f"{since:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if period.kind == "weekly" else "")
