"""The traffic of interfaces since midnight, for metrics: as the flows say, up to the last load."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from appliance.contracts import Direction
from appliance.flows import FlowBatch, address_text
from tests.plugins.rollups.world import HOUR, START, World

DAY = 24 * HOUR
MIDNIGHT = (START // DAY + 1) * DAY

Key = tuple[str, int, Direction]


def routed(world: World, n: int, at: float, **columns: Any) -> FlowBatch:
    random = np.random.default_rng(int(at) % 7919)
    return world.flows(
        n,
        at,
        ingress_interface=random.integers(0, 5, n),
        egress_interface=random.choice([0, 7, 501_000], n),
        **columns,
    )


def sums(*batches: FlowBatch) -> dict[Key, int]:
    """Add up the octets of each interface by hand."""
    totals: Counter[Key] = Counter()
    for batch in batches:
        halves = zip(
            batch.column("exporter_address_hi").tolist(),
            batch.column("exporter_address_lo").tolist(),
            strict=True,
        )
        exporters = [address_text(*pair) for pair in halves]
        octets = batch.column("octet_delta_count").astype(float) * np.maximum(
            batch.column("sampling_rate"), 1
        )
        for side, name in ((Direction.INGRESS, "ingress"), (Direction.EGRESS, "egress")):
            numbers = batch.column(f"{name}_interface").tolist()
            for exporter, number, value in zip(exporters, numbers, octets.tolist(), strict=True):
                if number:
                    totals[exporter, number, side] += int(value)
    return dict(totals)


def test_interfaces_when_asked_since_midnight_then_all_that_is_loaded_of_the_day(
    world: World,
) -> None:
    before = routed(world, 30, MIDNIGHT - 10.5)
    today = [
        routed(world, 30, MIDNIGHT + 5.25),
        routed(world, 20, MIDNIGHT + 3 * HOUR + 1.5, sampling_rate=100.0),
        routed(world, 9, MIDNIGHT + 3 * HOUR + 90.5),
    ]
    world.write(before, *today)
    world.load(MIDNIGHT + 3 * HOUR + 100)
    rows = world.store.sums_by_interface(MIDNIGHT, 1000)
    assert {(r.exporter, r.interface, r.direction): r.octets for r in rows} == sums(*today)
    assert [r.octets for r in rows] == sorted((r.octets for r in rows), reverse=True)
    assert world.store.sums_by_interface(MIDNIGHT, 3) == rows[:3]


def test_interfaces_when_nothing_is_stored_then_none(world: World) -> None:
    world.load(START + 5)
    assert world.store.sums_by_interface(MIDNIGHT, 5) == []


def test_interfaces_when_beyond_the_limit_then_those_have_no_row(world: World) -> None:
    world.limit(interfaces=2)
    world.write(routed(world, 60, MIDNIGHT + 5.25))
    world.load(MIDNIGHT + 10)
    of = Counter((r.exporter, r.direction) for r in world.store.sums_by_interface(MIDNIGHT, 100))
    assert of
    assert max(of.values()) == 2
