"""Room for exporters: invented ones are forgotten, honest ones always find room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.contracts import Selection
from appliance.flows import address_halves
from appliance.plugins.rollups.store import SqlStore
from appliance.sql.table_names import EXPORTER, FORGOTTEN_EXPORTER, ROLLUP_PROGRESS
from tests.collector.running import soak_rounds
from tests.plugins.rollups.world import HOUR, START

DAY = 86400
INVENTED = address_halves("203.0.0.0")[1]


def address(text: str) -> int:
    return address_halves(text)[1]


def sent(world: Any, text: str, n: int, at: float | None = None) -> None:
    """Write flows of one exporter."""
    world.write(world.flows(n, at, exporter_address_lo=address(text)))


def invented(world: Any, first: int, n: int) -> None:
    """Write a flow of each of n exporters."""
    world.write(world.flows(n, exporter_address_lo=INVENTED + np.arange(first, first + n)))


def listed(world: Any) -> dict[str, int]:
    return {record.address: record.id for record in world.store.exporters()}


def limit_exporters(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    for module in ("exporter_records", "loading"):
        monkeypatch.setattr(f"appliance.plugins.rollups.{module}.MOST_EXPORTERS", n)


class TestSilent:
    def test_exporter_when_few_flows_and_silent_for_a_day_then_forgotten(self, world: Any):
        sent(world, "192.0.2.1", 500)
        sent(world, "192.0.2.2", 99)
        sent(world, "192.0.2.3", 3)
        world.load()
        world.load(START + 2 * HOUR)
        before = world.store.totals(Selection()), world.top("source").rows
        numbers = listed(world)
        world.store.change_exporter(numbers["192.0.2.3"], name="core")
        world.load(START + DAY)
        world.store.expire(world.now)
        assert listed(world) == numbers
        world.load(START + DAY + 61)
        world.store.expire(world.now)
        assert listed(world).keys() == {"192.0.2.1", "192.0.2.3"}
        gone = numbers["192.0.2.2"]
        assert not world.stored("SELECT * FROM appliance_rollup WHERE exporter = ?", gone)
        assert not world.stored("SELECT id FROM appliance_known_exporter WHERE id = ?", gone)
        assert (world.store.totals(Selection()), world.top("source").rows) == before
        assert world.store.health()["counters"]["exporters_forgotten"] == 1
        (event,) = world.store.health()["events"]
        assert event["text"].startswith("1 exporters that sent next to nothing")

    def test_exporter_when_the_database_is_being_filled_again_then_kept(self, world: Any):
        sent(world, "192.0.2.1", 500)
        world.load(START + 2 * DAY)
        world.store.rebuild(world.now)
        world.store.expire(world.now)
        assert listed(world) == {"192.0.2.1": 1}
        world.restart()
        world.store.loader.piece_rows = 100
        assert world.store.load_once(world.now).busy
        world.store.expire(world.now)
        assert listed(world) == {"192.0.2.1": 1}

    def test_applications_when_their_exporter_is_forgotten_then_too(self, world: Any):
        sent(world, "192.0.2.1", 3)
        world.load()
        with world.store.flows.transaction(write=True):
            world.store.flows.execute(
                "INSERT INTO appliance_session_application VALUES ('192.0.2.1', 9, 0, '7', 'voice')"
            )
            world.store.flows.execute(
                "INSERT INTO appliance_session_application VALUES ('192.0.2.9', 9, 0, '7', 'voice')"
            )
        world.restart()
        world.load(START + 2 * DAY)
        world.store.expire(world.now)
        assert world.stored("SELECT exporter FROM appliance_session_application") == [
            ("192.0.2.9",)
        ]

    def test_applications_when_many_are_of_exporters_without_a_flow_then_deleted(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        sent(world, "192.0.2.1", 500)
        world.load()
        with world.store.flows.transaction(write=True):
            for exporter in ("192.0.2.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"):
                world.store.flows.execute(
                    "INSERT INTO appliance_session_application VALUES (?, 9, 0, '7', 'voice')",
                    (exporter,),
                )
        world.restart()
        world.load(START + 20)
        world.store.expire(world.now)
        assert len(world.stored("SELECT exporter FROM appliance_session_application")) == 4
        monkeypatch.setattr("appliance.plugins.rollups.loading.MOST_UNLISTED_NAMES", 5)
        world.store.expire(world.now)
        assert world.stored("SELECT exporter FROM appliance_session_application") == [
            ("192.0.2.1",)
        ]


def test_health_when_exporters_are_listed_then_how_many_and_the_places(world: Any):
    sent(world, "192.0.2.1", 20)
    sent(world, "192.0.2.2", 30)
    world.load()
    health = world.store.health()
    assert (health["exporters"], health["exporter_places"]) == (2, 65_536)


class TestForgotten:
    def test_exporter_when_it_still_sends_then_listed_anew_under_another_number(self, world: Any):
        sent(world, "192.0.2.1", 20)
        sent(world, "192.0.2.2", 30)
        world.load()
        other = SqlStore(world.url, world.settings, world.limits, clock=lambda: world.now)
        other.forget_exporter(2)
        assert [record.id for record in other.exporters()] == [1]
        other.close()
        sent(world, "192.0.2.2", 7)
        world.load(START + 10)
        assert listed(world) == {"192.0.2.1": 1, "192.0.2.2": 3}
        sums = world.store.totals_by_exporter(Selection())
        assert {number: measure.flows for number, measure in sums.items()} == {1: 20, 3: 7}
        assert world.store.totals(Selection()).flows == 57
        world.load(START + 3 * HOUR)
        assert not world.stored("SELECT * FROM appliance_rollup WHERE exporter = 2")
        world.check_sums()

    def test_hour_when_read_again_after_a_restart_then_without_what_was_forgotten(self, world: Any):
        sent(world, "192.0.2.1", 20)
        sent(world, "192.0.2.2", 30)
        world.load()
        world.store.forget_exporter(2)
        sent(world, "192.0.2.1", 5, START + 70)
        world.load(START + 70)
        world.restart()
        sent(world, "192.0.2.1", 5, START + 140)
        world.load(START + 140)
        assert listed(world) == {"192.0.2.1": 1}
        sent(world, "192.0.2.2", 7, START + 200)
        world.load(START + 200)
        world.restart()
        world.load(START + 3 * HOUR)
        assert listed(world) == {"192.0.2.1": 1, "192.0.2.2": 3}
        for exporter, flows in ((1, 30), (3, 7)):
            top = world.top("source", exporter=exporter)
            assert top.total.flows == flows
            assert sum(row.flows for row in top.rows) + top.other.flows == flows
        world.check_sums()

    @pytest.mark.parametrize("lost", ["appliance", "flows", ""])
    def test_number_when_the_highest_was_forgotten_then_not_used_again(self, world: Any, lost: str):
        sent(world, "192.0.2.1", 20)
        sent(world, "192.0.2.2", 30)
        world.load()
        world.store.forget_exporter(2)
        world.load()
        tables = {"appliance": (EXPORTER, FORGOTTEN_EXPORTER), "flows": (ROLLUP_PROGRESS,)}
        for table in tables.get(lost, ()):
            database = getattr(world.store, lost)
            with database.transaction(write=True):
                database.execute(f"DELETE FROM {table}")
        world.restart()
        if lost != "flows":
            sent(world, "192.0.2.3", 7)
            world.load(START + 10)
            assert listed(world)["192.0.2.3"] == 3
        else:
            world.load(START + 10)
            assert listed(world)["192.0.2.2"] == 3

    def test_exporter_when_there_is_none_then_key_error(self, world: Any):
        sent(world, "192.0.2.1", 20)
        world.load()
        world.store.forget_exporter(1)
        with pytest.raises(KeyError):
            world.store.forget_exporter(1)
        with pytest.raises(KeyError):
            world.store.change_exporter(1, name="core")

    def test_question_when_its_exporter_was_forgotten_meanwhile_then_no_rows(self, world: Any):
        world.limit(top=5)
        sent(world, "192.0.2.1", 50)
        world.load(START + 2 * HOUR)
        world.store.forget_exporter(1)
        world.load()
        top = world.top("source", since=START + 60, until=START + HOUR, exporter=1)
        assert (list(top.rows), top.total.flows) == ([], 0)


class TestNoRoom:
    def test_newcomer_when_all_rooms_are_taken_then_the_longest_silent_gives_way(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        limit_exporters(monkeypatch, 4)
        monkeypatch.setattr("appliance.plugins.rollups.forgetting.LEAST_ROOM", 1)
        for quarter in range(4):
            sent(world, "192.0.2.1", 1, START + quarter * 900)
        sent(world, "192.0.2.2", 900, START + 3600)
        for place, text in enumerate(("192.0.2.3", "192.0.2.4")):
            sent(world, text, 1, START + 3700 + place * 60)
        world.load(START + 3800)
        sent(world, "192.0.2.2", 1, START + 3900)
        world.load(START + 3900)
        sent(world, "192.0.2.5", 1, START + 3960)
        world.load(START + 3960)
        assert listed(world).keys() == {"192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.5"}
        assert "flows_beyond_exporter_limit" not in world.store.health()["counters"]
        world.store.expire(world.now)
        (event,) = world.store.health()["events"]
        assert event["text"] == (
            "1 exporters gave way to others, there is room for 4: set collector.allowed_exporters"
        )

    def test_newcomer_when_all_others_are_settled_then_the_least_heard_gives_way(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        limit_exporters(monkeypatch, 2)
        for quarter in range(8):
            sent(world, "192.0.2.1", 1, START + quarter * 900)
        for quarter in range(8, 13):
            sent(world, "192.0.2.2", 900, START + quarter * 900)
        world.load(START + 12 * 900)
        sent(world, "192.0.2.3", 1, START + 13 * 900)
        world.load(START + 13 * 900)
        assert listed(world).keys() == {"192.0.2.1", "192.0.2.3"}

    def test_newcomer_when_all_others_are_named_then_counted_among_all_only(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        limit_exporters(monkeypatch, 1)
        sent(world, "192.0.2.1", 5)
        world.load()
        world.store.change_exporter(1, info="rack 4")
        sent(world, "192.0.2.2", 7)
        world.load(START + 10)
        assert listed(world) == {"192.0.2.1": 1}
        assert world.store.health()["counters"] == {"flows_beyond_exporter_limit": 7}

    @pytest.mark.soak
    @pytest.mark.timeout(600)
    def test_newcomer_when_every_address_was_invented_then_listed(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        most, each = (65_536, 35_000) if soak_rounds(1) > 1 else (2_000, 1_200)
        if most < 65_536:
            limit_exporters(monkeypatch, most)
        # Names are not written meanwhile, which takes long for so many.
        world.limit(provisional_seconds=10**10)
        for quarter in range(4):
            sent(world, "192.0.2.1", 1, START + quarter * 900)
        sent(world, "192.0.2.2", 500, START + 2760)
        world.load(START + 2760)
        world.store.change_exporter(2, name="core")
        for part in range(2):
            world.now = START + 2820 + part * 60
            invented(world, part * each, each)
            sent(world, "192.0.2.3", 1, world.now)
            world.load()
        numbers = listed(world)
        assert {"192.0.2.1", "192.0.2.2", "192.0.2.3"} < numbers.keys()
        assert each < len(numbers) <= most
        sent(world, "192.0.2.4", 1, world.now)
        world.load(world.now + 10)
        assert "192.0.2.4" in listed(world)
        assert world.store.totals(Selection()).flows == 2 * each + 507
        world.now = START + 2 * DAY
        world.store.expire(world.now)
        assert listed(world).keys() == {"192.0.2.2"}
        assert world.store.totals(Selection()).flows == 2 * each + 507
        assert world.stored("SELECT DISTINCT exporter FROM appliance_rollup") == [(0,), (2,)]
