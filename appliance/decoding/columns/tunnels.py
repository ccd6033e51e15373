"""Which header of a record's tunnel is the flow, when a layout tells of several.

With SRv6, IP in IP or GRE some exporters put addresses, protocol and ports of the outer and of the
inner header into one record, outer first; others have fields for both families and leave one
empty. One rule serves both:

1. The n-th last occurrence of source, destination (of either family), protocol, port and what else
   a header has belong to the n-th last header; what occurs less often is shared by the outer ones.
   A destination goes with a source of its own family, where there are as many of either.
2. The flow is the innermost complete header: the last in the order of the template whose addresses
   and protocol are not zero. Without one it is the last that has an address at all.
3. Where nothing occurs twice, ipVersion (60), if told, decides between the families, as long as
   its addresses are not zero.

The other headers stay in `appliance decode`, which shows every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.flows import COLUMN, V4_MAPPED

Columns = dict[str, NDArray[Any]]

MAX_HEADERS = 4
"""The innermost ones; a packet has seldom more than two."""

_ADDRESSES = ((8, 27), (12, 28))
_SINGLES = (4, 7, 11, 180, 181, 182, 183)
"""Of these a header has one each, and their repetition is a tunnel, as that of addresses."""

_WITH_THEM = (5, 6, 31, 32, 139, 176, 177, 178, 179, 60, 9, 13, 29, 30)
"""These go with the header, but make none."""

_FIRST_OF = {e: e for e in _SINGLES} | {e: ends[0] for ends in _ADDRESSES for e in ends}
"""What a header has one of, by one element that stands for all that it can be in."""

_ONLY_V4, _ONLY_V6 = (9, 13), (29, 30)
_PROTOCOL, _VERSION = 4, 60


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers that a layout tells of, the outer first.

    Attributes
    ----------
    plans
        The layout once for each: there the elements of a header stand for its own fields.
    by_version
        The header of IPv4 and that of IPv6, where these are all and nothing occurs twice.
    """

    plans: tuple[DecodePlan, ...]
    by_version: tuple[int, int] | None = None


def headers_of(group: RecordGroup) -> Headers:
    """Return the headers of a layout: one, unless something occurs twice in it."""
    return group.plan.recall(_headers)


def of_header(group: RecordGroup, plan: DecodePlan) -> RecordGroup:
    """Return the same records, read by the plan of one of their headers."""
    return replace(group, plan=plan)


def innermost(group: RecordGroup, headers: Headers, columns: Sequence[Columns]) -> Columns:
    """Choose the header of each record, by the rule above.

    Parameters
    ----------
    columns
        For each header its columns of endpoints.
    """
    n = group.n_records
    rank = np.zeros(n, np.int8)
    chosen = np.zeros(n, np.int8)
    version = group.unsigned(_VERSION) if headers.by_version else None
    for number, header in enumerate(columns):
        own = _rank(header, n, headers.plans[number])
        if headers.by_version is not None and version is not None:
            family = (4, 6)[headers.by_version.index(number)]
            own = np.where((version == family) & (own > 0), np.int8(3), own)
        better = own >= np.maximum(rank, 1)
        chosen[better] = number
        rank = np.maximum(rank, own)
    names = {name for header in columns for name in header}
    result: Columns = {}
    for name in names:
        values = np.full(n, COLUMN[name].absent, COLUMN[name].dtype)
        for number, header in enumerate(columns):
            if name in header:
                rows = chosen == number
                values[rows] = header[name][rows]
        result[name] = values
    return result


def _rank(columns: Columns, n: int, plan: DecodePlan) -> NDArray[np.int8]:
    """Return 2 for a complete header, 1 for one with an address, 0 for an empty one."""
    there = []
    for end in ("source_address", "destination_address"):
        lo = columns.get(f"{end}_lo")
        if lo is not None:
            hi = columns.get(f"{end}_hi", np.zeros(n, np.uint64))
            there.append((hi != 0) | ((lo != 0) & (lo != np.uint64(V4_MAPPED))))
    if not there:
        return np.ones(n, np.int8)
    rank = np.logical_or.reduce(there).astype(np.int8)
    complete = np.logical_and.reduce(there)
    if plan.index(_PROTOCOL) is not None:
        complete &= columns["protocol_identifier"] != 0
    return np.where(complete, np.int8(2), rank)


def _headers(plan: DecodePlan) -> Headers:
    ends = [_FIRST_OF.get(f.element) for f in plan.fields if f.enterprise == 0 and f.length]
    of_header = [end for end in ends if end is not None]
    if len(of_header) == len(set(of_header)):
        return Headers((plan,))
    return _several_headers(plan)


def _several_headers(plan: DecodePlan) -> Headers:
    places: dict[int, list[int]] = {}
    for place, field in enumerate(plan.fields):
        if field.enterprise == 0 and field.length:
            places.setdefault(field.element, []).append(place)
    ends = [
        sorted((place, element) for element in family for place in places.get(element, ()))
        for family in _ADDRESSES
    ]
    ends[1] = _in_order_of_families(ends[0], ends[1])
    repeated = any(len(places.get(e, ())) > 1 for e in (*_SINGLES, *_ADDRESSES[0], *_ADDRESSES[1]))
    n_headers = max(*map(len, ends), *(len(places.get(e, ())) for e in _SINGLES))
    plans = tuple(
        _plan_of_header(plan, places, ends, behind)
        for behind in range(min(n_headers, MAX_HEADERS) - 1, -1, -1)
    )
    # Of the two ends one may be of a single family, or not be there.
    v6 = 27 if len(ends[0]) > 1 else 28
    families = [plan.index(v6) is not None for plan in plans]
    by_version = None if repeated else (families.index(False), families.index(True))
    return Headers(plans, by_version)


def _in_order_of_families(
    sources: list[tuple[int, int]], destinations: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the destinations in the order that pairs each with a source of its own family.

    Without as many of either family as there are sources, they stay in the order of the template.
    """
    families = [element == _ADDRESSES[0][1] for _, element in sources]
    by_family = {
        is_v6: [end for end in destinations if (end[1] == _ADDRESSES[1][1]) == is_v6]
        for is_v6 in (False, True)
    }
    if any(families.count(is_v6) != len(own) for is_v6, own in by_family.items()):
        return destinations
    return [by_family[is_v6].pop(0) for is_v6 in families]


def _plan_of_header(
    plan: DecodePlan,
    places: dict[int, list[int]],
    ends: list[list[tuple[int, int]]],
    behind: int,
) -> DecodePlan:
    """Return a plan that finds the elements of one header, of `behind` that are further in."""
    first = dict(plan.first_index)
    for element in (*_SINGLES, *_WITH_THEM):
        if element in places:
            first[0, element] = places[element][max(len(places[element]) - 1 - behind, 0)]
    is_v6 = None
    for elements, occurrences in zip(_ADDRESSES, ends, strict=True):
        for element in elements:
            first.pop((0, element), None)
        if occurrences:
            place, element = occurrences[max(len(occurrences) - 1 - behind, 0)]
            first[0, element] = place
            is_v6 = element in (27, 28)
    for element in _ONLY_V4 if is_v6 else _ONLY_V6:
        first.pop((0, element), None)
    return plan.with_index(first)
