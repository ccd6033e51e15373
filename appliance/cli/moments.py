"""Times and ages in the tables of commands."""

from __future__ import annotations

from datetime import UTC, datetime


def age_text(seconds: float) -> str:
    """Write an age in at most three characters and a unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def utc_text(seconds: float) -> str:
    """Write a time, seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
