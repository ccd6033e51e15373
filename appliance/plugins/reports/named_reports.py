"""Named reports: what is in them, when they are made, and who gets them by mail."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, tzinfo
from typing import Any

from appliance import ApplianceError
from appliance.plugins.reports.contents import (
    DEFAULT_ROWS,
    DEFAULT_SECTIONS,
    FIXED_SECTIONS,
    Contents,
)
from appliance.plugins.reports.periods import KINDS, Period, last_period, period_at
from appliance.query.dimensions import is_dimension
from appliance.settings.mail_addresses import is_mail_address
from appliance.settings.raw_values import unknown

MAX_NAME, MAX_FILTER = 60, 2000
MAX_RECIPIENTS, MAX_SECTIONS, MAX_ROWS = 50, 16, 50
MAX_CUSTOMERS_NAMED = 200
SETTLED_SECONDS = 900
"""So long after its end a period has its flows, those of slow exporters too."""

COMMANDS = ("delete", "kept", "list", "send", "set")
"""Of `appliance report`, which no report can be called."""

_NAME = re.compile(r"[^\W_][\w .,:()&+-]*")


class ReportError(ApplianceError):
    """A named report says something that cannot be, or there is none of the name."""


@dataclass(frozen=True, slots=True)
class NamedReport:
    """A report that is made when its period is over.

    Attributes
    ----------
    kind
        A key of `KINDS`.
    to
        Who gets it by mail; nobody: it is kept only.
    hour
        Of the local day after the period, at which it is made.
    zone
        Of its days and of the hour, such as Europe/Vienna; empty: the setting `timezone`.
    filter, sections, customers, rows
        See `Contents`.
    is_on
        Whether it is made by itself.
    """

    name: str
    kind: str = "weekly"
    to: tuple[str, ...] = ()
    hour: int = 6
    zone: str = ""
    filter: str = ""
    sections: tuple[str, ...] = DEFAULT_SECTIONS
    customers: tuple[str, ...] = ()
    rows: int = DEFAULT_ROWS
    is_on: bool = True

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME or not _NAME.fullmatch(self.name):
            raise ReportError(
                f"name: expected up to {MAX_NAME} letters, digits, blanks and -_.,:()&+"
            )
        if self.name.casefold() in (*KINDS, *COMMANDS):
            raise ReportError(f"name: {self.name} is a word of appliance report itself")
        if self.kind not in KINDS:
            raise ReportError(
                f"kind: {unknown('word', self.kind, KINDS)}, expected {_words(KINDS)}"
            )
        _check_range("hour", self.hour, 0, 23)
        _check_range("rows", self.rows, 1, MAX_ROWS)
        if len(self.filter) > MAX_FILTER or not self.filter.isprintable():
            raise ReportError(f"filter: expected at most {MAX_FILTER} printable characters")
        _check_zone(self.zone)
        _check_list("to", self.to, MAX_RECIPIENTS)
        _check_list("sections", self.sections, MAX_SECTIONS)
        _check_list("customers", self.customers, MAX_CUSTOMERS_NAMED)
        if not self.sections:
            raise ReportError("sections: expected one at least")
        for address in self.to:
            if not is_mail_address(address):
                raise ReportError(f"to: {address[:80]!r} is no address such as noc@example.com")
        for section in self.sections:
            if section not in FIXED_SECTIONS and not is_dimension(section):
                hint = unknown("section", section, DEFAULT_SECTIONS)
                raise ReportError(
                    f"sections: {hint}, expected {_words(FIXED_SECTIONS)}, or what appliance top"
                    " groups by"
                )

    @property
    def contents(self) -> Contents:
        """What is in it."""
        return Contents(self.name, self.filter, self.sections, self.customers, self.rows)

    def zone_of(self, default: tzinfo) -> tzinfo:
        """Return the zone of its days."""
        return zoneinfo.ZoneInfo(self.zone) if self.zone else default

    def due_at(self, period: Period, default: tzinfo) -> float:
        """Return when the report on a period is to be made, seconds UTC."""
        zone = self.zone_of(default)
        day = datetime.fromtimestamp(period.until, zone)
        # An hour that a change of clocks leaves out is the one after it.
        hour = datetime(day.year, day.month, day.day, self.hour, tzinfo=zone).timestamp()
        return max(hour, period.until + SETTLED_SECONDS)

    def due_period(self, now: float, default: tzinfo) -> Period:
        """Return the newest period whose report is due; older ones are not made up for."""
        period = last_period(self.kind, now, self.zone_of(default))
        if now >= self.due_at(period, default):
            return period
        return period_at(self.kind, period.since - 1, self.zone_of(default))

    def next_due_at(self, now: float, default: tzinfo) -> float:
        """Return when the next report will be made, seconds UTC."""
        zone = self.zone_of(default)
        at = self.due_at(last_period(self.kind, now, zone), default)
        if at > now:
            return at
        return self.due_at(period_at(self.kind, now, zone), default)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        whom = f"by mail to {', '.join(self.to)}" if self.to else "kept, sent to nobody"
        of = f" of {self.filter}" if self.filter else ""
        return f"{self.kind}{of}, at {self.hour:02}:00{f' {self.zone}' * bool(self.zone)}, {whom}"


def report_from_values(values: Mapping[str, Any]) -> NamedReport:
    """Return the report that JSON or an option's texts say.

    Raises
    ------
    ReportError
        A key is not known, or a value does not fit.
    """
    kinds = {field.name: str(field.type) for field in fields(NamedReport)}
    if strange := [key for key in values if key not in kinds]:
        raise ReportError(unknown("key", strange[0], kinds))
    return NamedReport(**{key: _converted(key, value, kinds[key]) for key, value in values.items()})


def _converted(key: str, value: Any, kind: str) -> Any:
    if kind.startswith("tuple"):
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(one, str) for one in items):
            raise ReportError(f"{key}: expected a list of texts")
        return tuple(dict.fromkeys(one.strip() for one in items if one.strip()))
    if kind == "bool":
        if str(value).lower() not in ("true", "false"):
            raise ReportError(f"{key}: expected true or false")
        return str(value).lower() == "true"
    if kind == "str":
        if not isinstance(value, str):
            raise ReportError(f"{key}: expected a text")
        return value.strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}", str(value)):
        raise ReportError(f"{key}: expected a whole number")
    return int(value)


def _check_range(key: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ReportError(f"{key}: expected {least} to {most}")


def _check_list(key: str, items: Sequence[str], most: int) -> None:
    if len(items) > most:
        raise ReportError(f"{key}: at most {most}")
    if any(len(item) > MAX_FILTER or not item.isprintable() for item in items):
        raise ReportError(f"{key}: expected printable texts")


def _check_zone(name: str) -> None:
    try:
        if name:
            zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ReportError("zone: expected a time zone such as Europe/Vienna") from None


def _words(words: Any) -> str:
    return ", ".join(words)
