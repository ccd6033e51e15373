"""`GET /api/v1/exporters`: every exporter with its sessions, as the collector sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance import FlowStore, Settings, StorageError
from appliance.collector.exporter_rows import ExporterRow, exporter_rows
from appliance.collector.status import STATUS_FILE, read_status
from appliance.contracts import ExporterRecord
from appliance.interface_history import interface_history
from appliance.plugins.metrics.figures import exporter_figures, exporters_of
from appliance.web.openapi import AnyKeys, OrNull

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
        "flows_per_second": row.flows_per_second,
        "lost_percent": row.lost_percent,
        "templates": row.templates,
        "waiting_sets": row.waiting,
        "sampling": row.sampling,
        "sampling_source": row.sampling_source,
        "speaks_for": list(row.named),
    }
