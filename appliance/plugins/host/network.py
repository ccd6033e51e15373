"""The network as it is: addresses and routes from the kernel, the rest from the machine's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netifaces

from appliance import HINT, OK, Finding
from appliance.privileged.addressing import DHCP, STATIC
from appliance.privileged.files import CannotRead, find_configured, read_interfaces
from appliance.privileged.managers import other_manager
from appliance.privileged.resolver import name_servers

ERROR = "ERROR"
_FALLBACK = "eth0"


def interface_name(wanted: str) -> str:
    """Return the interface that is meant: the configured one, else that of the default route."""
    if wanted:
        return wanted
    gateways: Any = netifaces.gateways()
    default = gateways.get("default", {}).get(netifaces.AF_INET)
    if default:
        return str(default[1])
    others = [name for name in netifaces.interfaces() if name != "lo"]
    return str(others[0]) if others else _FALLBACK


def interface_findings(name: str) -> list[Finding]:
    """Say whether the interface that `host.interface` names is here; without a name, nothing."""
    if not name:
        return []
    interfaces = netifaces.interfaces()
    if name in interfaces:
        return [Finding(OK, "interface", f"{name} is here")]
    problem = f"no interface {name}: change host.interface, here are {', '.join(interfaces)}"
    return [Finding(HINT, "interface", problem)]


def network(interface: str, root: Path = Path("/")) -> dict[str, Any]:
    """Return the network settings of an interface; `message` says why `networkType` is ERROR."""
    families = netifaces.ifaddresses(interface) if interface in netifaces.interfaces() else {}
    ipv4 = next(iter(families.get(netifaces.AF_INET, [])), {})
    link = next(iter(families.get(netifaces.AF_LINK, [])), {})
    kind, problem = network_type(interface, root)
    return {
        "name": interface,
        "ip_address": ipv4.get("addr"),
        "mac_address": str(link["addr"]).upper() if "addr" in link else None,
        "type": "Wireless" if _is_wireless(interface, root) else "Wired",
        "netmask": ipv4.get("netmask") or ipv4.get("mask"),
        "gateway_ip": _gateway(interface),
        "networkType": kind,
        **dns(root),
        **({"message": problem} if problem else {}),
    }


def own_addresses() -> set[str]:
    """Return the addresses of this machine."""
    return {
        str(entry.get("addr", "")).partition("%")[0]
        for name in netifaces.interfaces()
        for family, entries in netifaces.ifaddresses(name).items()
        if family in (netifaces.AF_INET, netifaces.AF_INET6)
        for entry in entries
    }


def dns(root: Path = Path("/")) -> dict[str, list[dict[str, str]]]:
    """Return the name servers, the first used first."""
    return {"dnsServers": [{"server": server} for server in name_servers(root)]}


def network_type(interface: str, root: Path = Path("/")) -> tuple[str, str]:
    """Return static, dhcp or ERROR, and with ERROR a sentence."""
    problem = other_manager(interface, root)
    if problem is None:
        try:
            stanza = find_configured(read_interfaces(root), interface).stanza
        except CannotRead as error:
            problem = str(error)
        else:
            if stanza is None:
                problem = f"/etc/network/interfaces has no IPv4 settings of {interface}"
            elif stanza.method in (STATIC, DHCP):
                return stanza.method, ""
            else:
                method = stanza.method or "inherited"
                problem = f"the method of {interface} is {method}, neither {STATIC} nor {DHCP}"
    return ERROR, problem[:1].upper() + problem[1:]


def _gateway(interface: str) -> str | None:
    gateways: Any = netifaces.gateways()
    found = gateways.get(netifaces.AF_INET, [])
    return next((str(gateway) for gateway, name, *_ in found if name == interface), None)


def _is_wireless(interface: str, root: Path) -> bool:
    device = root / "sys/class/net" / interface
    return (device / "wireless").exists() or (device / "phy80211").exists()
