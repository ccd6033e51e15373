"""Limits of time, and cancelling: the server stops as well."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from appliance.errors import QueryCancelledError, QueryError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.questions_world import SINCE_MS, question
from tests.plugins.clickhouse.world import START, LogOfFlows, Place

LASTED_MS = 1_400_000
HEAVY = question("source", step_ms=1000, until_ms=SINCE_MS + LASTED_MS, limit=5)
"""Each flow is in fourteen hundred bins."""


@pytest.fixture
def crowded(single: Place, folder: Path) -> Place:
    """A server with more than it answers about in some seconds."""
    log = LogOfFlows(folder)
    log.write(10)
    world.fill(single, folder)
    single.server().command(
        "INSERT INTO flows (collector, segment, row, batch, period, collection_time_milliseconds,"
        " exporter_address_hi, exporter_address_lo, source_address_lo, octet_delta_count,"
        " flow_start_milliseconds, flow_end_milliseconds)"
        f" SELECT 'x', 1, number, 1, toDateTime({START}), {START} * 1000, 0, 1, number % 99, 7,"
        f" {SINCE_MS}, {SINCE_MS + LASTED_MS} FROM numbers(400000)"
    )
    return single


def running(place: Place) -> int:
    """Return how many of our questions the server is at."""
    sql = "SELECT count() FROM system.processes WHERE query LIKE '%ARRAY JOIN%'"
    return int(place.server().rows(f"{sql} AND query NOT LIKE '%system.processes%'")[0][0])


def wait_until(place: Place, n: int) -> None:
    end = time.monotonic() + 20
    while running(place) != n:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_questions_when_they_take_too_long_then_one_sentence_and_the_server_stops(
    crowded: Place, folder: Path
):
    engine = world.source_engine(crowded, folder, QueryLimits(seconds=1))
    with pytest.raises(QueryError, match="the question took longer than 1 s"):
        engine.series(HEAVY, HEAVY.until_ms)
    wait_until(crowded, 0)


def test_questions_when_cancelled_then_the_server_stops(crowded: Place, folder: Path):
    control = QueryControl()
    engine = world.source_engine(crowded, folder).with_limits(QueryLimits(seconds=60), control)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            engine.series(HEAVY, HEAVY.until_ms)
        except QueryCancelledError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(crowded, 1)
    control.cancel()
    asking.join(30)
    assert not asking.is_alive()
    assert len(errors) == 1
    wait_until(crowded, 0)
