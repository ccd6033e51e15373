"""Reading the flow log piece by piece, not beyond a cursor, and summing a piece up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.flowlog import Cursor, FlowLogReader, Rows
from appliance.flows import address_text
from appliance.plugins.rollups.application_names import ApplicationName
from appliance.plugins.rollups.classify import Flows
from appliance.plugins.rollups.exact import piece_groups
from appliance.plugins.rollups.grouping import Groups
from appliance.plugins.rollups.minutes import NamesByMinute, piece_names

OPTION_COLUMNS = (
    "exporter_address_hi",
    "exporter_address_lo",
    "exporter_transport_port",
    "observation_domain_id",
    "application_id",
    "application_name",
)


@dataclass(slots=True)
class Piece:
    """A piece of the log, summed up.

    Attributes
    ----------
    ids
        The identifiers of the exporters of `flows`.
    """

    first: Cursor
    after: Cursor
    rows: int
    flows: Flows
    ids: list[int]
    groups: Groups
    names: NamesByMinute


def read_piece(
    reader: FlowLogReader,
    cursor: Cursor,
    most: int,
    columns: Sequence[str],
    end: Cursor | None = None,
) -> tuple[list[Rows], Cursor]:
    """Read on from a cursor, at most so many flow records and none behind `end`.

    Returns
    -------
    tuple
        Rows in order; the cursor behind them, at least `end` when all before it is read.
    """
    while True:
        if end is not None and cursor >= end:
            return [], end
        if end is not None and cursor.segment == end.segment:
            most = min(most, end.row - cursor.row)
            found, after = reader.follow_rows(cursor, most, False, columns)
            return found, after if found else end
        found, after = reader.follow_rows(cursor, most, False, columns)
        if end is None or (found and after <= end):
            return found, after
        if most == 1 or not found:
            return [], end
        most = max(1, min(most, sum(rows.n_rows for rows in found)) // 2)


def application_names(table: Any) -> Iterator[ApplicationName]:
    """Return the names in options records with `OPTION_COLUMNS`."""
    columns = [table.column(name).to_pylist() for name in OPTION_COLUMNS]
    for hi, lo, port, domain, application, name in zip(*columns, strict=True):
        if application and name:
            session = (port or 0, domain or 0)
            yield ApplicationName(address_text(hi or 0, lo or 0), *session, application, name)


def sum_up_piece(
    rows: list[Rows], first: Cursor, after: Cursor, flows: Flows, ids: list[int]
) -> Piece:
    """Sum up a piece whose exporters have these identifiers."""
    groups = piece_groups(flows, ids)
    read = sum(piece.n_rows for piece in rows)
    return Piece(first, after, read, flows, ids, groups, piece_names(flows, groups, ids))
