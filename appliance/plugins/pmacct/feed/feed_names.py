"""Names of applications from the table that nfacctd fills from options records."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from appliance.flows import COLUMN, FlowBatch, RecordKind
from appliance.plugins.pmacct.feed.source import SourceTable

MOST_EXPORTERS = 1024
MOST_NAMES = 65_536


@dataclass(slots=True)
class ApplicationNames:
    """A table with the columns of applicationId, its name and, where it has one, a description.

    The table does not say whose names they are, so every exporter gets them.
    """

    source: SourceTable
    columns: tuple[str, ...]
    _told: tuple[Any, ...] = field(default=())

    def news(self, exporters: Collection[tuple[int, int]], now: float) -> FlowBatch | None:
        """Return the names as options records; None when all were told already.

        Raises
        ------
        StorageError
            The database is away.
        """
        found = {
            (application_id(row[0]), *map(str, row[1:]))
            for row in self.source.distinct(self.columns)
            if row[1]
        }
        names = tuple(sorted(found)[:MOST_NAMES])
        whose = tuple(sorted(exporters)[:MOST_EXPORTERS])
        if not names or not whose or (names, whose) == self._told:
            return None
        self._told = (names, whose)
        return _batch(names, whose, int(now * 1000))


def _batch(
    names: tuple[tuple[Any, ...], ...], exporters: tuple[tuple[int, int], ...], now_ms: int
) -> FlowBatch:
    n = len(names) * len(exporters)
    values: dict[str, Any] = {
        "exporter_address_hi": [hi for hi, _ in exporters for _ in names],
        "exporter_address_lo": [lo for _, lo in exporters for _ in names],
        "application_id": [name[0] for name in names] * len(exporters),
        "application_name": [name[1] for name in names] * len(exporters),
        "application_description": [name[2] if len(name) > 2 else "" for name in names]
        * len(exporters),
        "collection_time_milliseconds": [now_ms] * n,
        "record_kind": [int(RecordKind.OPTION)] * n,
    }
    columns = {name: np.array(column, COLUMN[name].dtype) for name, column in values.items()}
    return FlowBatch(n, columns, options=True)


@lru_cache(maxsize=65_536)
def application_id(value: Any) -> int:
    """Read a raw applicationId such as 0D-00-01-F1: the engine is its first octet (RFC 6759)."""
    try:
        octets = bytes(int(pair, 16) for pair in str(value or "").split("-") if pair)
    except ValueError:
        return 0
    if len(octets) < 2:
        return 0
    return octets[0] << 56 | int.from_bytes(octets[1:], "big") & (1 << 56) - 1
