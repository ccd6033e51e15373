"""More exporters than have names of their own: sums stay exact, and what is cut is in the bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.contracts import Selection
from appliance.flows import address_halves
from appliance.plugins.rollups.hour_tops import with_names
from tests.plugins.rollups.test_hours import expected_of, shown
from tests.plugins.rollups.world import HOUR, START, World

DAY_LATER = START + 30 * HOUR
N_EXPORTERS, PLACES = 12, 4


def flows_of(world: World, exporter: int, octets: int, at: float = START) -> Any:
    return world.flows(
        10,
        at,
        exporter_address_lo=address_halves("192.0.2.0")[1] + np.uint64(exporter),
        octet_delta_count=octets,
    )


@pytest.fixture
def crowded(world: World) -> World:
    """Exporters of which those that are known first send least."""
    world.limit(exporters_with_names=PLACES, top_per_exporter=20)
    for exporter in range(1, N_EXPORTERS + 1):
        world.write(flows_of(world, exporter, 1000 * exporter))
        world.load()
    return world


def named(world: World) -> set[int]:
    """Return the exporters that have names in the hour."""
    rows = world.stored(
        "SELECT DISTINCT exporter FROM appliance_rollup"
        " WHERE dimension IN (3, 4, 5) AND size = 2 AND exporter > 0"
    )
    return {row[0] for row in rows}


LARGEST = {1, 2, 11, 12}
"""Those that were known first, and the largest of the others."""


@pytest.mark.parametrize("now", [START + HOUR + 900, DAY_LATER], ids=["hour", "day"])
def test_names_when_of_too_many_exporters_then_sums_are_exact_and_the_bound_says_what_is_cut(
    crowded: World, now: float
) -> None:
    crowded.load(now)
    crowded.check()
    assert named(crowded) == LARGEST
    for exporter in range(1, N_EXPORTERS + 1):
        for direction in (None, 0, 1):
            crowded.check_error("octets", exporter, direction)
        answer = crowded.top("source", exporter=exporter)
        total = crowded.store.totals(Selection(exporter=exporter))
        assert tuple(answer.total) == (total.octets, total.packets, total.flows)
        if exporter in LARGEST:
            assert shown(answer) == expected_of(crowded, exporter)
            assert not any(answer.error)
        else:
            assert (list(answer.rows), answer.error) == ([], answer.total)
        # From memory the second time.
        assert crowded.top("source", exporter=exporter) == answer
    crowded.check_error("octets", None, None)


def test_names_when_an_exporter_loses_its_place_then_none_of_them_is_left(crowded: World) -> None:
    assert named(crowded) > {5, 7, 8}
    for exporter in (7, 8):
        crowded.write(flows_of(crowded, exporter, 10**7, START + 70))
    crowded.load(START + HOUR + 900)
    assert named(crowded) == {1, 2, 7, 8}
    crowded.check()
    crowded.check_error("octets", 5, None)


def test_with_names_when_there_is_room_then_all_have_some() -> None:
    totals = {(number, 0, START): np.array([1, 1, 1]) for number in range(5)}
    assert with_names(totals, 4) == {1, 2, 3, 4}
    assert with_names(totals, 2) == {1, 2}
