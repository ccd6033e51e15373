"""Routes of how one exporter is asked by SNMP; secrets go in and never out."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from appliance import ADMINISTRATOR, FlowStore, RequestError, Route, Settings
from appliance.counter_history import counter_history
from appliance.interface_history import interface_history
from appliance.plugins.names.snmp.own_agents import own_agents, public_values
from appliance.plugins.names.snmp.snmp_settings import (
    AGENT_FIELDS,
    EXPECTED,
    agent_of,
    agent_values,
    is_configured,
)
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import find_device
from appliance.web.times import rfc3339

PATH = "/api/v1/exporters/<device>/snmp"
TAG = "Appliance"
_EXAMPLE = {
    "exporter": "192.0.2.1",
    "is_own": True,
    "is_asked": True,
    "is_polled": True,
    "values": {
        "version": "3",
        "user": "flows",
        "has_community": False,
        "has_auth_key": True,
        "has_privacy_key": True,
    },
    "last_read": OrNull("2026-01-31T08:00:00Z"),
    "interfaces": 24,
    "sent_counters": OrNull({"by": "sFlow", "last_sent": "2026-01-31T08:00:00Z", "interfaces": 48}),
}


def agent(device: str, store: FlowStore, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    """Return how an exporter is asked, and when it answered last."""
    return _answer(find_device(store.exporters(), device).address, settings, zone)


def put_agent(
    device: str,
    body: Body,
    store: FlowStore,
    settings: Settings,
    zone: tzinfo,
    event: AuditEvent,
) -> dict[str, Any]:
    """Set how an exporter is asked; what the body does not have stays."""
    address = find_device(store.exporters(), device).address
    known = ("is_asked", *AGENT_FIELDS)
    found = body.values(known, nullable=AGENT_FIELDS, flags=("is_asked",))
    if several := [name for name, values in found.items() if len(values) != 1]:
        raise RequestError(400, f"{several[0]}: expected one value")
    values = {name: texts[0] for name, texts in found.items()}
    is_asked = values.pop("is_asked", "true")
    if is_asked not in ("true", "false"):
        raise RequestError(400, "is_asked: expected true or false")
    event.note(f"SNMP of {address}: {', '.join(sorted(values)) if is_asked == 'true' else 'off'}")
    agents = own_agents(settings)
    if is_asked == "false":
        agents.put(address, None)
        return _answer(address, settings, zone)
    merged = {**(agents.raw().get(address) or {}), **values}
    wanted = {name: text for name, text in merged.items() if text}
    for name, text in wanted.items():
        try:
            agent_values({name: text}, settings["data_directory"])
        except ValueError:
            raise RequestError(400, f"{name}: expected {EXPECTED[name]}") from None
    if problem := _problem(address, wanted, settings):
        raise RequestError(400, problem)
    agents.put(address, wanted)
    return _answer(address, settings, zone)


def remove_agent(
    device: str, store: FlowStore, settings: Settings, zone: tzinfo, event: AuditEvent
) -> dict[str, Any]:
    """Let the settings say again how an exporter is asked."""
    address = find_device(store.exporters(), device).address
    event.note(f"SNMP of {address}: as in the settings")
    own_agents(settings).remove(address)
    return _answer(address, settings, zone)


def _problem(address: str, values: dict[str, str], settings: Settings) -> str:
    own = {address: agent_values(values, settings["data_directory"])}
    if agent_of(address, settings, own) is not None:
        return ""
    return "It cannot be asked so: version 2c needs a community, 3 a user, privacy_key an auth_key"


def _answer(address: str, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    agents, history = own_agents(settings), interface_history(settings)
    raw = agents.raw()
    last_ms = history.last_poll_ms(address)
    return {
        "exporter": address,
        "is_own": address in raw,
        "is_asked": agent_of(address, settings, agents.all()) is not None,
        "is_polled": is_configured(settings) or last_ms is not None,
        "values": public_values(raw.get(address)),
        "last_read": None if last_ms is None else rfc3339(last_ms / 1000, zone),
        "interfaces": len(history.interfaces_of(address)),
        "sent_counters": _sent_counters(address, settings, zone),
    }


def _sent_counters(address: str, settings: Settings, zone: tzinfo) -> dict[str, Any] | None:
    """Return what an exporter sends of its interfaces' counters without being asked."""
    interfaces = counter_history(settings).interfaces(address)
    if not interfaces:
        return None
    newest = max(interfaces.values(), key=lambda state: state.time_ms)
    return {
        "by": newest.source,
        "last_sent": rfc3339(newest.time_ms / 1000, zone),
        "interfaces": len(interfaces),
    }


def agent_routes() -> list[Route]:
    """Return the routes."""
    body = {"version": "3", "user": "flows", "auth_key": "a long password"}
    shown = operation("How an exporter is asked by SNMP", _EXAMPLE, tag=TAG)
    put = operation("Set how an exporter is asked by SNMP", _EXAMPLE, body=body, tag=TAG)
    gone = operation("Ask an exporter as the settings say", _EXAMPLE, tag=TAG)
    return [
        Route("GET", PATH, agent, role=ADMINISTRATOR, schema=shown),
        Route("PUT", PATH, put_agent, role=ADMINISTRATOR, schema=put),
        Route("DELETE", PATH, remove_agent, role=ADMINISTRATOR, schema=gone),
    ]
