"""The routes of "Analytics": talkers, applications, protocols, hours, from the store's roll-ups.

Paths and keys are those of the published API to the letter, misspellings included. All take a
range, a device and a limit. Headers say how sure the figures are, and of which range.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from types import MappingProxyType
from typing import Any

from appliance import SIGNED_IN, Answer, FlowStore, Route, Selection, TopAnswer
from appliance.contracts import Direction, MeasureName
from appliance.protocols import protocol_name
from appliance.web.missing_parts import MissingParts
from appliance.web.openapi import AnswerExample, AnyKeys, OrNull, Whole, operation
from appliance.web.parameters import Query, utc_text
from appliance.web.times import boundaries

PREFIX = "/api/v1/netflow/"
TAG = "Analytics"
DEFAULT_LIMIT = 15
RANGE = ("from", "to", "last", "device")
HOUR_SECONDS = 3600
MAX_PLAIN_SPAN_SECONDS = 62 * 86400
"""Longer ranges are looked at by month first, so that empty years cost nothing."""

HEADERS = {
    "X-Figures": "`exact`, or `at-most-low-by=N`: each figure of octets may be too low by at most"
    " N, and a row that is not there would exceed the last one by at most N (where rows are fewer"
    " than the limit: have at most N); `partial`: nobody knows by how much, see `X-Partial`",
    "X-Figures-Pending": "Octets of the last seconds that totals count already and no row has yet:"
    " `X-Figures` is about the moment when rows were written last",
    "X-Range": "Start and end of the range that the figures are of; `..` where it is open",
}

Rows = list[dict[str, Any]]
Handler = Callable[..., Answer]
Directions = Mapping[str, Direction | None]
_EITHER: Directions = MappingProxyType({"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS})
_ALL: Directions = MappingProxyType({"": None, **_EITHER})


def column_information(store: FlowStore) -> list[Mapping[str, Mapping[str, Any]]]:
    """Return the columns of the flow table in use, as one object in an array."""
    return [store.columns()]


def talkers(direction: Direction) -> Handler:
    """Return the handler of top talkers: source addresses by octets."""

    def answer(store: FlowStore, query: Query, missing: MissingParts) -> Answer:
        selection = missing.left_out_of(query.selection(store, direction, "source"))
        top = store.top("source", selection, "octets", query.limit(DEFAULT_LIMIT))
        rows = [
            {"HostIP": row.key, "TotalBytes": row.octets, "TotalPackets": row.packets}
            for row in top.rows
        ]
        return with_headers(rows, selection, missing, top)

    return answer


def applications(by: MeasureName, key: str, direction: Direction | None = None) -> Handler:
    """Return the handler of top applications by a measure, which is answered under `key`."""

    def answer(store: FlowStore, query: Query, missing: MissingParts) -> Answer:
        selection = missing.left_out_of(query.selection(store, direction))
        top = store.top("application", selection, by, query.limit(DEFAULT_LIMIT))
        rows = [{key: getattr(row, by), "appname": row.key} for row in top.rows]
        return with_headers(rows, selection, missing, top)

    return answer


def average_packet_sizes(store: FlowStore, query: Query, missing: MissingParts) -> Answer:
    """Return octets // packets of each application, descending; without packets there is none."""
    selection, limit = missing.left_out_of(query.selection(store)), query.limit()
    top = store.top("application", selection, "octets", None)
    sizes = [(row.octets // row.packets, row.key) for row in top.rows if row.packets]
    sizes.sort(key=lambda size: (-size[0], size[1]))
    rows: Rows = [{"avgPacketSize": size, "appname": name} for size, name in sizes[:limit]]
    return with_headers(rows, selection, missing, top)


def protocols(direction: Direction | None) -> Handler:
    """Return the handler of the protocol distribution by octets."""

    def answer(store: FlowStore, query: Query, missing: MissingParts) -> Answer:
        selection = missing.left_out_of(query.selection(store, direction))
        top = store.top("protocol", selection, "octets", query.limit())
        rows = [
            {
                "protocal": protocol_name(row.key),
                "protocol": protocol_name(row.key),
                "TotalRecordedInstances": row.octets,
            }
            for row in top.rows
        ]
        return with_headers(rows, selection, missing, top)

    return answer


def octets_per_hour(direction: Direction) -> Handler:
    """Return the handler of octets by UTC hour, ascending; hours without traffic are left out."""

    def answer(store: FlowStore, query: Query, missing: MissingParts) -> Answer:
        selection = missing.left_out_of(query.selection(store, direction))
        fill, limit = query.flag("fill"), query.limit()
        hours = _hours(store, selection, query.now)
        rows: Rows = []
        if len(hours) > 1:
            whole = replace(selection, since=None, until=None)
            sums = store.series(hours, whole)
            rows = [
                {"TimeofDay": _hour_text(start), "TotalBytes": measure.octets}
                for start, measure in zip(hours, sums, strict=False)
                if fill or measure.flows or measure.octets
            ]
        return with_headers(rows[:limit], selection, missing)

    return answer


def _hours(store: FlowStore, selection: Selection, now: float) -> list[int]:
    """Return where the hours of a range begin, and where the last one ends: at `to`, or now.

    The first begins at the start of the range. Without a start, or with one long ago, the months
    that have traffic bound it.
    """
    this_minute = math.ceil(now / 60) * 60
    until = min(this_minute if selection.until is None else selection.until, this_minute)
    since = selection.since or 0
    if until - since > MAX_PLAIN_SPAN_SECONDS:
        months = boundaries("month", since, until, UTC)
        sums = store.series(months, replace(selection, since=None, until=None))
        used = [index for index, measure in enumerate(sums) if measure.flows or measure.octets]
        if not used:
            return []
        since = max(since, months[used[0]])
        until = min(until, months[used[-1] + 1])
    second = since // HOUR_SECONDS * HOUR_SECONDS + HOUR_SECONDS
    return [since, *range(second, until, HOUR_SECONDS), until] if since < until else []


def _hour_text(seconds: int) -> str:
    return utc_text(seconds // HOUR_SECONDS * HOUR_SECONDS).replace("Z", ".000Z")


def with_headers(
    rows: Rows, selection: Selection, missing: MissingParts, top: TopAnswer | None = None
) -> Answer:
    """Return the answer that also says how sure its figures are, and of which range."""
    headers = {"X-Figures": "partial" if missing else "exact"}
    if not missing and top is not None and (top.error.octets or top.error.packets):
        headers["X-Figures"] = f"at-most-low-by={top.error.octets}"
    if top is not None and top.pending.octets:
        headers["X-Figures-Pending"] = str(top.pending.octets)
    ends = (selection.since, selection.until)
    if any(end is not None for end in ends):
        headers["X-Range"] = "/".join(".." if end is None else utc_text(end) for end in ends)
    return Answer(rows, headers=headers)


_WITHIN_FILTERS = re.compile("TopTalkers|ProtocolDistribution|BytesPerHour")
"""Routes that bound users are answered: of their flows, what the store is asked can be said."""


def _route(
    name: str, handler: Callable[..., Any], summary: str, row: Mapping[str, object], *extra: str
) -> Route:
    is_columns = name == "getColumnInfo"
    example: object = [AnyKeys(row)] if is_columns else AnswerExample([Whole(row)], headers=HEADERS)
    query = () if is_columns else (*RANGE, "limit", *extra)
    schema = operation(summary, example, query=query, tag=TAG)
    is_open = _WITHIN_FILTERS.search(name) is not None
    path = PREFIX + name
    return Route("GET", path, handler, role=SIGNED_IN, schema=schema, open_to_bound_users=is_open)


def _talker_routes() -> list[Route]:
    row = {"HostIP": "10.139.67.149", "TotalBytes": 13500791250, "TotalPackets": 9528478}
    return [
        _route(f"get{word}TopTalkers", talkers(direction), f"{word} talkers by octets", row)
        for word, direction in _EITHER.items()
        if direction is not None
    ]


def _application_routes() -> list[Route]:
    packets = applications("packets", "packetsum")
    rows = [
        _route(
            "getTopApps",
            applications("flows", "count"),
            "Applications by flow records",
            {"count": 1320312, "appname": "http"},
        ),
        _route(
            "getAvgPacketSizeByAppId",
            average_packet_sizes,
            "Average size of an application's packets, in octets",
            {"avgPacketSize": 1492, "appname": "binary-over-http"},
        ),
    ]
    rows += [
        _route(
            f"get{word}MostActiveApps",
            applications("octets", "sumcount", direction),
            f"{word} applications by octets".strip().capitalize(),
            {"sumcount": 88018320452, "appname": "youtube"},
        )
        for word, direction in _ALL.items()
    ]
    rows += [
        _route(name, packets, "Applications by packets", {"packetsum": 773576, "appname": "ping"})
        for name in ("getPacketPerAppID", "getPacketsPerAppID")
    ]
    return rows


def _other_routes() -> list[Route]:
    column = Whole(defaultValue=OrNull("0"), type="char", maxLength=OrNull(15), nullable=False)
    hour = {"TimeofDay": "2015-04-08T03:00:00.000Z", "TotalBytes": 5324278}
    share = {"protocal": "udp", "protocol": "udp", "TotalRecordedInstances": 179727}
    rows = [
        _route("getColumnInfo", column_information, "Columns of the flow table", {"ip_src": column})
    ]
    rows += [
        _route(
            f"get{word}BytesPerHour",
            octets_per_hour(direction),
            f"{word} octets by UTC hour",
            hour,
            "fill",
        )
        for word, direction in _EITHER.items()
        if direction is not None
    ]
    rows += [
        _route(
            f"get{word}ProtocolDistribution",
            protocols(direction),
            f"{word} octets by protocol".strip().capitalize(),
            share,
        )
        for word, direction in _ALL.items()
    ]
    return rows


def analytics_routes() -> list[Route]:
    """Return the routes below `/api/v1/netflow/`."""
    return [*_talker_routes(), *_application_routes(), *_other_routes()]
