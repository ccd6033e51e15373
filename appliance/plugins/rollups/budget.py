"""The largest number of rows that the flow database can come to have; traffic is no part of it."""

from __future__ import annotations

from appliance.flows import summed_columns
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import DIRECTIONS, LARGEST_ONLY

SPARE_BINS = 2
"""Beside those that are kept: the one that is being filled, and one that is deleted whole."""

ROWS_WITHOUT_NAME = 4
_MONTH_SECONDS = 28 * 86400
_SECONDS = {
    Size.MINUTE: 60,
    Size.QUARTER: 900,
    Size.HOUR: 3600,
    Size.DAY: 86400,
    Size.MONTH: _MONTH_SECONDS,
}


def most_rows(limits: StoreLimits, exporters: int, protocols: int, applications: int) -> int:
    """Return the row budget, with what the loaded plugins want sums of.

    Parameters
    ----------
    exporters
        How many send flows.
    protocols, applications
        How many each of them has in a bin at most.
    """
    bins = {size: limits.retention_seconds(size) // _SECONDS[size] + SPARE_BINS for size in Size}
    exact = sum(bins.values()) * (exporters + 1) * (1 + protocols + applications)
    all_exporters = len(LARGEST_ONLY) * (3 * limits.top + ROWS_WITHOUT_NAME)
    each = len(LARGEST_ONLY) * (3 * limits.top_per_exporter + ROWS_WITHOUT_NAME)
    large = bins[Size.HOUR] + bins[Size.DAY] + bins[Size.MONTH]
    # A day has those of any of its hours, and a month those of any of its days.
    named = (
        bins[Size.HOUR] * min(exporters, limits.exporters_with_names)
        + (bins[Size.DAY] + bins[Size.MONTH]) * exporters
    )
    largest = (bins[Size.MINUTE] + large) * all_exporters + named * each
    # One more name each: none, and what is beyond the limit.
    interfaces = 2 * exporters * (limits.interfaces + 2)
    of_plugins = sum(columns[0].sums_kept + 2 for columns in summed_columns())
    capped = large * (interfaces + limits.as_pairs + 2 + of_plugins)
    return len(DIRECTIONS) * (exact + largest + capped)
