"""Exact roll-ups of interfaces of each exporter, in and out, and of pairs of source and destination
AS over all exporters.

There can be thousands of either, so there are bins of hours, days and months only, and a sender can
invent any number, so only the first so many of a month have rows. What is beyond is one row with
the name "". A flow without an interface, or AS, is in the row of number 0: all rows of a bin are
its total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from appliance.flows import AnyArray, is_constant
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.classify import Flows, NumberArray, WordArray
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, CAPPED, Dimension
from appliance.plugins.rollups.exact import Row, bin_rows, bin_starts
from appliance.plugins.rollups.forgetting import chunks, number_list
from appliance.plugins.rollups.grouping import Groups, IntArray, group_rows, regroup
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP

CAPPED_SIZES = (Size.HOUR, Size.DAY, Size.MONTH)
BEYOND_NAME = ""
_BEYOND = 0xFFFF_FFFF_FFFF_FFFF
"""The key of what is beyond the limit: AS 4294967295 is reserved (RFC 7300), and so is the pair."""

_MOST_SETS = 200_000
"""Of so many exporters and months the names are remembered; then they are read again."""

_NameSet = tuple[int, int, int]
"""Dimension, exporter and start of a month."""


class CappedSums:
    """Makes the rows, and knows which names have some already."""

    def __init__(self, database: SqlDatabase, limits: StoreLimits) -> None:
        self.database = database
        self.most = {
            Dimension.INGRESS_INTERFACE: limits.interfaces,
            Dimension.EGRESS_INTERFACE: limits.interfaces,
            Dimension.AS_PAIR: limits.as_pairs,
        }
        self._names: dict[_NameSet, set[int]] = {}

    def forget(self) -> None:
        """Begin anew from what the database says."""
        self._names.clear()

    def rows(self, flows: Flows, ids: list[int]) -> list[Row]:
        """Return the rows to add to `rollup`, inside a transaction of the caller's.

        Parameters
        ----------
        ids
            The identifiers of the exporters of the flows.
        """
        if not flows.n:
            return []
        if len(self._names) > _MOST_SETS:
            self.forget()
        rows: list[Row] = []
        for dimension, groups in zip(CAPPED, _sums(flows, ids), strict=True):
            capped = self._cap(dimension, groups)
            name_of = _pair_name if dimension is Dimension.AS_PAIR else _interface_name
            rows += bin_rows(dimension, capped, name_of, 0, CAPPED_SIZES)
        return rows

    def _cap(self, dimension: Dimension, groups: Groups) -> Groups:
        """Put what is beyond the limit together."""
        hours, exporters, direction, keys = groups.columns
        months = bin_starts(Size.MONTH, hours)
        distinct = regroup(Groups([months, exporters, keys], groups.sums), range(3))
        places = list(zip(*(column.tolist() for column in distinct.columns), strict=True))
        self._read_names(dimension, {place[:2] for place in places})
        refused = {place for place in places if not self._admit(dimension, *place)}
        if not refused:
            return groups
        every = zip(months.tolist(), exporters.tolist(), keys.tolist(), strict=True)
        is_beyond = np.fromiter((place in refused for place in every), bool, len(keys))
        named = np.where(is_beyond, np.uint64(_BEYOND), keys)
        return regroup(Groups([hours, exporters, direction, named], groups.sums), range(4))

    def _admit(self, dimension: Dimension, month: int, exporter: int, key: int) -> bool:
        """Tell whether a key has rows in a month; it has from now on if there is room."""
        names = self._names[dimension, exporter, month]
        if key and key not in names:
            if len(names) >= self.most[dimension]:
                return False
            names.add(key)
        return True

    def _read_names(self, dimension: Dimension, places: Iterable[tuple[int, int]]) -> None:
        """Read which names have rows, of months and exporters where that is not known."""
        unknown: dict[int, list[int]] = {}
        for month, exporter in places:
            if (dimension, exporter, month) not in self._names:
                self._names[dimension, exporter, month] = set()
                unknown.setdefault(month, []).append(exporter)
        for month, exporters in unknown.items():
            for part in chunks(exporters):
                for exporter, name in self.database.rows(
                    f"SELECT DISTINCT exporter, name FROM {ROLLUP} WHERE dimension = ?"
                    f" AND size = ? AND exporter IN ({number_list(part)})"
                    " AND direction IN (0, 1) AND bin_start = ?",
                    (int(dimension), int(Size.MONTH), month),
                ):
                    if key := _key(str(name)):
                        self._names[dimension, int(exporter), month].add(key)


def pair_of_name(name: str) -> tuple[int, int]:
    """Return the numbers of source and destination AS of a row's name."""
    source, _, destination = name.partition(">")
    return int(source), int(destination)


def _sums(flows: Flows, ids: list[int]) -> Iterator[Groups]:
    """Yield the sums by hour, exporter, direction and key, in the order of `CAPPED`."""
    few = flows.minutes[:1] if is_constant(flows.minutes) else flows.minutes
    hours = np.broadcast_to(few - few % 3600, flows.minutes.shape)
    sums = (flows.octets, flows.packets, flows.flows)
    exporter, direction = flows.exporter, flows.direction
    by_both = group_rows([hours, exporter, direction, *flows.interfaces], *sums)
    numbers = np.array(ids or [ALL_EXPORTERS], np.int64)
    by_both.columns[1] = numbers[by_both.columns[1]]
    # What has no identifier is nobody's: answers about the time see that rows are missing.
    by_both = by_both.where(np.flatnonzero(by_both.columns[1] != ALL_EXPORTERS))
    for place in (3, 4):
        by_one = regroup(by_both, [0, 1, 2, place])
        by_one.columns[3] = by_one.columns[3].astype(np.uint64)
        yield by_one
    by_pair = group_rows([hours, direction, _pairs(*flows.systems)], *sums)
    everyone: IntArray = np.full(len(by_pair.sums), ALL_EXPORTERS, np.int64)
    hour, way, pair = by_pair.columns
    yield Groups([hour, everyone, way, pair], by_pair.sums)


def _pairs(sources: NumberArray, destinations: NumberArray) -> WordArray:
    columns: list[AnyArray] = [sources, destinations]
    if is_constant(sources) and is_constant(destinations):
        columns = [column[:1] for column in columns]
    source, destination = (column.astype(np.uint64) for column in columns)
    pairs = source << np.uint64(32) | destination
    return np.broadcast_to(pairs, sources.shape)


def _interface_name(key: int) -> str:
    return BEYOND_NAME if key == _BEYOND else str(key)


def _pair_name(key: int) -> str:
    return BEYOND_NAME if key == _BEYOND else f"{key >> 32}>{key & 0xFFFF_FFFF}"


def _key(name: str) -> int:
    """Return the key of a row's name; 0 for none and for what is beyond the limit."""
    if ">" not in name:
        return int(name or 0)
    source, destination = pair_of_name(name)
    return source << 32 | destination
