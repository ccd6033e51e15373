"""The query parameters that routes share: `from`, `to`, `last`, `device`, `limit` and flags.

Unknown parameters are ignored; a known one with a value that cannot be used is a 400 with one
sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from urllib.parse import parse_qs

from appliance.contracts import Dimension, Direction, ExporterRecord, FlowStore, Selection
from appliance.errors import RequestError
from appliance.settings.raw_values import unknown
from appliance.web.times import parse_interval

MAX_PARAMETERS = 100
MAX_LIMIT = 1000
LATEST = 253_402_300_799
"""The last second of the year 9999."""

_EPOCH = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_LOST_PLUS = re.compile(r"(.*[0-9]) ([0-9]{2}:?[0-9]{2})", re.DOTALL)


def row_id(text: str) -> int | None:
    """Return an identifier of a row; None for a text that none can be."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


class Parameter(NamedTuple):
    """A query parameter, for OpenAPI."""

    name: str
    schema: dict[str, object]
    description: str


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "from",
            {"type": "string"},
            "Start of the range: ISO 8601 or seconds since 1970. The range begins at the whole"
            " minute; one longer ago than sums of minutes are kept (48 hours by default) must be"
            " where a larger bin begins.",
        ),
        Parameter(
            "to",
            {"type": "string"},
            "End of the range, not included: as `from`, at the end of a minute. Default: now.",
        ),
        Parameter(
            "last",
            {"type": "string", "examples": ["24h"]},
            "Length of the range up to its end: a whole number and one of s m h d w M y. The range"
            " begins at the whole bin that holds its start: a minute, longer ago a larger one; the"
            " header `X-Range` says which.",
        ),
        Parameter("device", {"type": "string"}, "Only this exporter: its ID or its address."),
        Parameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
            "The largest number of rows.",
        ),
        Parameter(
            "after",
            {"type": "integer", "minimum": 1},
            "Only what comes after this ID: the header Link of a page with `limit` has the next.",
        ),
        Parameter("interface", {"type": "integer", "minimum": 1}, "Only this ifIndex."),
        Parameter("open", {"type": "boolean"}, "true: only what is not over."),
        Parameter("fill", {"type": "boolean"}, "true: hours without traffic are answered as 0."),
        Parameter(
            "before",
            {"type": "integer", "minimum": 1},
            "Only entries before this one: `next` of the page before.",
        ),
    )
}


class Query:
    """The query string of one request.

    Attributes
    ----------
    now
        Seconds UTC: what `last` reaches back from.
    zone
        Of times without one, and of answers.
    """

    def __init__(self, text: str, now: float, zone: tzinfo) -> None:
        self.now, self.zone = now, zone
        try:
            self._values = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            raise RequestError(400, f"More than {MAX_PARAMETERS} query parameters") from None

    def refuse_others(self, names: Collection[str]) -> None:
        """Raise RequestError (400) where there is a parameter that is none of these."""
        for name in self._values.keys() - set(names):
            raise RequestError(400, f"{name[:60]}: {unknown('parameter', name[:60], names)}")

    def text(self, name: str) -> str | None:
        """Return a parameter's value, None when it is not there."""
        value = self.verbatim(name)
        return None if value is None else value.strip()

    def verbatim(self, name: str) -> str | None:
        """Return a parameter's value with the blanks around it, None when it is not there."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise RequestError(400, f"{name} is given {len(values)} times, expected once")
        return values[0] if values else None

    def flag(self, name: str) -> bool:
        """Return whether a parameter is `true`, or 1."""
        word = self.text(name)
        if word not in (None, "true", "false", "1", "0"):
            raise _unusable(name, "true or false", word)
        return word in ("true", "1")

    def limit(self, default: int | None = None, most: int = MAX_LIMIT) -> int | None:
        """Return the largest number of rows, at most `most`."""
        text = self.text("limit")
        if text is None:
            return default
        if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
            raise _unusable("limit", f"a whole number from 1 to {most}", text)
        return int(text)

    def number(self, name: str) -> int | None:
        """Return a parameter that is a whole number from 1 on."""
        text = self.text(name)
        if text is None:
            return None
        if not re.fullmatch("[0-9]{1,18}", text) or not int(text):
            raise _unusable(name, "a whole number from 1 on", text)
        return int(text)

    def range(self) -> tuple[int | None, int | None]:
        """Return start and end of the range in seconds UTC, None where it is open."""
        since, until, last = self._moment("from"), self._moment("to"), self.text("last")
        if last is not None:
            if since is not None:
                raise RequestError(400, "Give either from or last, not both")
            interval = parse_interval(last)
            if interval is None or not interval.number:
                expected = "a whole number from 1 on and one of s m h d w M y, such as 24h"
                raise _unusable("last", expected, last)
            since = interval.before(self.now if until is None else until, self.zone)
        end = self.now if until is None else until
        if since is not None and since >= end:
            raise RequestError(400, "The range is empty: its start is not before its end")
        return (
            None if since is None else math.floor(since),
            None if until is None else math.ceil(until),
        )

    def selection(
        self,
        store: FlowStore,
        direction: Direction | None = None,
        dimension: Dimension = "total",
    ) -> Selection:
        """Return what the request is about, its range as the store can answer it.

        Raises
        ------
        RequestError
            400: `from` or `to` lies within what the store keeps as one; 404: no such device.
        """
        since, until = self.range()
        device = self.text("device")
        exporter = None if device is None else find_device(store.exporters(), device).id
        if since is not None:
            start, end = store.bin_at(since, dimension, exporter)
            if self.text("last") is None and start != since // 60 * 60:
                raise _within_bin("from", start, end)
            since = start
        if until is not None:
            until = -(-until // 60) * 60
            start, end = store.bin_at(until, dimension, exporter)
            if start != until:
                raise _within_bin("to", start, end)
        return Selection(since, until, exporter, direction)

    def _moment(self, name: str) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            seconds = self._seconds(text)
        except (ValueError, OverflowError):
            seconds = -1.0
        if not 0 <= seconds <= LATEST:
            expected = "a time such as 2026-01-31T08:00:00Z or seconds since 1970"
            raise _unusable(name, expected, text)
        return seconds

    def _seconds(self, text: str) -> float:
        if _EPOCH.fullmatch(text):
            return float(text)
        # In a query string `+` means a space; people forget to write the zone's as %2B.
        lost = _LOST_PLUS.fullmatch(text)
        read = datetime.fromisoformat(f"{lost[1]}+{lost[2]}" if lost and ":" in lost[1] else text)
        return (read if read.tzinfo else read.replace(tzinfo=self.zone)).timestamp()


def find_device(exporters: Sequence[ExporterRecord], device: str) -> ExporterRecord:
    """Return the exporter with this identifier or address.

    Raises
    ------
    RequestError
        404: there is none.
    """
    for exporter in exporters:
        if device in (str(exporter.id), exporter.address):
            return exporter
    raise RequestError(404, f"No device {shown_text(device)}")


def utc_text(seconds: int) -> str:
    """Write a time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _within_bin(name: str, start: int, end: int) -> RequestError:
    return RequestError(
        400,
        f"{name}: the time from {utc_text(start)} to {utc_text(end)} is kept as one sum,"
        " expected one of these two",
    )


def _unusable(name: str, expected: str, found: str | None) -> RequestError:
    return RequestError(400, f"{name}: expected {expected}, found {shown_text(found or 'nothing')}")


def shown_text(text: str) -> str:
    """Return a caller's text, shortened and printable."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text[:60])
    return printable + ("..." if len(text) > 60 else "")
