"""The table of the routes below `/api/v1/admin/device`, each with an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from appliance import ADMINISTRATOR, Route
from appliance.plugins.host import figures
from appliance.plugins.host.routes import (
    CONFIGURED,
    NO_CHANGE,
    REBOOTING,
    SHUTTING_DOWN,
    HostRoutes,
    invalid_network,
)
from appliance.web.openapi import operation

PREFIX = "/api/v1/admin/device"
TAG = "Device management"
Json = Mapping[str, Any]

_SYSTEM = {
    "hostname": "destne",
    "os": "Linux",
    "kernel": "6.1.0-18-amd64",
    "nodeVersion": "3.11.2",
    "pythonVersion": "3.11.2",
    "uptime": 2735,
}
_CPU = {"cpuLoad": [0.7373, 0.9716, 1.0581]}
_STORAGE = {
    "freeStorage": 10347,
    "usedStorage": 8107,
    "totalStorage": 18454,
    "availableStorage": 9410,
}
_MEMORY = {"freeMemory": 161247232, "usedMemory": 2465263616, "totalMemory": 2626510848}
_DNS = {"dnsServers": [{"server": "8.8.8.8"}, {"server": "8.8.4.4"}]}
_NETWORK = {
    "name": "eth0",
    "ip_address": "10.0.2.12",
    "mac_address": "DE:AD:BE:EF:CA:FE",
    "type": "Wired",
    "netmask": "255.255.255.0",
    "gateway_ip": "10.0.2.2",
    "networkType": "static",
    **_DNS,
}
_WANTED = {
    "state": "static",
    "ipaddress": "192.1.1.18",
    "netmask": "255.255.255.0",
    "network": "192.1.1.0",
    "gateway": "192.1.1.1",
    "nameserver1": "8.8.8.8",
    "nameserver2": "8.8.4.4",
}
_CHANGE = {
    "state": "waiting",
    "inProgress": True,
    "interface": "eth0",
    "wanted": _WANTED,
    "started": 1792713600.0,
    "rollbackSeconds": 180,
    "secondsLeft": 171,
    "message": "waits for the gateway or an authenticated request",
}


def routes_of(host: HostRoutes) -> list[Route]:
    """Return the routes with these handlers."""
    reported = {**_CHANGE, "managed": True}
    everything = {**_SYSTEM, **_CPU, **_STORAGE, **_MEMORY}
    reading: tuple[tuple[str, Callable[..., Any], str, object], ...] = (
        ("/system", figures.system, "What machine this is; uptime in seconds", _SYSTEM),
        ("/cpuLoad", figures.cpu_load, "Load of 1, 5 and 15 minutes", _CPU),
        ("/storage", figures.storage, "Space of / in MB (2^20 octets)", _STORAGE),
        ("/memory", figures.memory, "Memory in octets", _MEMORY),
        ("/devStats", figures.everything, "System, load, storage and memory", everything),
        ("/dns", host.dns, "Name servers in the order of use", _DNS),
        ("/network", host.network, "Network settings", _NETWORK),
        ("/network/change", host.network_change, "The change under way, or the last", reported),
    )
    doing: tuple[tuple[str, str, Callable[..., Any], str, Json | None], ...] = (
        ("PUT", "/network", host.change_network, "Change the network settings", _WANTED),
        ("POST", "/network/change/confirm", host.confirm_change, "Keep a change for good", None),
        *((method, "/restart", host.restart, "Restart", None) for method in ("GET", "POST")),
        *((method, "/shutdown", host.shutdown, "Switch off", None) for method in ("GET", "POST")),
    )
    messages: dict[str, Json] = {
        "/network": {"message": CONFIGURED["static"], "change": _CHANGE},
        "/network/change/confirm": {"message": "Network change confirmed", "change": NO_CHANGE},
        "/restart": {"message": REBOOTING},
        "/shutdown": {"message": SHUTTING_DOWN},
    }
    routes = [
        Route("GET", f"{PREFIX}{path}", handler, ADMINISTRATOR, operation(text, example, tag=TAG))
        for path, handler, text, example in reading
    ]
    for method, path, handler, text, body in doing:
        schema = operation(text, messages[path], body=body, tag=TAG)
        routes.append(
            Route(
                method,
                f"{PREFIX}{path}",
                handler,
                ADMINISTRATOR,
                schema,
                changes=True,
                error_body=invalid_network if method == "PUT" else None,
            )
        )
    return routes
