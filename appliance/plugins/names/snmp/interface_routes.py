"""Routes of an exporter's interfaces: the names that people give them, and whether their flows tell
the truth."""

from __future__ import annotations

import math
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import ADMINISTRATOR, SIGNED_IN, FlowStore, RequestError, Route, Settings
from appliance.interface_history import interface_history
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import Query, find_device
from appliance.web.times import rfc3339

if TYPE_CHECKING:
    from appliance.plugins.names.snmp.truth import DirectionTruth, InterfaceTruth

INTERFACE = "/api/v1/exporters/<device>/interfaces/<number>"
TRUTH = "/api/v1/exporters/<device>/interfaces/truth"
SPEEDS = "/api/v1/interfaces/speeds"
DEFAULT_SECONDS = 3600
MAX_NAME_LETTERS = 255
MAX_INDEX = (1 << 32) - 1

_SIDE = {
    "flow_octets": 1.5,
    "counter_octets": 1.5,
    "counters_from": ["sFlow"],
    "ratio": OrNull(0.98),
    "reason": "layer_2",
    "text": "counters are of layer 2: 18 octets of framing a packet",
    "bins": [{"flow_octets": 1.5, "counter_octets": OrNull(1.5)}],
}
_TRUTH = {
    "exporter": "192.0.2.1",
    "since": "2026-01-31T08:00:00Z",
    "until": "2026-01-31T09:00:00Z",
    "step_seconds": 300,
    "method": "exact",
    "left_out": ["file is damaged"],
    "interfaces": [
        {
            "number": 7,
            "name": "Gi0/1",
            "description": "uplink Vienna",
            "speed": 1_000_000_000,
            "is_up": OrNull(True),
            "in": _SIDE,
            "out": _SIDE,
        }
    ],
}
_SPEEDS = {"interfaces": [{"exporter": "192.0.2.1", "number": 7, "speed": 1_000_000_000}]}
_NAMED = {"exporter": "192.0.2.1", "number": 7, "name": "uplink Vienna"}


def name_interface(
    device: str, number: str, body: Body, store: FlowStore, settings: Settings, event: AuditEvent
) -> dict[str, Any]:
    """Set what people call an interface; an empty name takes theirs away."""
    exporter = find_device(store.exporters(), device)
    if not number.isascii() or not number.isdecimal() or int(number[:11]) > MAX_INDEX:
        raise RequestError(404, "No such interface, expected a whole number from 0 to 4294967295")
    values = body.single(("Name",), nullable=("Name",))
    if "Name" not in values:
        raise RequestError(400, "Nothing to change, expected Name")
    name = " ".join(values["Name"].split())
    if len(name) > MAX_NAME_LETTERS or not all(map(str.isprintable, name)):
        raise RequestError(400, f"Name: expected at most {MAX_NAME_LETTERS} printable characters")
    event.note(f"interface {number} of {exporter.address}: {name}")
    interface_history(settings).set_own_name((exporter.address, int(number)), name)
    return {"exporter": exporter.address, "number": int(number), "name": name}


def interface_speeds(settings: Settings) -> dict[str, Any]:
    """Return how fast interfaces are by SNMP, or by what exporters send, in bits a second."""
    known = interface_history(settings).interfaces_with_speed()
    return {"interfaces": [interface._asdict() for interface in known]}


def interface_truth(
    device: str, store: FlowStore, query: Query, settings: Settings, zone: tzinfo
) -> dict[str, Any]:
    """Return octets by flows beside those that interfaces count, and why they differ."""
    from appliance.plugins.names.snmp.counter_bins import STEP_MS
    from appliance.plugins.names.snmp.truth import exporter_truth, whole_bins
    from appliance.query.question import MAX_BINS

    exporter = find_device(store.exporters(), device)
    since, until = query.range()
    end = math.ceil(query.now) if until is None else until
    bins = whole_bins(end - DEFAULT_SECONDS if since is None else since, end, query.now)
    if not 1 <= len(bins.starts_ms) <= MAX_BINS:
        raise RequestError(400, f"The range has no whole five minutes, or more than {MAX_BINS}")
    truth = exporter_truth(exporter.address, bins, settings, query.number("interface"))
    return {
        "exporter": exporter.address,
        "since": rfc3339(bins.since_ms / 1000, zone),
        "until": rfc3339(bins.until_ms / 1000, zone),
        "step_seconds": STEP_MS // 1000,
        "method": truth.method,
        "left_out": list(truth.left_out),
        "interfaces": [_interface(one) for one in truth.interfaces],
    }


def _interface(truth: InterfaceTruth) -> dict[str, Any]:
    return {
        "number": truth.number,
        "name": truth.name,
        "description": truth.description,
        "speed": truth.speed,
        "is_up": truth.is_up,
        **{name: _side(side) for name, side in truth.directions.items()},
    }


def _side(side: DirectionTruth) -> dict[str, Any]:
    pairs = zip(side.flow_octets.tolist(), side.counter_octets.tolist(), strict=True)
    return {
        "flow_octets": side.total_flow_octets,
        "counter_octets": side.total_counter_octets,
        "counters_from": list(side.sources),
        "ratio": side.ratio,
        "reason": side.reason.name,
        "text": side.reason.sentence,
        "bins": [
            {"flow_octets": flows, "counter_octets": None if math.isnan(counted) else counted}
            for flows, counted in pairs
        ],
    }


def interface_routes() -> list[Route]:
    """Return the routes."""
    schema = operation(
        "Name an interface of an exporter", _NAMED, body={"Name": "uplink Vienna"}, tag="Appliance"
    )
    truth = operation(
        "Flows of interfaces beside their counters",
        _TRUTH,
        query=("from", "to", "last", "interface"),
        tag="Appliance",
    )
    speeds = operation("How fast interfaces are", _SPEEDS, tag="Appliance")
    return [
        Route("GET", SPEEDS, interface_speeds, role=SIGNED_IN, schema=speeds),
        Route("POST", INTERFACE, name_interface, role=ADMINISTRATOR, schema=schema),
        Route("GET", TRUTH, interface_truth, role=SIGNED_IN, schema=truth),
    ]
