"""Sums beyond 64 bits: answers, not errors, on either database."""

from __future__ import annotations

from typing import Any, get_args

from appliance.contracts import Dimension, Selection
from appliance.plugins.rollups.grouping import LARGEST_SUM
from tests.plugins.rollups.world import START

MINUTES = 20


def saturated(world: Any) -> None:
    """Fill every bin with as much as it can hold."""
    for minute in range(MINUTES):
        world.write(world.flows(20, START + 60 * minute + 5))
    world.load(START + 60 * MINUTES + 30)
    with world.store.flows.transaction():
        world.store.flows.execute(
            "UPDATE appliance_rollup SET octets = ?, packets = ?", (LARGEST_SUM, LARGEST_SUM)
        )
    world.restart()


def test_answers_when_all_bins_are_full_then_sums_and_no_error(world: Any) -> None:
    saturated(world)
    since, until = START + 60, START + 60 * 14  # minutes only, no quarter of an hour
    chosen = Selection(since=since, until=until)
    totals = world.store.totals(chosen)
    assert totals.octets >= LARGEST_SUM * 13 > 2**63
    assert totals.octets % LARGEST_SUM == 0
    for dimension in get_args(Dimension):
        for exporter, ends in ((None, (since, until)), (1, (START, START + 3600))):
            top = world.top(dimension, since=ends[0], until=ends[1], exporter=exporter)
            assert top.rows
            assert min(row.octets for row in top.rows) > 0
            assert top.error.octets >= 0
            assert top.other.octets >= 0
    (measure,) = world.store.series([since, until], Selection())
    assert measure.octets == totals.octets
    assert sum(m.octets for m in world.store.totals_by_exporter(chosen).values()) > 0


def test_loading_when_bins_are_full_then_goes_on(world: Any) -> None:
    saturated(world)
    world.write(world.flows(50, START + 30), world.flows(50, START + 60 * MINUTES + 40))
    assert world.load(START + 60 * MINUTES + 90) == 100
    assert all(row[0] <= LARGEST_SUM for row in world.stored("SELECT octets FROM appliance_rollup"))
