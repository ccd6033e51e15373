"""What is done to roll-ups later: old bins deleted, all made again from the log, health told."""

from __future__ import annotations

from typing import Any

from appliance.contracts import Selection
from appliance.plugins.rollups.bins import Size
from tests.plugins.rollups.world import HOUR, START


class TestHousekeeping:
    def test_expire_when_bins_are_old_then_only_the_larger_stay(self, world: Any):
        kept = {Size.MINUTE: 2 * HOUR, Size.QUARTER: 5 * HOUR, Size.HOUR: 86400}
        world.limit(kept_seconds=kept)
        world.fill_hours(8)
        before = world.store.totals(Selection())
        assert world.store.expire(world.now) > 0
        assert world.store.expire(world.now) == 0
        oldest = dict(
            world.stored(
                "SELECT size, MIN(bin_start) FROM appliance_rollup GROUP BY size ORDER BY size"
            )
        )
        assert world.now - oldest[0] <= 2 * HOUR + 60
        assert world.now - oldest[1] <= 5 * HOUR + 900
        assert oldest[2] == START
        assert world.store.totals(Selection()) == before
        inside = Selection(since=START + 7 * HOUR + 60, until=START + 8 * HOUR)
        expected = world.expected(lambda _: 0, START + 7 * HOUR + 60, START + 8 * HOUR)
        assert tuple(world.store.totals(inside)) == expected[0]
        found = world.store.totals(Selection(since=START + HOUR + 60, until=START + 2 * HOUR))
        assert tuple(found) == world.expected(lambda _: 0, START + HOUR, START + 2 * HOUR)[0]

    def test_rebuild_when_the_log_has_everything_then_all_is_as_before(self, world: Any):
        world.fill_hours(4)
        names = [(r.id, r.address) for r in world.store.exporters()]
        with world.store.flows.transaction(write=True):
            world.store.flows.execute("UPDATE appliance_rollup SET octets = 1 WHERE bin_start >= 0")
        world.store.rebuild(world.now)
        world.load()
        assert [(r.id, r.address) for r in world.store.exporters()] == names
        expected = world.expected(lambda _: 0, START + HOUR)
        assert tuple(world.store.totals(Selection(since=START + HOUR))) == expected[0]
        assert world.load() == 0

    def test_rebuild_when_the_log_begins_late_then_older_sums_stay(self, world: Any):
        world.limit(top_per_exporter=20)
        world.fill_hours(7)
        world.load(START + 40 * HOUR)
        before = [dump(world, size) for size in range(5)]
        forget_log_before(world, START + 5 * HOUR + 1000)
        world.store.rebuild(world.now)
        assert world.store.totals(Selection()).flows < 7 * 120
        world.load()
        assert [dump(world, size) for size in range(5)] == before
        world.check_sums()

    def test_health_when_asked_then_tells_where_it_is(self, world: Any):
        world.write(world.flows(10))
        world.load()
        world.write(world.flows(10))
        world.now += 7
        found = world.store.health()
        assert found["lag_seconds"] == 7
        assert found["rows"] > 0
        assert found["octets"] > 0
        assert found["schema_version"] == 5
        assert found["bins_to_make"] == 3
        assert found["cursor"] == [1, 10]
        world.load()
        assert world.store.health()["lag_seconds"] == 0


def dump(world: Any, size: int) -> dict[Any, Any]:
    rows = world.stored(
        "SELECT dimension, exporter, direction, bin_start, name, octets, packets, flows"
        " FROM appliance_rollup WHERE size = ? AND flags < 8",
        size,
    )
    return {row[:5]: row[5:] for row in rows}


def forget_log_before(world: Any, moment: float) -> None:
    """Delete sealed files that end before a moment, as retention would."""
    from appliance.flowlog.names import list_files

    world.seal()
    for file in list_files(world.log, False)[0]:
        if file.to_ms < moment * 1000:
            file.path.unlink()
