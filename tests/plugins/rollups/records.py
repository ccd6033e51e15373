"""The records of a flow log as what each counts as, found without any of the store's code."""

from __future__ import annotations

from typing import Any

from appliance.flows import FlowBatch, address_text
from appliance.plugins.rollups.classify import FLOW_COLUMNS
from appliance.protocols import PROTOCOL_NAMES
from appliance.services import read_services

SERVICES = read_services()


def plain_records(batch: FlowBatch) -> list[dict[str, Any]]:
    """Turn a batch into what each record counts as, without any of the store's code."""
    services = SERVICES
    found = []
    columns = [batch.column(name).tolist() for name in FLOW_COLUMNS]
    for row in zip(*columns, strict=True):
        value = dict(zip(FLOW_COLUMNS, row, strict=True))
        if value["record_kind"] != 0:
            continue
        addresses = {
            side: address_text(value[f"{side}_address_hi"], value[f"{side}_address_lo"])
            for side in ("exporter", "source", "destination")
        }
        rate = value["sampling_rate"] if value["sampling_rate"] >= 1 else 1
        local = {side: addresses[side].startswith("10.") for side in ("source", "destination")}
        told = value["flow_direction"]
        direction = told if told < 2 else int(local["source"] and not local["destination"])
        protocol = value["protocol_identifier"]
        ports = sorted((value["source_transport_port"], value["destination_transport_port"]))
        names = {
            port: services.names[int(services.place[int(services.family[protocol]) * 65536 + port])]
            for port in ports
        }
        port = next((port for port in ports if names[port]), ports[0])
        found.append(
            addresses
            | {
                "time": value["collection_time_milliseconds"] / 1000,
                "direction": direction,
                "protocol": protocol,
                "port": f"{PROTOCOL_NAMES.get(protocol, protocol)}/{port}",
                "application": names[port] or "unknown",
                "application_id": value["application_id"],
                "octets": round(value["octet_delta_count"] * rate),
                "packets": round(value["packet_delta_count"] * rate),
                "flows": value["delta_flow_count"],
            }
        )
    return found
