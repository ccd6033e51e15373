"""Invents flows as columns: few hosts make most traffic, services have their own manners.

All distributions are laid into lookup tables once; a flow then costs two random 64-bit numbers and
some table look-ups, without a Python loop. Times are milliseconds UTC, addresses native integers:
IPv4 as uint32, IPv6 as two uint64 halves.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.traffic.generator.profiles import (
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
    [
        0x17200000,
        0x34000000,
        0x68100000,
        0x8EFA0000,
        0x97650000,
        0x9DF00000,
        0xB9190000,
        0xD1550000,
    ],
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
        self._service = _weighted_indices(np.array([s.share for s in SERVICES]), _SERVICE_SLOTS)
        self._client = _zipf(profile.clients)
        self._server = _zipf(profile.servers)
        self._client_v4 = _client_addresses(number, profile.clients)
        servers = rng.integers(0, 1 << 16, profile.servers, np.uint32)
        self._network = rng.integers(0, len(_SERVER_NETWORKS), profile.servers, np.uint8)
        self._server_v4 = _SERVER_NETWORKS[self._network] | servers
        self._packets = _packet_counts()
        self._octets = _packet_sizes(rng)
        self._flags = np.stack([_tcp_flags(s.protocol) for s in SERVICES])
        shares = (np.arange(_SIZE_SLOTS) + 0.5) / _SIZE_SLOTS
        durations = np.minimum(-np.log1p(-shares) * 9000, ACTIVE_TIMEOUT_MS)
        self._durations = durations.astype(np.int64)

    def flows(self, n: int, version: int, export_ms: int) -> Columns:
        """Invent flows that end before their export.

        Parameters
        ----------
        version
            4 or 6.

        Returns
        -------
        dict of str to ndarray
            Columns by the names of `layouts`, native dtypes, shape (n,) or (n, 2) for IPv6
            addresses; what is the same in all flows has shape ().
        """
        draw = self._rng.integers(0, 1 << 64, n, np.uint64)
        service = self._service.take(_bits(draw, 0, 12))
        client = self._client.take(_bits(draw, 12, 16))
        server = (self._server.take(_bits(draw, 28, 16)) + service * 37) % self._profile.servers
        reply = _bits(draw, 44, 1).astype(np.bool_)
        port = _bits(draw, 45, 14).astype(np.uint16) + np.uint16(49152)
        near, far = self._hosts(client, server, version)
        if self._profile.unique:
            service, near, port = self._never_again(n, version, service)
        columns = self._counters(service, reply, export_ms)
        columns |= _ends(reply, near, far, version)
        columns |= self._ports(service, reply, port)
        columns |= self._ways(reply, client, server)
        columns["class_of_service"] = _CLASS_OF_SERVICE.take(service)
        columns["application_id"] = (
            _APPLICATION_ID.take(service) if self._profile.nbar else np.array(0, np.uint32)
        )
        return columns

    def _hosts(
        self, client: NDArray[np.intp], server: NDArray[np.intp], version: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        if version == 4:
            return self._client_v4.take(client), self._server_v4.take(server)
        near = np.empty((len(client), 2), np.uint64)
        near[:, 0] = 0x2001_0DB8_0000_0000 + (self._number << 16) + (client // 250)
        near[:, 1] = 0x0200_5EFF_FE00_0000 + client
        far = np.empty((len(client), 2), np.uint64)
        far[:, 0] = 0x2A00_1450_4000_0000 + (self._network.take(server).astype(np.uint64) << 8)
        far[:, 1] = server
        return near, far

    def _never_again(
        self, n: int, version: int, service: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[np.uint16]]:
        """Return services, near hosts and their ports, no host with the same port twice."""
        serial = np.arange(self._serial, self._serial + n, dtype=np.uint64)
        self._serial += n
        mixed = (serial * np.uint64(_MIX)).astype(np.uint32)
        host = (mixed >> np.uint32(16)) | np.uint32(0x0A00_0000 + (self._number % 256 << 16))
        service = np.where(service == _PING, 0, service)  # it has no ports to tell flows apart
        if version == 4:
            return service, host, mixed.astype(np.uint16)
        near = np.empty((n, 2), np.uint64)
        near[:, 0] = 0x2001_0DB8_0000_0000
        near[:, 1] = host
        return service, near, mixed.astype(np.uint16)

    def _counters(
        self, service: NDArray[np.intp], reply: NDArray[np.bool_], export_ms: int
    ) -> Columns:
        draw = self._rng.integers(0, 1 << 64, len(service), np.uint64)
        flags = self._flags.take(service * 256 + _bits(draw, 18, 8))
        packets = self._packets.take(service * _SIZE_SLOTS + _bits(draw, 0, 10))
        packets[flags == _ATTEMPT] = 1
        if self._profile.sampling > 1:
            packets = np.maximum(packets // np.uint32(self._profile.sampling), np.uint32(1))
        size = self._octets.take((service * 2 + reply) * 256 + _bits(draw, 10, 8))
        duration = self._durations.take(_bits(draw, 26, 10))
        duration[packets == 1] = 0
        end_ms = export_ms - _bits(draw, 36, 20) % EXPORT_DELAY_MS
        return {
            "packets": packets,
            "octets": packets * size,
            "tcp_flags": flags,
            "end_ms": end_ms,
            "start_ms": end_ms - duration,
            "end_reason": np.where(flags == _COMPLETE, 3, 1).astype(np.uint8),
        }

    def _ports(
        self, service: NDArray[np.intp], reply: NDArray[np.bool_], port: NDArray[np.uint16]
    ) -> Columns:
        known = _PORT.take(service)
        ping = service == _PING
        # Type and code of ICMP stand in the destination port: 8 is the request, 0 the reply.
        port = np.where(ping, np.uint16(0), port)
        source, destination = np.where(reply, known, port), np.where(reply, port, known)
        destination[ping & ~reply] = 8 << 8
        return {
            "source_port": source,
            "destination_port": destination,
            "protocol": _PROTOCOL.take(service),
        }

    def _ways(
        self, reply: NDArray[np.bool_], client: NDArray[np.intp], server: NDArray[np.intp]
    ) -> Columns:
        floor = (2 + client % (len(INTERFACES) - 1)).astype(np.uint8)
        uplink = np.uint8(UPLINK)
        far_as = _SERVER_AS.take(self._network.take(server))
        own_as = np.uint16(_OWN_AS)
        return {
            "ingress": np.where(reply, uplink, floor),
            "egress": np.where(reply, floor, uplink),
            "direction": (~reply).view(np.uint8),
            "vlan": floor * np.uint8(10),
            "source_as": np.where(reply, far_as, own_as),
            "destination_as": np.where(reply, own_as, far_as),
            "forwarding_status": np.array(64, np.uint8),
            "sampler": np.array(SAMPLER_ID, np.uint8),
        }


_PING = next(i for i, service in enumerate(SERVICES) if service.name == "ping")
_PORT = np.array([service.port for service in SERVICES], np.uint16)
_PROTOCOL = np.array([service.protocol for service in SERVICES], np.uint8)
_CLASS_OF_SERVICE = np.array([service.class_of_service for service in SERVICES], np.uint8)
_APPLICATION_ID = np.array([service.application_id for service in SERVICES], np.uint32)


def _bits(draw: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.int64]:
    return (draw >> np.uint64(shift) & np.uint64((1 << width) - 1)).view(np.int64)


def _ends(reply: NDArray[np.bool_], near: NDArray[Any], far: NDArray[Any], version: int) -> Columns:
    near_prefix, far_prefix = (
        (np.uint8(24), np.uint8(16)) if version == 4 else (np.uint8(64), np.uint8(48))
    )
    turned = reply if version == 4 else reply[:, None]
    hop = np.array(0x0A000001, np.uint32)
    return {
        "source_address": np.where(turned, far, near),
        "destination_address": np.where(turned, near, far),
        "next_hop": hop if version == 4 else np.array([0xFE80 << 48, 1], np.uint64),
        "source_prefix": np.where(reply, far_prefix, near_prefix),
        "destination_prefix": np.where(reply, near_prefix, far_prefix),
    }


def _weighted_indices(weights: NDArray[np.float64], slots: int) -> NDArray[np.intp]:
    """Return a table in which each index stands as often as its weight says."""
    edges = np.cumsum(weights) / weights.sum()
    return np.searchsorted(edges, (np.arange(slots) + 0.5) / slots)


def _zipf(n: int) -> NDArray[np.intp]:
    return _weighted_indices(1 / np.arange(1, n + 1) ** _ZIPF_EXPONENT, _HOST_SLOTS)


def _client_addresses(number: int, n: int) -> NDArray[np.uint32]:
    index = np.arange(n, dtype=np.uint32)
    network = np.uint32(0x0A00_0000 + (number % 256 << 16))
    return network | ((index // 250 % 256) << np.uint32(8)) | (index % 250 + 2)


@cache
def _packet_counts() -> NDArray[np.uint32]:
    """Return packets by service and equal share of its log-normal distribution."""
    normal = statistics.NormalDist()
    shares = [normal.inv_cdf((slot + 0.5) / _SIZE_SLOTS) for slot in range(_SIZE_SLOTS)]
    spread = np.array([service.spread for service in SERVICES])[:, None]
    median = np.array([service.packets for service in SERVICES])[:, None]
    packets = np.clip(median * np.exp(spread * np.array(shares)), 1, _MAX_PACKETS)
    counts: NDArray[np.uint32] = np.round(packets).astype(np.uint32)
    return counts


def _packet_sizes(rng: np.random.Generator) -> NDArray[np.uint32]:
    """Return mean octets of a packet by service, direction and one of 256 draws."""
    means = [(service.request_octets, service.reply_octets) for service in SERVICES]
    spread = rng.uniform(0.7, 1.3, (len(SERVICES), 2, 256))
    sizes = np.clip(np.array(means)[:, :, None] * spread, 40, 1500)
    return np.ascontiguousarray(sizes.astype(np.uint32))


def _tcp_flags(protocol: int) -> NDArray[np.uint8]:
    if protocol != TCP:
        return np.zeros(256, np.uint8)
    return np.repeat(
        np.array([_COMPLETE, _RUNNING, _ATTEMPT, _REFUSED], np.uint8), (184, 48, 16, 8)
    )
