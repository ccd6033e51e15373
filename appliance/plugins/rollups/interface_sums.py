"""The largest interfaces since a moment, over all exporters, with the bins that still fill."""

from __future__ import annotations

from collections import Counter

from appliance.contracts import Direction, InterfaceMeasure, Selection
from appliance.plugins.rollups.capped_sums import BEYOND_NAME, CAPPED_SIZES
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.progress import read_progress
from appliance.plugins.rollups.questions import (
    SUMS,
    ExactQuestions,
    choose_range,
    oldest_starts,
)
from appliance.sql.table_names import KNOWN_EXPORTER

_NO_INTERFACE = "0"
_SIDES = (
    (Direction.INGRESS, Dimension.INGRESS_INTERFACE),
    (Direction.EGRESS, Dimension.EGRESS_INTERFACE),
)


def sums_by_interface(
    exact: ExactQuestions, limits: StoreLimits, since: int, limit: int, now: float
) -> list[InterfaceMeasure]:
    """Return the interfaces with the most octets; see `SumsByInterface`.

    To be called inside a transaction; four queries.
    """
    kept = oldest_starts(limits, CAPPED_SIZES, now)
    bins = choose_range(Selection(since=since), read_progress(exact.database), kept, now)
    known = exact.database.rows(f"SELECT id, address FROM {KNOWN_EXPORTER}")
    addresses = {int(number): str(address) for number, address in known}
    sums: dict[tuple[int, str, Direction], Counter[str]] = {}
    which = f"exporter IN (SELECT id FROM {KNOWN_EXPORTER})"
    for side, dimension in _SIDES:
        select = f"SELECT exporter, name, {SUMS}"
        for number, name, *values in exact.read(select, dimension, bins, which, "exporter, name"):
            if name not in (BEYOND_NAME, _NO_INTERFACE):
                measure = dict(zip(("octets", "packets", "flows"), values, strict=True))
                sums.setdefault((int(number), str(name), side), Counter()).update(measure)
    largest = sorted(sums.items(), key=lambda item: (-item[1]["octets"], item[0]))[:limit]
    return [
        InterfaceMeasure(addresses[number], int(name), side, **measure)
        for (number, name, side), measure in largest
        if number in addresses
    ]
