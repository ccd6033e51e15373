"""Answers made by loops over single flows, to compare the engine's with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.flows import V4_MAPPED, AnyArray, FlowBatch


@dataclass(frozen=True)
class Flow:
    """A flow of IPv4 between small numbers, so that groups collide."""

    source: int
    destination: int
    source_port: int
    destination_port: int
    octets: int
    start_ms: int
    end_ms: int
    received_ms: int
    sampling_rate: float = 1.0
    flows: int = 1


def batch_of(flows: Sequence[Flow]) -> FlowBatch:
    """Return flows as a batch; the source 0 is no address."""

    def column(value: Callable[[Flow], float], dtype: str) -> AnyArray:
        return np.array([value(flow) for flow in flows], dtype)

    def address(number: int) -> int:
        return number and V4_MAPPED | 0x0A000000 | number

    high = np.zeros(len(flows), "u8")
    return FlowBatch(
        len(flows),
        {
            "collection_time_milliseconds": column(lambda f: f.received_ms, "i8"),
            "exporter_address_hi": high,
            "exporter_address_lo": np.full(len(flows), V4_MAPPED | 0xC0000201, "u8"),
            "source_address_hi": high,
            "source_address_lo": column(lambda f: address(f.source), "u8"),
            "destination_address_hi": high,
            "destination_address_lo": column(lambda f: address(f.destination), "u8"),
            "source_transport_port": column(lambda f: f.source_port, "u2"),
            "destination_transport_port": column(lambda f: f.destination_port, "u2"),
            "protocol_identifier": np.full(len(flows), 6, "u1"),
            "octet_delta_count": column(lambda f: f.octets, "u8"),
            "packet_delta_count": np.full(len(flows), 1, "u8"),
            "delta_flow_count": column(lambda f: f.flows, "u8"),
            "sampling_rate": column(lambda f: f.sampling_rate, "f8"),
            "flow_start_milliseconds": column(lambda f: f.start_ms, "i8"),
            "flow_end_milliseconds": column(lambda f: f.end_ms, "i8"),
        },
    )


def text(number: int) -> str | None:
    """Return the address of a number as answers have it."""
    return f"10.0.{number >> 8}.{number & 255}" if number else None


def spread(flows: Sequence[Flow], step_ms: int, first: int, n_bins: int) -> list[float]:
    """Return the octets of each bin, those of a flow spread evenly over the time it lasted."""
    bins = [0.0] * n_bins
    for flow in flows:
        octets = flow.octets * flow.sampling_rate
        began, ended = flow.start_ms, flow.end_ms
        if not 0 < began <= ended:
            began = ended = flow.received_ms
        for number in range(began // step_ms, ended // step_ms + 1):
            low, high = max(began, number * step_ms), min(ended, (number + 1) * step_ms)
            share = (high - low) / (ended - began) if ended > began else 1.0
            if 0 <= number - first < n_bins:
                bins[number - first] += octets * share
    return bins


def sums(
    flows: Sequence[Flow], keys_of: Callable[[Flow], set[object]]
) -> dict[object, tuple[float, float]]:
    """Return octets and flows by key."""
    groups: dict[object, list[Flow]] = defaultdict(list)
    for flow in flows:
        for key in keys_of(flow):
            groups[key].append(flow)
    return {
        key: (
            math.fsum(flow.octets * flow.sampling_rate for flow in members),
            sum(flow.flows for flow in members),
        )
        for key, members in groups.items()
    }
