"""The netflow collector API: exporter devices, their summaries and series, below `/v1/api`.

Summaries and series come from the store's roll-ups; only series by the second are asked of the flow
log, which is the only place that has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any
from urllib.parse import quote

from appliance import (
    ADMINISTRATOR,
    PUBLIC,
    SIGNED_IN,
    Answer,
    FlowStore,
    Measure,
    RequestError,
    Route,
    Selection,
    Settings,
    __version__,
)
from appliance.contracts import ExporterRecord, MissingExporters
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.missing_parts import MissingParts
from appliance.web.openapi import operation
from appliance.web.parameters import Query, find_device
from appliance.web.times import DEFAULT_INTERVAL, Interval, boundaries, parse_interval, rfc3339

PREFIX = "/v1/api"
FORGET = "/api/v1/exporters/<device>"
TAG = "Netflow collector"
MAX_NAME_LETTERS = 255
MAX_INFO_LETTERS = 1000

_ALL, _SUMS = "/get/all", "/get/summary/interval/<interval>"
_LISTS = (_ALL, _SUMS)
_PAGING = ("limit", "after")

_DEVICE = {
    "ID": 1,
    "CreatedAt": "2021-06-15T12:46:06.004006+04:30",
    "UpdatedAt": "2021-06-15T12:46:06.004006+04:30",
    "DeletedAt": None,
    "Device": "127.0.0.1",
    "Name": "",
    "Info": "",
}
_SUMMARY = {
    "device_id": 1,
    "device": "127.0.0.1",
    "flow_count": 36758,
    "device_name": "",
    "device_info": "",
    "total_bytes": 8848500,
    "total_packets": 89610,
}


def api_status() -> dict[str, str]:
    """Say that the API runs."""
    return {"status": "ok", "name": "netflow-appliance", "version": __version__}


def all_devices(store: FlowStore, query: Query, missing: MissingParts, zone: tzinfo) -> Answer:
    """Return every exporter that sent a flow record and was not forgotten."""
    exporters, headers = _page(store.exporters(), query, f"{PREFIX}/device/get/all")
    missing_exporters: MissingExporters | None = getattr(store, "missing_exporters", None)
    if missing_exporters is not None:
        missing.note(missing_exporters())
    return Answer([_device(exporter, zone) for exporter in exporters], headers=headers)


def one_device(device: str, store: FlowStore, zone: tzinfo) -> dict[str, Any]:
    """Return one exporter."""
    return _device(find_device(store.exporters(), device), zone)


def change_device(device: str, body: Body, store: FlowStore, zone: tzinfo) -> dict[str, Any]:
    """Set name or info of an exporter and return it as it is now."""
    wanted = body.single(("Name", "Info"), nullable=("Name", "Info"))
    if not wanted:
        raise RequestError(400, "Nothing to change, expected Name or Info")
    for name, limit in (("Name", MAX_NAME_LETTERS), ("Info", MAX_INFO_LETTERS)):
        if len(wanted.get(name, "")) > limit:
            raise RequestError(400, f"{name}: expected at most {limit} characters")
        if "\0" in wanted.get(name, ""):
            raise RequestError(400, f"{name}: expected text")
    exporter = find_device(store.exporters(), device)
    try:
        store.change_exporter(exporter.id, name=wanted.get("Name"), info=wanted.get("Info"))
    except KeyError:
        raise RequestError(404, f"No device {exporter.id}") from None
    return _device(find_device(store.exporters(), str(exporter.id)), zone)


def forget_device(device: str, store: FlowStore, event: AuditEvent) -> dict[str, str]:
    """Forget an exporter and its sums; those over all exporters keep what it sent."""
    exporter = find_device(store.exporters(), device)
    event.note(f"exporter {exporter.id} {exporter.address}")
    try:
        store.forget_exporter(exporter.id)
    except KeyError:
        raise RequestError(404, f"No device {exporter.id}") from None
    return {"message": f"Exporter {exporter.address} is forgotten"}


def summaries(
    interval: str, store: FlowStore, query: Query, missing: MissingParts, zone: tzinfo
) -> Answer:
    """Return the sums of each exporter with traffic in the interval."""
    since = math.floor(_interval(interval).before(query.now, zone))
    sums = store.totals_by_exporter(missing.left_out_of(Selection(since=since)))
    active = [exporter for exporter in store.exporters() if exporter.id in sums]
    path = f"{PREFIX}/device/get/summary/interval/{quote(interval, safe='')}"
    exporters, headers = _page(active, query, path)
    rows = [_summary(exporter, sums[exporter.id]) for exporter in exporters]
    return Answer(rows, headers=headers)


def summary_of(
    interval: str, device: str, store: FlowStore, query: Query, missing: MissingParts
) -> dict[str, Any]:
    """Return the sums of one exporter in the interval."""
    exporter = find_device(store.exporters(), device)
    since = math.floor(_interval(interval).before(query.now, query.zone))
    selection = missing.left_out_of(Selection(since=since, exporter=exporter.id))
    return _summary(exporter, store.totals(selection))


def sums_by_unit(
    interval: str,
    device: str,
    settings: Settings,
    store: FlowStore,
    query: Query,
    missing: MissingParts,
) -> list[dict[str, Any]]:
    """Return the sums of one exporter in the interval, by the unit that fits it."""
    exporter = find_device(store.exporters(), device)
    asked, now, zone = _interval(interval), query.now, query.zone
    since = asked.before(now, zone)
    unit = asked.group(now - since)
    if unit == "second":
        return _rows(exporter, _seconds(settings, exporter, (since, now), missing), zone)
    bounds = boundaries(unit, since, now, zone)
    sums = store.series(bounds, missing.left_out_of(Selection(exporter=exporter.id)))
    return _rows(exporter, zip(bounds, sums, strict=False), zone)


def _page(
    exporters: Sequence[ExporterRecord], query: Query, path: str
) -> tuple[Sequence[ExporterRecord], dict[str, str]]:
    """Return the exporters that a query is about, and the header with the next page.

    Without `limit` that is all of them, as the published API says. The header is of RFC 8288.
    """
    after, limit = query.number("after"), query.limit()
    asked = [exporter for exporter in exporters if exporter.id > (after or 0)]
    if limit is None or len(asked) <= limit:
        return asked, {}
    page = asked[:limit]
    target = f"{path}?limit={limit}&after={page[-1].id}"
    return page, {"Link": f'<{target}>; rel="next"'}


def _interval(text: str) -> Interval:
    """Read an interval; what is none is 15m, as documented, but an empty one is refused."""
    interval = parse_interval(text) or DEFAULT_INTERVAL
    if not interval.number:
        raise RequestError(400, "The interval is empty, expected a whole number from 1 on")
    return interval


def _seconds(
    settings: Settings, exporter: ExporterRecord, span: tuple[float, float], missing: MissingParts
) -> list[tuple[int, Measure]]:
    """Ask the flow log, or what answers in its place, for the sums of each second."""
    from appliance.query.engine import engine_from_settings
    from appliance.query.language.duckdb import parse_conditions
    from appliance.query.question import Question

    since, until = math.floor(span[0]), math.floor(span[1]) + 1
    question = Question(
        ("second",),
        conditions=parse_conditions([f"exporter={exporter.address}"]),
        since_ms=since * 1000,
        until_ms=until * 1000,
        limit=until - since,
        exact=True,
    )
    answer = engine_from_settings(settings).top(question)
    missing.note(answer.provenance.missing)
    rows = sorted(answer.rows.to_pylist(), key=lambda row: int(row["second"]))
    return [
        (int(row["second"]), Measure(row["octets"], row["packets"], row["flows"])) for row in rows
    ]


def _rows(
    exporter: ExporterRecord, sums: Iterable[tuple[int, Measure]], zone: tzinfo
) -> list[dict[str, Any]]:
    """Return a row for each bin with traffic."""
    return [
        {"_time": rfc3339(start, zone), **_summary(exporter, measure)}
        for start, measure in sums
        if any(measure)
    ]


def _device(exporter: ExporterRecord, zone: tzinfo) -> dict[str, Any]:
    return {
        "ID": exporter.id,
        "CreatedAt": rfc3339(exporter.created, zone),
        "UpdatedAt": rfc3339(exporter.updated, zone),
        "DeletedAt": None,
        "Device": exporter.address,
        "Name": exporter.name,
        "Info": exporter.info,
    }


def _summary(exporter: ExporterRecord, measure: Measure) -> dict[str, Any]:
    return {
        "device_id": exporter.id,
        "device": exporter.address,
        "flow_count": measure.flows,
        "device_name": exporter.name,
        "device_info": exporter.info,
        "total_bytes": measure.octets,
        "total_packets": measure.packets,
    }


def device_routes() -> list[Route]:
    """Return the routes below `/v1/api`."""
    status = operation("Whether the API runs", api_status(), tag=TAG)
    row = {"_time": "2021-06-15T16:12:00+04:30", **_SUMMARY}
    name = {"Name": "core router", "Info": "rack 4"}
    documented = (
        (_ALL, all_devices, "Exporter devices", [_DEVICE]),
        (_SUMS, summaries, "Sums by device", [_SUMMARY]),
        ("/get/summary/group/<interval>/by/<device>", sums_by_unit, "Series of a device", [row]),
    )
    beside = (
        ("/get/by/<device>", one_device, "One device, by ID or address", _DEVICE),
        ("/get/summary/interval/<interval>/by/<device>", summary_of, "Sums of a device", _SUMMARY),
    )
    routes = [
        Route("GET", f"{PREFIX}{slash}", api_status, role=PUBLIC, schema=status)
        for slash in ("/", "")
    ]
    for table, is_open in ((documented, True), (beside, False)):
        routes += [
            Route(
                "GET",
                f"{PREFIX}/device{path}",
                handler,
                role=SIGNED_IN,
                schema=operation(
                    summary, example, query=_PAGING if path in _LISTS else (), tag=TAG
                ),
                open_without_auth=is_open,
                whole_list=path in _LISTS,
            )
            for path, handler, summary, example in table
        ]
    schema = operation("Set name or info of a device", _DEVICE, body=name, tag=TAG)
    path = f"{PREFIX}/device/set/by/<device>"
    gone = operation(
        "Forget an exporter, by ID or address",
        {"message": "Exporter 127.0.0.1 is forgotten"},
        tag=TAG,
    )
    return [
        *routes,
        Route("POST", path, change_device, role=ADMINISTRATOR, schema=schema),
        Route("DELETE", FORGET, forget_device, role=ADMINISTRATOR, schema=gone),
    ]
