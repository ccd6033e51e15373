"""The routes of "Analytics": talkers, applications, protocols, hours, from the store's roll-ups.

Paths and keys are those of the published API to the letter, misspellings included. All take a
range, a device and a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from appliance.contracts import SIGNED_IN, Route
from appliance.hookspecs import hookimpl
from appliance.protocols import protocol_name
from appliance.stores import Dimension, Direction, FlowStore, KeyedMeasure, MeasureName, Selection
from appliance.web.openapi import AnyKeys, OrNull, Whole, operation
from appliance.web.parameters import Query
from appliance.web.times import QUARTER_SECONDS, boundaries

PREFIX = "/api/v1/netflow/"
TAG = "Analytics"
DEFAULT_LIMIT = 15
RANGE = ("from", "to", "last", "device")
HOUR_SECONDS = 3600
MAX_PLAIN_SPAN_SECONDS = 62 * 86400
"""Longer ranges are looked at by month first, so that empty years cost nothing."""

Handler = Callable[..., list[dict[str, Any]]]
Directions = Mapping[str, Direction | None]
_EITHER: Directions = MappingProxyType({"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS})
_ALL: Directions = MappingProxyType({"": None, **_EITHER})


def column_information(store: FlowStore) -> list[Mapping[str, Mapping[str, Any]]]:
    """Return the columns of the flow table in use, as one object in an array."""
    return [store.columns()]


def talkers(direction: Direction) -> Handler:
    """Return the handler of top talkers: source addresses by octets."""

    def answer(store: FlowStore, query: Query) -> list[dict[str, Any]]:
        top = store.top(
            "source", query.selection(store, direction), "octets", query.limit(DEFAULT_LIMIT)
        )
        return [
            {"HostIP": row.key, "TotalBytes": row.octets, "TotalPackets": row.packets}
            for row in top.rows
        ]

    return answer


def applications(by: MeasureName, key: str, direction: Direction | None = None) -> Handler:
    """Return the handler of top applications by a measure, which is answered under `key`."""

    def answer(store: FlowStore, query: Query) -> list[dict[str, Any]]:
        selection, limit = query.selection(store, direction), query.limit(DEFAULT_LIMIT)
        rows = store.top("application", selection, by, limit).rows
        return [{key: getattr(row, by), "appname": row.key} for row in rows]

    return answer


def average_packet_sizes(store: FlowStore, query: Query) -> list[dict[str, Any]]:
    """Return octets // packets of each application, descending; without packets there is none."""
    rows = _every(store, "application", query.selection(store))
    sizes = [(row.octets // row.packets, row.key) for row in rows if row.packets]
    sizes.sort(key=lambda size: (-size[0], size[1]))
    return [{"avgPacketSize": size, "appname": name} for size, name in sizes[: query.limit()]]


def protocols(direction: Direction | None) -> Handler:
    """Return the handler of the protocol distribution by octets."""

    def answer(store: FlowStore, query: Query) -> list[dict[str, Any]]:
        selection, limit = query.selection(store, direction), query.limit()
        rows = store.top("protocol", selection, "octets", limit).rows
        return [
            {
                "protocal": protocol_name(row.key),
                "protocol": protocol_name(row.key),
                "TotalRecordedInstances": row.octets,
            }
            for row in rows
        ]

    return answer


def octets_per_hour(direction: Direction) -> Handler:
    """Return the handler of octets by UTC hour, ascending; hours without traffic are left out."""

    def answer(store: FlowStore, query: Query) -> list[dict[str, Any]]:
        selection, fill, limit = (
            query.selection(store, direction),
            query.flag("fill"),
            query.limit(),
        )
        hours = _hours(store, selection, query.now)
        rows: list[dict[str, Any]] = []
        if len(hours) > 1:
            whole = Selection(exporter=selection.exporter, direction=direction)
            sums = store.series(hours, whole)
            rows = [
                {"TimeofDay": _utc(start), "TotalBytes": measure.octets}
                for start, measure in zip(hours, sums, strict=False)
                if fill or measure.flows or measure.octets
            ]
        return rows[:limit]

    return answer


def _hours(store: FlowStore, selection: Selection, now: float) -> list[int]:
    """Return the whole hours of a range; the last ends at `to`, or now.

    Without a start, or with one long ago, the months that have traffic bound it.
    """
    until = _whole(now if selection.until is None else min(selection.until, now), now)
    since = selection.since or 0
    if until - since > MAX_PLAIN_SPAN_SECONDS:
        months = boundaries("month", since, until, UTC)
        asked = Selection(exporter=selection.exporter, direction=selection.direction)
        sums = store.series(months, asked)
        used = [index for index, measure in enumerate(sums) if measure.flows or measure.octets]
        if not used:
            return []
        since = max(since, months[used[0]])
        until = min(until, months[used[-1] + 1])
    start = since // HOUR_SECONDS * HOUR_SECONDS
    return [*range(start, until, HOUR_SECONDS), until] if start < until else []


def _whole(until: float, now: float) -> int:
    """Round the end of a range up to what every store of roll-ups can answer."""
    step = 60 if now - until < 86400 else QUARTER_SECONDS
    return math.ceil(until / step) * step


def _every(store: FlowStore, dimension: Dimension, selection: Selection) -> Sequence[KeyedMeasure]:
    return store.top(dimension, selection, "octets", None).rows


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _route(
    name: str, handler: Callable[..., Any], summary: str, row: Mapping[str, object], *extra: str
) -> Route:
    is_columns = name == "getColumnInfo"
    example: object = AnyKeys(row) if is_columns else Whole(row)
    query = () if is_columns else (*RANGE, "limit", *extra)
    schema = operation(summary, [example], query=query, tag=TAG)
    return Route("GET", PREFIX + name, handler, role=SIGNED_IN, schema=schema)


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


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/netflow/`."""
    return [*_talker_routes(), *_application_routes(), *_other_routes()]
