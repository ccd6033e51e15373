"""Who may connect: allowed networks, so many connections at a time, so many of one exporter.

Where all places are taken, a newcomer gets that of the longest silent connection of the exporter
that has most, unless it has as many itself. An exporter that has all of its own gets the place of
its longest silent one, if that has been silent for a while: it may be one that the exporter has
forgotten when it started anew.
"""

from __future__ import annotations

import ipaddress
import resource
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from appliance.collector.tcp.connection import Connection
from appliance.decoding.results import Exporter

FORGOTTEN_SECONDS = 60.0
"""An exporter's own connection gives way after so much silence."""

OTHER_DESCRIPTORS = 256
"""Files and sockets of the collector beside connections: the flow log must never lack one."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there are at a time, and for how long one may be silent (0: ever)."""

    connections: int = 512
    per_exporter: int = 16
    idle_seconds: float = 0.0


def with_descriptors(limits: ConnectionLimits) -> tuple[ConnectionLimits, str]:
    """Let this process have as many files open as connections need, beside those of its own.

    Returns
    -------
    tuple of ConnectionLimits and str
        As many connections as the system allows, and a sentence about fewer, or "".
    """
    wanted = limits.connections + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits, ""
    possible = max(soft - OTHER_DESCRIPTORS, 1)
    warning = (
        f"collector.max_connections: {possible} in place of {limits.connections}, for the limit on"
        f" open files is {soft}; raise LimitNOFILE of the unit"
    )
    return replace(limits, connections=possible), warning


class Admission:
    """Counts connections, and says who may come in."""

    def __init__(
        self, limits: ConnectionLimits, allowed: Sequence[IPv4Network | IPv6Network] = ()
    ) -> None:
        self._limits, self._allowed = limits, allowed
        self._of_exporter: Counter[Exporter] = Counter()

    def is_allowed(self, address: str) -> bool:
        """Tell whether the settings let an address send."""
        if not self._allowed:
            return True
        sender = ipaddress.ip_address(address)
        return any(sender in network for network in self._allowed)

    def add(self, connection: Connection) -> None:
        """Count a connection."""
        self._of_exporter[connection.peer.exporter] += 1

    def remove(self, connection: Connection) -> None:
        """Count one that has ended."""
        exporter = connection.peer.exporter
        self._of_exporter[exporter] -= 1
        if not self._of_exporter[exporter]:
            del self._of_exporter[exporter]

    def is_full_for(self, exporter: Exporter) -> bool:
        """Tell whether another connection of an exporter needs the place of one that is there."""
        return (
            self._of_exporter[exporter] >= self._limits.per_exporter
            or self._of_exporter.total() >= self._limits.connections
        )

    def yielding(
        self, exporter: Exporter, connections: Iterable[Connection], now: float
    ) -> Connection | None:
        """Return the connection that gives way to another one of an exporter; None: none does."""
        own = self._of_exporter[exporter]
        if own >= self._limits.per_exporter:
            longest = _longest_silent(c for c in connections if c.peer.exporter == exporter)
            if longest is None or now - longest.silent_since < FORGOTTEN_SECONDS:
                return None
            return longest
        most, number = max(self._of_exporter.items(), key=lambda item: item[1])
        if number <= own + 1:
            return None
        return _longest_silent(c for c in connections if c.peer.exporter == most)


def _longest_silent(connections: Iterable[Connection]) -> Connection | None:
    return min(connections, key=lambda connection: connection.silent_since, default=None)
