"""Time ranges as people type them: `--last 1h`, ISO 8601, or seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from appliance.errors import InvalidQueryError
from appliance.flowlog.questions import LAST_MS

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", re.ASCII)
_EPOCH = re.compile(r"\d{1,13}(?:\.\d{1,6})?", re.ASCII)
_MILLISECONDS_FROM = 10**11
"""Epochs of at least this are milliseconds: as seconds they would lie beyond the year 5000."""


def time_range(
    last: str | None, since: str | None, until: str | None, now_ms: int
) -> tuple[int, int]:
    """Return the half-open range in milliseconds UTC; without any bound it is everything.

    Raises
    ------
    InvalidQueryError
        A bound is not understood, `last` is mixed with `since`, or the range is empty.
    """
    if last is not None and since is not None:
        raise InvalidQueryError("give either --last or --from, not both")
    until_ms = LAST_MS if until is None else moment(until)
    since_ms = 0 if since is None else moment(since)
    if last is not None:
        since_ms = (now_ms if until is None else until_ms) - span(last)
    if since_ms >= until_ms:
        raise InvalidQueryError("the time range is empty: its start is not before its end")
    return max(since_ms, 0), until_ms


def span(text: str) -> int:
    """Return a duration such as 90s, 15m, 1h, 7d or 2w in milliseconds."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InvalidQueryError(f"{text!r} is no duration, expected such as 90s, 15m, 1h, 7d or 2w")
    return int(float(match[1]) * _UNITS[match[2]] * 1000)


def moment(text: str) -> int:
    """Return a time in milliseconds UTC; ISO 8601 without a zone is local time."""
    text = text.strip()
    if _EPOCH.fullmatch(text):
        number = float(text)
        return int(number) if number >= _MILLISECONDS_FROM else int(number * 1000)
    try:
        read = datetime.fromisoformat(text)
        return (read.astimezone() - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        expected = "such as 2026-01-31T08:00:00Z or seconds since 1970"
        raise InvalidQueryError(f"{text!r} is no time, expected ISO 8601 {expected}") from None
