"""Exact roll-ups of interfaces of each exporter, in and out, and over all exporters of pairs of
source and destination AS, and of the columns of plugins that want sums.

There can be thousands of each, so there are bins of hours, days and months only, and a sender can
invent any number, so only the first so many of a month have rows. What is beyond is one row with
the name "". A flow without an interface, or AS, is in the row of number 0: all rows of a bin are
its total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from appliance.flows import AnyArray, is_constant
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.classify import Flows, WordArray
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension, SummedColumns
from appliance.plugins.rollups.exact import Row, bin_rows, bin_starts
from appliance.plugins.rollups.forgetting import chunks, number_list
from appliance.plugins.rollups.grouping import Groups, IntArray, group_rows, regroup
from appliance.plugins.rollups.plugin_sums import update_plugin_sums
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP

INTERFACES = {
    Dimension.INGRESS_INTERFACE: "ingress_interface",
    Dimension.EGRESS_INTERFACE: "egress_interface",
}
SYSTEMS = ("bgp_source_as_number", "bgp_destination_as_number")
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
        self._interfaces = [
            SummedColumns(dimension, (column,), limits.interfaces)
            for dimension, column in INTERFACES.items()
        ]
        self._pairs = SummedColumns(Dimension.AS_PAIR, SYSTEMS, limits.as_pairs)
        self._of_plugins: list[SummedColumns] = []
        self._names: dict[_NameSet, set[int]] = {}

    def forget(self) -> None:
        """Begin anew from what the database says."""
        self._names.clear()

    def begin(self) -> None:
        """Note in the database which columns of plugins have sums from now on."""
        self._of_plugins = update_plugin_sums(self.database)

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
        for part, groups in self._sums(flows, ids):
            name_of = _pair_name if len(part.columns) == 2 else _number_name
            rows += bin_rows(part.dimension, self._cap(part, groups), name_of, 0, CAPPED_SIZES)
        return rows

    def _sums(self, flows: Flows, ids: list[int]) -> Iterator[tuple[SummedColumns, Groups]]:
        """Yield the sums by hour, exporter, direction and key, of each that has some."""
        few = flows.minutes[:1] if is_constant(flows.minutes) else flows.minutes
        hours = np.broadcast_to(few - few % 3600, flows.minutes.shape)
        interfaces = [flows.keys[column] for part in self._interfaces for column in part.columns]
        groups = _group_flows(flows, [hours, flows.exporter, flows.direction, *interfaces])
        by_direction = regroup(groups, [0, 2])
        numbers = np.array(ids or [ALL_EXPORTERS], np.int64)
        groups.columns[1] = numbers[groups.columns[1]]
        # What has no identifier is nobody's: answers about the time see that rows are missing.
        groups = groups.where(np.flatnonzero(groups.columns[1] != ALL_EXPORTERS))
        for place, part in enumerate(self._interfaces):
            by_one = regroup(groups, [0, 1, 2, 3 + place])
            by_one.columns[3] = by_one.columns[3].astype(np.uint64)
            yield part, by_one
        for part in (self._pairs, *self._of_plugins):
            yield part, _sums_over_exporters(flows, hours, part.columns, by_direction)

    def _cap(self, part: SummedColumns, groups: Groups) -> Groups:
        """Put what is beyond the limit together."""
        hours, exporters, direction, keys = groups.columns
        months = bin_starts(Size.MONTH, hours)
        distinct = regroup(Groups([months, exporters, keys], groups.sums), range(3))
        places = list(zip(*(column.tolist() for column in distinct.columns), strict=True))
        self._read_names(part.dimension, {place[:2] for place in places})
        refused = {place for place in places if not self._admit(part, *place)}
        if not refused:
            return groups
        every = zip(months.tolist(), exporters.tolist(), keys.tolist(), strict=True)
        is_beyond = np.fromiter((place in refused for place in every), bool, len(keys))
        named = np.where(is_beyond, np.uint64(_BEYOND), keys)
        return regroup(Groups([hours, exporters, direction, named], groups.sums), range(4))

    def _admit(self, part: SummedColumns, month: int, exporter: int, key: int) -> bool:
        """Tell whether a key has rows in a month; it has from now on if there is room."""
        names = self._names[part.dimension, exporter, month]
        if key and key not in names:
            if len(names) >= part.most:
                return False
            names.add(key)
        return True

    def _read_names(self, dimension: int, places: Iterable[tuple[int, int]]) -> None:
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
                    (dimension, int(Size.MONTH), month),
                ):
                    if key := _key(str(name)):
                        self._names[dimension, int(exporter), month].add(key)


def pair_of_name(name: str) -> tuple[int, int]:
    """Return the numbers of source and destination of a row's name."""
    source, _, destination = name.partition(">")
    return int(source), int(destination)


def _sums_over_exporters(
    flows: Flows, hours: IntArray, columns: Sequence[str], by_direction: Groups
) -> Groups:
    """Return the sums by hour, exporter 0, direction and key.

    Parameters
    ----------
    by_direction
        The sums by hour and direction: those of a key that all flows have.
    """
    keys = [flows.keys[column] for column in columns]
    if all(is_constant(column) for column in keys):
        hour, way = by_direction.columns
        groups, n = by_direction, len(by_direction.sums)
        keys = [np.broadcast_to(column[:1], (n,)) for column in keys]
    else:
        groups = _group_flows(flows, [hours, flows.direction, *keys])
        hour, way, *keys = groups.columns
    key = _keys(keys)
    everyone: IntArray = np.full(len(groups.sums), ALL_EXPORTERS, np.int64)
    return Groups([hour, everyone, way, key], groups.sums)


def _group_flows(flows: Flows, columns: Sequence[AnyArray]) -> Groups:
    return group_rows(columns, flows.octets, flows.packets, flows.flows)


def _keys(columns: list[AnyArray]) -> WordArray:
    """Return one number for each group, of one column or of two."""
    keys = columns[0].astype(np.uint64)
    for column in columns[1:]:
        keys = keys << np.uint64(32) | column.astype(np.uint64)
    return keys


def _number_name(key: int) -> str:
    return BEYOND_NAME if key == _BEYOND else str(key)


def _pair_name(key: int) -> str:
    return BEYOND_NAME if key == _BEYOND else f"{key >> 32}>{key & 0xFFFF_FFFF}"


def _key(name: str) -> int:
    """Return the key of a row's name; 0 for none and for what is beyond the limit."""
    if ">" not in name:
        return int(name or 0)
    source, destination = pair_of_name(name)
    return source << 32 | destination
