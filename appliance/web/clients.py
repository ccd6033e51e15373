"""What counts as one client where connections, passwords or requests are bounded."""

from __future__ import annotations

import ipaddress

UNKNOWN = "unknown"
_IPV6_PREFIX = 64
"""A site has at least one such network, with all its addresses to choose from (RFC 6177)."""


def client_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of a peer, IPv4 also where IPv6 writes it; None where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def client_of(text: str) -> str:
    """Return the client that an address belongs to: an IPv4 address, of IPv6 the /64 network."""
    address = client_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        network = ipaddress.ip_network((address, _IPV6_PREFIX), strict=False)
        return str(network.network_address)
    return UNKNOWN if address is None else str(address)
