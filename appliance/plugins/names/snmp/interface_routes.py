"""Routes of an exporter's interfaces: the names that people give them."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, FlowStore, RequestError, Route, Settings
from appliance.interface_history import interface_history
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import operation
from appliance.web.parameters import find_device

INTERFACE = "/api/v1/exporters/<device>/interfaces/<number>"
MAX_NAME_LETTERS = 255
MAX_INDEX = (1 << 32) - 1

_NAMED = {"exporter": "192.0.2.1", "number": 7, "name": "uplink Vienna"}


def name_interface(
    device: str, number: str, body: Body, store: FlowStore, settings: Settings, event: AuditEvent
) -> dict[str, Any]:
    """Set what people call an interface; an empty name takes theirs away."""
    exporter = find_device(store.exporters(), device)
    if not number.isascii() or not number.isdecimal() or int(number[:11]) > MAX_INDEX:
        raise RequestError(404, f"No interface {number[:20]}")
    values = body.single(("Name",), nullable=("Name",))
    if "Name" not in values:
        raise RequestError(400, "Nothing to change, expected Name")
    name = " ".join(values["Name"].split())
    if len(name) > MAX_NAME_LETTERS or not all(map(str.isprintable, name)):
        raise RequestError(400, f"Name: expected at most {MAX_NAME_LETTERS} printable characters")
    event.note(f"interface {number} of {exporter.address}: {name}")
    interface_history(settings).set_own_name((exporter.address, int(number)), name)
    return {"exporter": exporter.address, "number": int(number), "name": name}


def routes() -> list[Route]:
    """Return the routes."""
    schema = operation(
        "Name an interface of an exporter", _NAMED, body={"Name": "uplink Vienna"}, tag="Appliance"
    )
    return [Route("POST", INTERFACE, name_interface, role=ADMINISTRATOR, schema=schema)]
