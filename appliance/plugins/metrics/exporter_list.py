"""`GET /api/v1/exporters`: every exporter with its sessions, as the collector sees them, and
`GET /api/v1/exporters/<device>/health`: whether all of one arrives, can be read, and is in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from appliance import FlowStore, RequestError, Settings, StorageError
from appliance.collector.exporter_health import exporter_health
from appliance.collector.exporter_hints import exporter_hints
from appliance.collector.exporter_rows import ExporterRow, exporter_rows
from appliance.collector.status import STATUS_FILE, read_status
from appliance.contracts import ExporterRecord
from appliance.interface_history import interface_history
from appliance.plugins.metrics.figures import exporter_figures, exporters_of
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.parameters import shown_text

EXAMPLE = {
    "exporters": [
        {
            "address": "192.0.2.1",
            "id": OrNull(1),
            "name": "core router",
            "info": "rack 4",
            "device_name": "core1.example",
            "last_seen": 1.5,
            "clock_skew_seconds": 0.5,
            "templates": 4.5,
            "waiting_octets": 0.5,
            "applications": 1.5,
            "interfaces": 1.5,
            "sampling": AnyKeys({"rate": 1.5}),
            "counts": AnyKeys({"records": 1.5}),
            "sessions": [
                {
                    "port": OrNull(50_000),
                    "state": "active",
                    "protocol": "v9",
                    "transport": "udp",
                    "flows_per_second": OrNull(1.5),
                    "lost_percent": OrNull(1.5),
                    "templates": 4,
                    "waiting_sets": 0,
                    "sampling": OrNull(1.5),
                    "sampling_source": "assumed",
                    "speaks_for": ["192.0.2.2"],
                }
            ],
        }
    ]
}

_TOTAL = {"sent": 1000, "received": 998, "missing": 2}
_SCOPE = {"port": 50_000, "domain": 0, "id": 256}
HEALTH_EXAMPLE = {
    "id": OrNull(1),
    "name": "core router",
    "info": "rack 4",
    "address": "192.0.2.1",
    "time": 1.5,
    "running": True,
    "silent_seconds": OrNull(1.5),
    "sampling": {"rate": 1.5, "source": "exporter"},
    "waiting_octets": 1400,
    "sessions": [
        {
            "port": OrNull(50_000),
            "state": "active",
            "protocol": "v9",
            "since": OrNull(1.5),
            "last_seen": OrNull(1.5),
            "flows_per_second": OrNull(1.5),
            "lost": 2,
            "received": 998,
            "lost_unit": "messages",
            "lost_percent": OrNull(1.5),
            "late": 0,
            "restarts": 1,
            "last_restart": OrNull(1.5),
            "templates": 4,
            "template_age_seconds": OrNull(1.5),
            "waiting_sets": 1,
            "sampling": OrNull(1.5),
            "sampling_source": "exporter",
            "last_rate": OrNull(1.5),
            "clock_skew_seconds": 1.5,
            "active_timeout_seconds": OrNull(1.5),
            "octets": 1_400_000,
            "speaks_for": ["192.0.2.2"],
            "transport": "udp",
        }
    ],
    "known_templates": [{**_SCOPE, "options": False, "fields": 18, "age_seconds": 1.5}],
    "missing_templates": [{**_SCOPE, "sets": 1, "octets": 1400, "since": 1.5}],
    "unknown_elements": ["enterprise9.12345"],
    "totals": [
        {
            **{"port": 50_000, "domain": 0, "version": 9, "since": 1.5, "until": 2.5},
            **dict.fromkeys(("octets", "messages", "flow_records"), _TOTAL),
        }
    ],
    "implausible": 0,
    "kernel_drops": 0,
    "hints": ["Its clock differs from this machine's"],
}


def exporters(settings: Settings, open_store: Callable[[], FlowStore]) -> dict[str, Any]:
    """Return the exporters in the order of their addresses; those of a collector that has stopped
    as it saw them last.
    """
    status = read_status(settings["data_directory"] / STATUS_FILE) or {}
    facts = dict(exporters_of(status))
    records, device_names = _records(open_store), interface_history(settings).device_names()
    sessions: dict[str, list[ExporterRow]] = {}
    for row in exporter_rows(status, settings):
        sessions.setdefault(row.exporter, []).append(row)
    return {
        "exporters": [
            {
                **_record_facts(records.get(address)),
                "device_name": device_names.get(address, ""),
                **exporter_figures(address, facts[address], settings),
                "sessions": [_session(row) for row in rows],
            }
            for address, rows in sessions.items()
        ]
    }


def one_health(
    device: str, settings: Settings, open_store: Callable[[], FlowStore], now: float
) -> dict[str, Any]:
    """Return how an exporter is, by its address or identifier, and what helps."""
    status = read_status(settings["data_directory"] / STATUS_FILE) or {}
    records = _records(open_store)
    of_id = {str(record.id): address for address, record in records.items()}
    address = of_id.get(device, device)
    health = exporter_health(address, status, settings, now)
    if health is None:
        raise RequestError(404, f"The collector knows no exporter {shown_text(device)}")
    return {
        **_record_facts(records.get(address)),
        **asdict(health),
        "hints": exporter_hints(health),
    }


def _records(open_store: Callable[[], FlowStore]) -> dict[str, ExporterRecord]:
    """Return what people wrote about exporters, by address; nothing while the database is away."""
    try:
        return {record.address: record for record in open_store().exporters()}
    except StorageError:
        return {}


def _record_facts(record: ExporterRecord | None) -> dict[str, Any]:
    if record is None:
        return {"id": None, "name": "", "info": ""}
    return {"id": record.id, "name": record.name, "info": record.info}


def _session(row: ExporterRow) -> dict[str, Any]:
    return {
        "port": row.port,
        "state": row.state,
        "protocol": row.protocol,
        "transport": row.transport,
        "flows_per_second": row.flows_per_second,
        "lost_percent": row.lost_percent,
        "templates": row.templates,
        "waiting_sets": row.waiting,
        "sampling": row.sampling,
        "sampling_source": row.sampling_source,
        "speaks_for": list(row.named),
    }
