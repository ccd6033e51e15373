"""What exporters say that they have sent, beside what has come of it in a block.

Documents: RFC 7011 section 4.1, IANA elements 40 to 42 (`exportedOctetTotalCount`,
`exportedMessageTotalCount`, `exportedFlowRecordTotalCount`), RFC 3954 section 8 (the same
numbers). Each counts since the exporting process began, without the message that carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.timeline import SessionDomain

Int = NDArray[np.int64]
_ELEMENTS = (40, 41, 42)
_ANY = frozenset(_ELEMENTS)
_IPFIX = 10


class ExportTotals(NamedTuple):
    """Octets of messages, messages and flow records; None where an exporter does not tell it."""

    octets: int | None = None
    messages: int | None = None
    flow_records: int | None = None


@dataclass(frozen=True, slots=True)
class TotalsReport:
    """The last totals that a domain told in a block.

    Attributes
    ----------
    scope
        Who told them, in the name of whom: see `is_counted_by`.
    before
        What had come in the block before the message that told them.
    """

    scope: SessionDomain
    totals: ExportTotals
    before: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class BlockArrivals:
    """The messages of a block, shape (n,): whose they are (-1: nobody's) and their octets."""

    scopes: Sequence[SessionDomain]
    scope_of: Int
    octets: Int


def is_counted_by(teller: SessionDomain, sender: SessionDomain) -> bool:
    """Tell whether the totals of one scope count what another one sends.

    Those of IPFIX are of the exporting process, so of the whole session; those of NetFlow v9 are of
    the observation domain (RFC 3954 section 8).
    """
    if teller.version == _IPFIX:
        return teller.session == sender.session and sender.version == _IPFIX
    return teller == sender


def report_totals(
    arrivals: BlockArrivals, groups: Iterable[tuple[RecordGroup, Int]]
) -> list[TotalsReport]:
    """Return the last totals that each scope told in a block.

    Parameters
    ----------
    groups
        Records, and int64, shape (n_sets,): the scope of each Set of theirs, -1 for one that came
        before its template.
    """
    groups = list(groups)
    newest: dict[int, tuple[int, ExportTotals]] = {}
    for group, scope_of_set in groups:
        if not group.has_any(_ANY):
            continue
        for scope, row, totals in _last_totals(group, scope_of_set):
            if row >= newest.get(scope, (-1,))[0]:
                newest[scope] = row, totals
    return [
        TotalsReport(arrivals.scopes[scope], totals, _before(arrivals, groups, scope, row))
        for scope, (row, totals) in newest.items()
    ]


def _last_totals(group: RecordGroup, scope_of_set: Int) -> Iterable[tuple[int, int, ExportTotals]]:
    """Yield scope, message and totals of the last record of each scope in a group."""
    columns = [group.unsigned(element) for element in _ELEMENTS]
    last_records = np.cumsum(group.counts) - 1
    # What waited for its template tells of an earlier moment, at which nobody looked.
    usable = np.flatnonzero((group.counts > 0) & (scope_of_set >= 0))
    last_set: dict[int, int] = {}
    for place in usable[np.argsort(group.arrival[usable], kind="stable")].tolist():
        last_set[int(scope_of_set[place])] = place
    for scope, place in last_set.items():
        record = int(last_records[place])
        values = (None if column is None else int(column[record]) for column in columns)
        yield scope, int(group.arrival[place]), ExportTotals(*values)


def _before(
    arrivals: BlockArrivals, groups: Iterable[tuple[RecordGroup, Int]], scope: int, row: int
) -> tuple[int, int, int]:
    teller = arrivals.scopes[scope]
    numbers = [n for n, one in enumerate(arrivals.scopes) if is_counted_by(teller, one)]
    is_counted = np.isin(arrivals.scope_of[:row], numbers)
    records = 0
    for group, scope_of_set in groups:
        if not group.plan.options:
            earlier = (group.arrival < row) & np.isin(scope_of_set, numbers)
            records += int(group.counts[earlier].sum())
    octets = int(arrivals.octets[:row][is_counted].sum())
    return octets, int(np.count_nonzero(is_counted)), records
