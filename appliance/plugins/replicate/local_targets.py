"""Whether a target of replication is this collector itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import psutil

from appliance.settings.types import Address, ListenAddress


def is_received_here(target: ListenAddress, listen: Iterable[ListenAddress]) -> bool:
    """Tell whether what is sent to a target comes back to one of these listening addresses.

    A loop through other collectors cannot be seen from here.
    """
    address = _plain(ipaddress.ip_address(target.host))
    return any(
        to.port == target.port and _receives(_plain(ipaddress.ip_address(to.host)), address)
        for to in listen
    )


def _receives(listening: Address, address: Address) -> bool:
    if not listening.is_unspecified:
        return listening == address or (address.is_unspecified and listening.is_loopback)
    if listening.version == 4 and address.version == 6:
        return False
    # `::` receives IPv4 too, unless something else listens there, which then is the one to ask.
    return address.is_loopback or address.is_unspecified or address in own_addresses()


def own_addresses() -> set[Address]:
    """Return the addresses of this machine's interfaces."""
    families = {2, 10}
    return {
        _plain(ipaddress.ip_address(entry.address.partition("%")[0]))
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if int(entry.family) in families
    }


def _plain(address: Address) -> Address:
    """Return an IPv4-mapped address as the IPv4 that it stands for."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address
