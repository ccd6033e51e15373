"""Exact roll-ups: total, protocol and application, of each exporter and of all together.

The flows of a piece of the log become sums by (minute, exporter, direction, protocol, service port,
application and the session that it is of); all that is stored is made from these few rows. Bins of
every size are added to at once, so that none ever waits to be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from appliance.plugins.rollups.application_names import UNKNOWN, Applications
from appliance.plugins.rollups.bins import Size, bin_start
from appliance.plugins.rollups.classify import Flows
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.rollups.flow_tables import ROLLUP_KEY
from appliance.plugins.rollups.grouping import (
    LARGEST_SUM,
    Groups,
    IntArray,
    group_rows,
    join_groups,
    regroup,
)
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP

_MINUTE, _EXPORTER, _DIRECTION, _PROTOCOL, _PORT, _APPLICATION, _SESSION = range(7)
Row = tuple[Any, ...]


def piece_groups(flows: Flows, ids: Sequence[int]) -> Groups:
    """Sum the flows of a piece by all that exact roll-ups and ports are made of."""
    groups = group_rows(
        [
            flows.minutes,
            flows.exporter,
            flows.direction,
            flows.protocol,
            flows.port,
            flows.application,
            flows.session,
        ],
        flows.octets,
        flows.packets,
        flows.flows,
    )
    numbers = np.array(ids or [ALL_EXPORTERS], np.int64)
    groups.columns[_EXPORTER] = numbers[groups.columns[_EXPORTER]]
    return groups


def port_groups(groups: Groups) -> Groups:
    """Take from them the sums by minute, exporter * 2 + direction, protocol and port."""
    columns = groups.columns
    cell = columns[_EXPORTER] * 2 + columns[_DIRECTION]
    names = [columns[place].astype(np.uint64) for place in (_PROTOCOL, _PORT)]
    return regroup(Groups([columns[_MINUTE], cell, *names], groups.sums), range(4))


def exact_rows(
    groups: Groups, applications: Applications, addresses: Mapping[int, str], oldest_minute: int
) -> list[Row]:
    """Return the rows to add to `rollup`.

    Parameters
    ----------
    addresses
        Of exporters, by identifier.
    oldest_minute
        Bins of minutes before it are not made any more.
    """
    codes, texts = _application_names(groups, applications, addresses)
    keyed = {
        Dimension.TOTAL: (np.zeros_like(codes), [""]),
        Dimension.PROTOCOL: (
            groups.columns[_PROTOCOL].astype(np.int64),
            [str(number) for number in range(256)],
        ),
        Dimension.APPLICATION: (codes, texts),
    }
    rows: list[Row] = []
    for dimension, (column, meanings) in keyed.items():
        sums = Groups([*groups.columns[:3], column], groups.sums)
        small = regroup(sums, range(4))
        groups_of_all = _with_all_exporters(small)
        rows += bin_rows(dimension, groups_of_all, meanings.__getitem__, oldest_minute)
    return rows


def _application_names(
    groups: Groups, applications: Applications, addresses: Mapping[int, str]
) -> tuple[IntArray, list[str]]:
    """Return the name of each group's application, as its place in a list of names.

    It is what the session of the flow told, else the name of the port.
    """
    services = applications.services
    codes = services.name_codes(groups.columns[_PROTOCOL], groups.columns[_PORT]).astype(np.int64)
    texts = [UNKNOWN, *services.names[1:]]
    at = np.flatnonzero(groups.columns[_APPLICATION])
    keys = (groups.columns[c][at].tolist() for c in (_EXPORTER, _SESSION, _APPLICATION))
    place: dict[str, int] = {}
    for group, exporter, session, application in zip(at.tolist(), *keys, strict=True):
        name = applications.name(addresses.get(exporter, ""), session, application)
        if name is None:
            continue
        if not place:
            place = {text: number for number, text in enumerate(texts)}
        codes[group] = place.setdefault(name, len(texts))
        if len(place) > len(texts):
            texts.append(name)
    return codes, texts


def add_rows(database: SqlDatabase, rows: Sequence[Row]) -> None:
    """Add sums to the rows that are there, or make them."""
    given, least = database.dialect.given, database.dialect.least
    changes = ", ".join(
        f"{m} = {least}({m} + {given.format(m)}, {LARGEST_SUM})"
        for m in ("octets", "packets", "flows")
    )
    conflict = database.dialect.conflict.format(", ".join(ROLLUP_KEY))
    database.executemany(
        f"INSERT INTO {ROLLUP} ({', '.join(ROLLUP_KEY)}, octets, packets, flows)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {conflict} {changes}",
        rows,
    )


def _with_all_exporters(groups: Groups) -> Groups:
    """Add the sums over all exporters, as exporter 0."""
    together = regroup(groups, [0, 2, 3])
    everyone = np.full(len(together.sums), ALL_EXPORTERS, np.int64)
    minute, direction, key = together.columns
    own = groups.where(np.flatnonzero(groups.columns[1] != ALL_EXPORTERS))
    return join_groups([own, Groups([minute, everyone, direction, key], together.sums)])


def bin_rows(
    dimension: int,
    groups: Groups,
    name_of: Callable[[int], str],
    oldest_minute: int,
    sizes: Iterable[Size] = Size,
) -> list[Row]:
    """Return the rows of sums by minute, exporter, direction and key, for bins of every size.

    Parameters
    ----------
    oldest_minute
        Bins of minutes before it are not made any more.
    """
    rows: list[Row] = []
    minutes, exporter, direction, key = groups.columns
    for size in sizes:
        if size is Size.MINUTE:
            kept = np.flatnonzero(minutes >= oldest_minute)
            sums = groups.where(kept)
        else:
            starts = bin_starts(size, minutes)
            sums = regroup(Groups([starts, exporter, direction, key], groups.sums), range(4))
        rows += [
            (int(dimension), int(size), e, d, start, 0, name_of(k), *measures)
            for start, e, d, k, measures in zip(
                *(column.tolist() for column in sums.columns), sums.sums.tolist(), strict=True
            )
        ]
    return rows


def bin_starts(size: Size, minutes: IntArray) -> IntArray:
    """Return the start of the bin of a size, not that of minutes, that holds each minute."""
    if size is not Size.MONTH:
        step = {Size.QUARTER: 900, Size.HOUR: 3600, Size.DAY: 86400}[size]
        found: IntArray = minutes - minutes % step
        return found
    distinct, index = np.unique(minutes, return_inverse=True)
    return np.array([bin_start(size, int(m)) for m in distinct], np.int64)[index]
