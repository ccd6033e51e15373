"""The running hour of single exporters: written now and then, made from memory, found again."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from appliance.contracts import Measure, Selection
from appliance.plugins.rollups import loading
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.hours import OpenHour
from appliance.plugins.rollups.stored_tops import read_totals

START = 1_801_429_200
HOUR = 3600


def expected_of(world: Any, exporter: int, name: str = "source") -> dict[str, tuple[int, ...]]:
    """Return the sums of an exporter's names, as the log has them."""
    address = {record.id: record.address for record in world.store.exporters()}[exporter]
    found = world.expected(lambda r: (r["exporter"] == address, r[name]))
    return {key[1]: sums for key, sums in found.items() if key[0]}


def shown(answer: Any) -> dict[str, tuple[int, ...]]:
    return {row.key: tuple(row[1:]) for row in answer.rows}


class TestRunningHour:
    def test_top_when_the_hour_runs_then_answered_without_the_log(self, world: Any):
        world.limit(top_per_exporter=20)
        for minute in range(5):
            world.write(world.flows(20, START + 60 * minute))
            world.load(START + 60 * minute + 1)
        wanted = {name: expected_of(world, 1, name) for name in ("source", "destination", "port")}
        world.writer.close()
        shutil.rmtree(world.log)
        for name, sums in wanted.items():
            found = world.top(name, exporter=1)
            assert shown(found) == sums
            assert found.error == Measure()

    def test_top_when_names_are_not_written_yet_then_what_is_missing_is_pending(self, world: Any):
        world.limit(top_per_exporter=20, provisional_seconds=600)
        world.write(world.flows(40, START))
        world.load(START + 1)
        before = expected_of(world, 1)
        world.write(world.flows(60, START + 30))
        world.load(START + 31)
        whole = expected_of(world, 1)
        found = world.top("source", exporter=1)
        assert shown(found) == before
        late = [
            sum(sums[m] for sums in whole.values()) - sum(s[m] for s in before.values())
            for m in range(3)
        ]
        assert (list(found.pending), found.error) == (late, Measure())
        assert late[2] > 0
        assert tuple(found.total) == tuple(sum(s[m] for s in whole.values()) for m in range(3))
        assert [a + b for a, b in zip(found.other, [sum(r[m + 1] for r in found.rows)
                for m in range(3)], strict=True)] == list(found.total)  # fmt: skip
        world.load(START + 1000)
        found = world.top("source", exporter=1)
        assert (shown(found), found.error, found.pending) == (whole, Measure(), Measure())

    def test_hour_when_the_loader_starts_in_the_middle_then_it_is_whole_again(self, world: Any):
        world.limit(top_per_exporter=20)
        world.store.loader.piece_rows = 30
        for step in range(4):
            world.write(world.flows(50, START + 600 * step))
            world.load(START + 600 * step + 1)
            world.restart()
            world.store.loader.piece_rows = 30
        world.write(world.flows(50, START + 2400))
        world.load(START + 2401)
        assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        world.load(START + 2 * HOUR)
        assert world.store.health()["bins_to_make"] == 2
        found = world.top("source", exporter=1)
        assert (shown(found), found.error) == (expected_of(world, 1), Measure())
        world.check()

    def test_hour_when_it_was_counted_in_memory_then_the_log_is_not_read_again(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        world.limit(top_per_exporter=20)
        monkeypatch.setattr(world.store.loader, "_job_reader", None)
        for minute in range(0, 60, 10):
            world.write(world.flows(20, START + 60 * minute))
            world.load(START + 60 * minute + 1)
        world.load(START + HOUR + 300)
        assert not world.stored(
            "SELECT 1 FROM appliance_work WHERE done = 0 AND size = ?", int(Size.HOUR)
        )
        assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        assert shown(world.top("source")) == world.expected(lambda r: r["source"])

    def test_hours_when_a_backlog_is_loaded_then_each_is_made_once(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        made: list[int] = []
        real = OpenHour.store

        def store(hour: OpenHour, *arguments: Any) -> None:
            made.append(hour.start)
            real(hour, *arguments)

        monkeypatch.setattr(OpenHour, "store", store)
        for minute in range(0, 180, 6):
            world.write(world.flows(10, START + 60 * minute))
        world.store.loader.piece_rows = 25
        world.load(START + 10 * HOUR)
        assert made == [START, START + HOUR, START + 2 * HOUR]
        world.check()

    def test_top_when_flows_come_to_an_hour_that_was_made_then_the_answer_follows(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        """Its last minute is open still, as no later one has come; it is not yet made again."""
        world.limit(top_per_exporter=20)
        for at, now in ((START, START + 600), (START + 10, START + 4000)):
            world.write(world.flows(30, at))
            world.load(now)
            assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        assert not world.stored(
            "SELECT 1 FROM appliance_work WHERE done = 0 AND size = ?", int(Size.HOUR)
        )
        with monkeypatch.context() as patched:
            patched.setattr(loading, "ready", lambda *_: None)
            world.write(world.flows(30, START + 20))
            world.load()
            assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        world.load()
        assert shown(world.top("source", exporter=1)) == expected_of(world, 1)

    def test_hours_when_three_run_at_once_then_all_are_right(self, world: Any):
        world.limit(top_per_exporter=20)
        for step in range(4):
            for hour in (2, 0, 1):
                world.write(world.flows(20, START + hour * HOUR + 60 * step))
                world.load(START + 2 * HOUR + 60 * step + 1)
        assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        world.load(START + 4 * HOUR)
        assert shown(world.top("source", exporter=1)) == expected_of(world, 1)
        world.check()

    def test_totals_when_an_hour_is_made_then_read_by_the_primary_key(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        for hour in range(4):
            world.write(world.flows(30, START + hour * HOUR))
            world.load(START + hour * HOUR + 1)
        database, seen = world.store.flows, []
        monkeypatch.setattr(database, "rows", lambda *query: seen.append(query) or [])
        read_totals(database, Size.HOUR, START, START + HOUR)
        monkeypatch.undo()
        ((sql, parameters),) = seen
        sqlite = world.url.startswith("sqlite")
        explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        with database.transaction():
            plan = " ".join(str(row) for row in database.rows(f"{explain} {sql}", parameters))
            found = read_totals(database, Size.HOUR, START, START + HOUR)
        assert "bin_start>? AND bin_start<?" in plan if sqlite else "range" in plan or "ref" in plan
        assert {place[0] for place in found} == {0, 1, 2}
        whole = sum(int(sums[2]) for place, sums in found.items() if place[0] == 0)
        assert whole == world.store.totals(Selection(until=START + HOUR)).flows == 30
