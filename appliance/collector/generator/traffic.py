"""Invents flows as columns: few hosts make most of the traffic, services have their own sizes and manners.

All distributions are laid into lookup tables once; a flow then costs two random 64-bit numbers and some
table look-ups, without a Python loop. Times are milliseconds UTC, addresses native integers: IPv4 as uint32,
IPv6 as two uint64 halves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.collector.generator.profiles import (
    INTERFACES,
    SERVICES,
    TCP,
    ExporterProfile,
)

Columns = dict[str, NDArray[Any]]

ACTIVE_TIMEOUT_MS = 60_000
"""Longest flow: exporters cut them by then."""

EXPORT_DELAY_MS = 15_000
"""A flow ended at most so long before it is exported (the inactive timeout)."""

SAMPLER_ID = 1
UPLINK = 1

_HOST_SLOTS = 1 << 16
_SIZE_SLOTS = 1 << 10
_SERVICE_SLOTS = 1 << 12
_MAX_PACKETS = 2_000_000
_ZIPF_EXPONENT = 1.05
_COMPLETE, _RUNNING, _ATTEMPT, _REFUSED = 0x1B, 0x18, 0x02, 0x14
_MIX = 0x9E37_79B1
"""Odd, so that multiplying with it modulo 2**32 maps different numbers to different ones."""

_SERVER_NETWORKS = np.array(
    [0x17200000, 0x34000000, 0x68100000, 0x8EFA0000, 0x97650000, 0x9DF00000, 0xB9190000, 0xD1550000],
    np.uint32,
)
_SERVER_AS = np.array([20940, 16509, 13335, 15169, 54113, 32934, 3320, 3356], np.uint16)
_OWN_AS = 64512

HOURLY = np.array(
    [22, 15, 11, 9, 8, 10, 18, 38, 66, 86, 94, 97, 90, 95, 100, 98, 94, 88, 80, 76, 72, 62, 47, 33]
)
"""The daily rhythm: traffic in each local hour, in percent of the busiest."""


def rhythm(hour: float) -> float:
    """Return how busy the network is at an hour of the day (0 to 24), as part of its maximum."""
    return float(np.interp(hour % 24, np.arange(25), np.append(HOURLY, HOURLY[0]))) / 100


class Traffic:
    """The hosts and habits behind one exporter."""

    def __init__(self, profile: ExporterProfile, number: int, rng: np.random.Generator) -> None:
        self._profile = profile
        self._number = number
        self._rng = rng
        self._serial = 0
        self._service = _weighted([service.share for service in SERVICES], _SERVICE_SLOTS)
        self._client = _zipf(profile.clients)
        self._server = _zipf(profile.servers)
        self._client_v4 = _client_addresses(number, profile.clients)
        servers = rng.integers(0, 1 << 16, profile.servers, np.uint32)
        self._network = rng.integers(0, len(_SERVER_NETWORKS), profile.servers, np.uint8)
        self._server_v4 = _SERVER_NETWORKS[self._network] | servers
        self._packets = np.stack([_quantiles(s.packets, s.spread) for s in SERVICES])
        self._octets = _packet_sizes(rng)
        self._flags = np.stack([_tcp_flags(s.protocol) for s in SERVICES])
        self._durations = -np.log1p(-(np.arange(_SIZE_SLOTS) + 0.5) / _SIZE_SLOTS) * 9000
