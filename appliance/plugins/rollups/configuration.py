"""The settings of the roll-ups: how much their database keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.plugins.rollups.bins import Size
from appliance.settings.file import Setting, Settings
from appliance.settings.types import Duration, Integer

TOP = Setting(
    "flows.top",
    Integer(1, 10_000),
    1000,
    "How many sources, destinations and ports are kept of each minute, hour, day and month, by"
    " octets, by packets and by flows; the rest is kept as one sum.",
)
TOP_PER_EXPORTER = Setting(
    "flows.top_per_exporter",
    Integer(1, 10_000),
    100,
    "The same of each exporter, of hours, days and months.",
)
INTERFACES = Setting(
    "flows.interfaces_per_exporter",
    Integer(1, 65_536),
    1000,
    "How many interfaces of an exporter have sums of their own in a month, in and out; what more"
    " there are is kept as one sum. Sums of hours, days and months.",
)
AS_PAIRS = Setting(
    "flows.as_pairs",
    Integer(1, 1_000_000),
    5000,
    "How many pairs of source and destination AS have sums of their own in a month, over all"
    " exporters; what more there are is kept as one sum. Sums of hours, days and months.",
)
MINUTES_KEPT = Setting(
    "flows.minutes_kept", Duration(), "48h", "How long sums of single minutes are kept."
)
QUARTERS_KEPT = Setting(
    "flows.quarters_kept",
    Duration(),
    "400d",
    "How long sums of quarters of an hour are kept. Hours, days, weeks and months of a time zone"
    " are made from them, so this is how far back such questions reach.",
)
HOURS_KEPT = Setting(
    "flows.hours_kept",
    Duration(),
    "35d",
    "How long sums of hours are kept; a question for the largest sources, destinations or ports of"
    " a time before it begins and ends at whole days.",
)
DAYS_KEPT = Setting("flows.days_kept", Duration(), "400d", "How long sums of days are kept.")
MONTHS_KEPT = Setting("flows.months_kept", Duration(), "3650d", "How long those of months are.")

SETTINGS: list[Setting[Any]] = [
    TOP,
    TOP_PER_EXPORTER,
    INTERFACES,
    AS_PAIRS,
    MINUTES_KEPT,
    QUARTERS_KEPT,
    HOURS_KEPT,
    DAYS_KEPT,
    MONTHS_KEPT,
]


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much is kept.

    Attributes
    ----------
    top, top_per_exporter
        Names of a bin, by each measure.
    interfaces, as_pairs
        Interfaces of an exporter, and pairs of AS, that have sums in a month.
    kept_seconds
        How long bins are kept after their end, by size.
    provisional_seconds
        How often the largest of an open minute are written.
    group_names
        So many of the largest names are kept while a bin is made, when there are three times as
        many.
    exporters_with_names
        So many exporters have names of their own in an hour; see `with_names`.
    """

    top: int = 1000
    top_per_exporter: int = 100
    interfaces: int = 1000
    as_pairs: int = 5000
    kept_seconds: dict[Size, int] | None = None
    provisional_seconds: float = 4.0
    group_names: int = 80_000
    exporters_with_names: int = 8192

    def retention_seconds(self, size: Size) -> int:
        """Return how long bins of a size are kept."""
        return (self.kept_seconds or {}).get(size, 10**9)


def store_limits(settings: Settings) -> StoreLimits:
    """Take the limits from the settings."""
    kept = {
        Size.MINUTE: settings[MINUTES_KEPT],
        Size.QUARTER: settings[QUARTERS_KEPT],
        Size.HOUR: settings[HOURS_KEPT],
        Size.DAY: settings[DAYS_KEPT],
        Size.MONTH: settings[MONTHS_KEPT],
    }
    return StoreLimits(
        top=settings[TOP],
        top_per_exporter=settings[TOP_PER_EXPORTER],
        interfaces=settings[INTERFACES],
        as_pairs=settings[AS_PAIRS],
        kept_seconds={size: int(seconds) for size, seconds in kept.items()},
    )
