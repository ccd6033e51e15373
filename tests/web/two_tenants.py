"""An appliance with the flows of two tenants, and a user who is bound to those of the first.

Whatever belongs to the second has a mark: addresses in 10.2.0.0/16, the exporter 192.0.2.2, the
peer 203.0.113.77, or the word "secret" in a name.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from appliance.contracts import USER, UserChange
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import COLUMN, V4_MAPPED, FlowBatch, address_halves
from tests.web.appliance import JSON, PASSWORD_HASH, Appliance, made_appliance
from tests.web.building import Reply

FILTER = "ip 10.1.0.0/16"
WEB = 13 << 56 | 80
N_FLOWS = 6
OCTETS = 1000
MARK = re.compile(r"10\.2\.|203\.0\.113\.77|192\.0\.2\.2\b|secret", re.IGNORECASE)
LIST_FILE = "secret-list.txt"
NAMES = {
    "exporter": ("router-a", "secret-router-b"),
    "in if": ("uplink-a", "secret-if-b"),
    "app": ("web", "secret-app-b"),
    "vrf": ("vrf-a", "secret-vrf-b"),
    "src network": ("net-a", "secret-net-b"),
}
"""By the field of filters: what belongs to the first tenant and to the second."""


@dataclass(repr=False)
class Tenants:
    """An appliance, and what calls it.

    Attributes
    ----------
    bound
        A token of the user `tenant`, who is bound to `FILTER`.
    everything
        One of a user who is bound to a filter that all flows satisfy.
    now_ms
        Flows were received in the minutes before.
    """

    appliance: Appliance
    bound: str
    now_ms: int
    everything: str = ""

    def get(self, path: str, token: str = "", **query: Any) -> Reply:
        target = f"{path}?{urlencode(query)}" if query else path
        return self.appliance.client.get(target, token or self.bound)

    def post(self, path: str, body: bytes, token: str = "") -> Reply:
        return self.appliance.client("POST", path, body, token=token or self.bound, **JSON)

    def add_bound(self, username: str, text: str) -> str:
        """Make a user who is bound to a filter, and return a token."""
        values = {"username": username, "password_hash": PASSWORD_HASH}
        self.appliance.store.create_user(UserChange(values, (USER,), filter=text), time.time())
        token: str = self.appliance.sign_in(username).json["token"]
        return token


def made_tenants(folder: Path) -> Tenants:
    lists = folder / LIST_FILE
    lists.write_text("203.0.113.77\n")
    networks = [
        {"name": "net-a", "prefixes": ["10.1.0.0/16"]},
        {"name": "secret-net-b", "prefixes": ["10.2.0.0/16"]},
    ]
    made = made_appliance(
        folder,
        networks=networks,
        search={"lists": {"secretlist": str(lists)}},
        **{"reports.customers": {"secret-customer-b": ["10.2.0.0/16"]}},
    )
    now_ms = int(time.time() * 1000)
    _write_flows(folder / "var" / "flowlog", now_ms)
    store = made.stores.store()
    while store.load_once(now_ms / 1000).busy:
        pass
    for record in store.exporters():
        index = 0 if record.address == "192.0.2.1" else 1
        store.change_exporter(record.id, name=NAMES["exporter"][index])
    tenants = Tenants(made, "", now_ms)
    tenants.bound = tenants.add_bound("tenant", FILTER)
    tenants.everything = tenants.add_bound("everything", "ip version 4")
    return tenants


def _write_flows(log: Path, now_ms: int) -> None:
    writer = FlowLogWriter(log, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    for tenant, peer in ((1, "198.51.100.7"), (2, "203.0.113.77")):
        writer.append(_flows(tenant, peer, now_ms))
        writer.append(_options(tenant, now_ms))
    writer.flush({}, now_ms)
    writer.close(now_ms)


def _flows(tenant: int, peer: str, now_ms: int) -> FlowBatch:
    ends = now_ms - 600_000 + np.arange(N_FLOWS) * 60_000
    return _batch(
        N_FLOWS,
        collection_time_milliseconds=ends,
        flow_start_milliseconds=ends - 1000,
        flow_end_milliseconds=ends,
        exporter_address_lo=V4_MAPPED | 0xC0000200 | tenant,
        source_address_lo=address_halves(f"10.{tenant}.0.0")[1] + 1 + np.arange(N_FLOWS),
        destination_address_lo=address_halves(peer)[1],
        source_transport_port=40_000,
        destination_transport_port=443,
        protocol_identifier=6,
        octet_delta_count=OCTETS * 7 ** (tenant - 1),
        packet_delta_count=tenant,
        ingress_interface=tenant,
        egress_interface=10 + tenant,
        ingress_vrf_id=20 + tenant,
        # Of every second the exporter does not tell it, so that addresses do.
        flow_direction=[0, 255] * (N_FLOWS // 2),
        # Both tenants use it; each exporter calls it by another name.
        application_id=WEB,
    )


def _options(tenant: int, now_ms: int) -> FlowBatch:
    names = {field: pair[tenant - 1] for field, pair in NAMES.items()}
    return _batch(
        3,
        options=True,
        collection_time_milliseconds=now_ms - 3_600_000,
        exporter_address_lo=V4_MAPPED | 0xC0000200 | tenant,
        application_id=[WEB, 0, 0],
        application_name=[names["app"], "", ""],
        ingress_interface=[0, tenant, 0],
        interface_name=["", names["in if"], ""],
        ingress_vrf_id=[0, 0, 20 + tenant],
        vrf_name=["", "", names["vrf"]],
    )


def _batch(n: int, *, options: bool = False, **columns: Any) -> FlowBatch:
    made = {
        "exporter_address_hi": 0,
        **({} if options else {"source_address_hi": 0, "destination_address_hi": 0}),
        **columns,
    }
    kept = {
        name: np.broadcast_to(np.asarray(values).astype(COLUMN[name].dtype), (n,))
        for name, values in made.items()
    }
    return FlowBatch(n, kept, options=options)


def marks(reply: Reply) -> list[str]:
    """Return what an answer tells of the second tenant."""
    headers = " ".join(f"{name}: {value}" for name, value in reply.headers.items())
    return MARK.findall(headers + reply.body.decode("utf-8", "replace"))
