"""IPv4 settings of an interface: text values in, checked settings out.

The values are those of the published API. This runs twice for each change: in the API, for its
answer, and in the privileged helper, which trusts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

STATIC = "static"
DHCP = "dhcp"
PARAMETERS = (
    *("state", "ipaddress", "netmask", "network", "gateway"),
    *("nameserver1", "nameserver2"),
)
"""What a change may say, in the words of the API."""

_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,14}")
"""Names that Linux and ifupdown both allow, without what means something to either."""

_RESERVED = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))


class InvalidSettings(ValueError):  # noqa: N818 - it says what is the case
    """The settings cannot be used; the text is a sentence that says which value and why."""


@dataclass(frozen=True, slots=True)
class DhcpSettings:
    """The address comes from a DHCP server."""

    method = DHCP


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """A fixed address, and what goes with it."""

    method = STATIC
    address: IPv4Address
    prefix: int
    gateway: IPv4Address
    name_servers: tuple[IPv4Address, ...]

    @property
    def network(self) -> IPv4Network:
        """The network that the address is in."""
        return IPv4Network((int(self.address), self.prefix), strict=False)


NetworkSettings = DhcpSettings | StaticSettings


def checked_settings(values: Mapping[str, str]) -> NetworkSettings:
    """Return what the values of a request mean.

    Raises
    ------
    InvalidSettings
        A value is missing or is no address, or they do not fit together.
    """
    state = values.get("state", "")
    if state == DHCP:
        return DhcpSettings()
    if state != STATIC:
        raise InvalidSettings(f"state: expected {STATIC} or {DHCP}, found {_quote(state)}")
    if missing := [name for name in PARAMETERS if not values.get(name)]:
        raise InvalidSettings(f"{', '.join(missing)}: needed with state {STATIC}")
    prefix = _prefix(values["netmask"])
    address = _address("ipaddress", values["ipaddress"])
    network = IPv4Network((int(address), prefix), strict=False)
    _require_host("ipaddress", address, network)
    if _address("network", values["network"]) != network.network_address:
        found = _quote(values["network"])
        raise InvalidSettings(f"network: expected {network.network_address}, found {found}")
    gateway = _address("gateway", values["gateway"])
    _require_host("gateway", gateway, network)
    if gateway == address:
        raise InvalidSettings("gateway: is the address of the device itself")
    servers = tuple(_name_server(name, values[name]) for name in ("nameserver1", "nameserver2"))
    return StaticSettings(address, prefix, gateway, servers)


def checked_interface(name: str) -> str:
    """Return the name of an interface that may be changed.

    Raises
    ------
    InvalidSettings
        It is no name of an interface, or the loopback's.
    """
    if not _INTERFACE.fullmatch(name) or name == "lo":
        raise InvalidSettings(f"{_quote(name)} is no interface whose network can be changed")
    return name


def _prefix(text: str) -> int:
    mask = int(_address("netmask", text))
    hosts = mask ^ 0xFFFFFFFF
    if hosts & (hosts + 1):
        raise InvalidSettings(f"netmask: {_quote(text)} is not contiguous")
    prefix = 32 - hosts.bit_length()
    if not 1 <= prefix <= 31:
        raise InvalidSettings(f"netmask: {_quote(text)} leaves no room for a gateway")
    return prefix


def _require_host(name: str, address: IPv4Address, network: IPv4Network) -> None:
    if any(address in reserved for reserved in _RESERVED):
        raise InvalidSettings(f"{name}: {address} is not the address of a host")
    if address not in network:
        raise InvalidSettings(f"{name}: {address} is not inside {network}")
    # RFC 3021: a network of two addresses has neither of these.
    if network.prefixlen == 31:
        return
    if address == network.network_address:
        raise InvalidSettings(f"{name}: {address} is the address of the network itself")
    if address == network.broadcast_address:
        raise InvalidSettings(f"{name}: {address} is the broadcast address of {network}")


def _name_server(name: str, text: str) -> IPv4Address:
    """Return a name server's address; it may be a program on this machine."""
    address = _address(name, text)
    if not address.is_loopback and any(address in reserved for reserved in _RESERVED):
        raise InvalidSettings(f"{name}: {address} is not the address of a host")
    return address


def _address(name: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise InvalidSettings(f"{name}: expected an IPv4 address, found {_quote(text)}") from None


def _quote(text: str) -> str:
    """Return a caller's text so that it fits into a sentence."""
    return repr(text[:40]) if text else "nothing"
