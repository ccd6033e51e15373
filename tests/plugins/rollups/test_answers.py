"""Questions to the store: the answers equal the log, and take few queries."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from appliance.contracts import Direction, Measure, Selection
from appliance.errors import QueryError
from appliance.flowlog import FlowSearch
from appliance.flows import address_halves
from appliance.plugins.rollups.bins import Size
from tests.asking import top, totals
from tests.plugins.rollups.world import HOUR, START


class TestAnswers:
    def test_totals_when_nothing_is_loaded_then_zero(self, world: Any):
        assert world.store.totals(Selection()) == Measure()
        assert world.top("source").rows == ()
        assert world.top("protocol").rows == ()
        assert world.store.series([START, START + 60], Selection()) == [Measure()]
        assert world.store.exporters() == []
        assert world.store.load_once(START).rows == 0

    def test_totals_when_any_range_then_equal_to_the_flow_log(self, world: Any):
        world.fill_hours(6)
        search, random = FlowSearch(world.log), np.random.default_rng(5)
        for _ in range(12):
            since, until = sorted(random.integers(START - HOUR, START + 7 * HOUR, 2).tolist())
            since, until = since // 60 * 60, -(-until // 60) * 60
            found = world.store.totals(Selection(since=since, until=until))
            expected = totals(search, since_ms=since * 1000, until_ms=until * 1000)
            assert found == Measure(expected.octets, expected.packets, expected.flows)
        everything = totals(search)
        assert world.store.totals(Selection()).flows == everything.flows

    def test_top_when_at_most_n_names_then_equal_to_the_flow_log(self, world: Any):
        world.fill_hours(6)
        search, random = FlowSearch(world.log), np.random.default_rng(6)
        ranges = [sorted(random.integers(0, 6 * 60, 2).tolist()) for _ in range(5)]
        for first, last in [*ranges, (0, 6 * 60)]:
            since, until = START + first * 60, START + last * 60 + 60
            for dimension in ("source", "destination"):
                span = {"since_ms": since * 1000, "until_ms": until * 1000}
                expected = top(search, dimension, limit=1000, **span)
                found = world.top(dimension, since=since, until=until)
                assert [tuple(row) for row in found.rows] == [tuple(r.values()) for r in expected]
                assert (found.error, found.other) == (Measure(), Measure())

    def test_top_when_one_exporter_then_whole_hours_and_the_running_one_of_the_log(
        self, world: Any
    ):
        world.limit(top_per_exporter=20)
        world.fill_hours(3, per_hour=20)
        world.write(world.flows(30, START + 3 * HOUR + 100))
        world.load(START + 3 * HOUR + 130)
        for record in world.store.exporters():
            for dimension in ("source", "destination", "port"):
                for direction in (None, Direction.INGRESS):
                    expected = world.expected(
                        lambda r, d=dimension, e=record: (r["exporter"] == e.address, r[d])
                    )
                    found = world.top(dimension, exporter=record.id, direction=direction)
                    wanted = {key[1]: sums for key, sums in expected.items() if key[0]}
                    assert {row.key: tuple(row[1:]) for row in found.rows} == wanted
                    assert found.error == Measure()

    def test_top_when_one_exporter_and_any_minutes_then_equal_to_the_flow_log(self, world: Any):
        world.limit(top_per_exporter=20)
        world.fill_hours(4)
        world.write(world.flows(30, START + 4 * HOUR + 100, flow_direction=None))
        world.load(START + 4 * HOUR + 130)
        random = np.random.default_rng(8)
        ranges = [sorted(random.integers(0, 4 * 60, 2).tolist()) for _ in range(5)]
        # Inside an hour, over its end, up to now, from before everything.
        ranges += [(65, 66), (119, 121), (200, 400), (-70, 10), (60, 120)]
        addresses = {record.id: record.address for record in world.store.exporters()}
        for first, last in ranges:
            since, until = START + first * 60, START + (last + 1) * 60
            for exporter, address in addresses.items():
                for direction in (None, *Direction):
                    for dimension in ("source", "destination"):
                        expected = world.expected(
                            lambda r, d=dimension: (r["exporter"], r["direction"], r[d]),
                            since,
                            until,
                        )
                        wanted: dict[str, list[int]] = {}
                        for key, sums in expected.items():
                            if key[0] == address and direction in (None, key[1]):
                                before = wanted.setdefault(key[2], [0, 0, 0])
                                wanted[key[2]] = [a + b for a, b in zip(before, sums, strict=True)]
                        found = world.top(
                            dimension,
                            since=since,
                            until=until,
                            exporter=exporter,
                            direction=direction,
                        )
                        assert {row.key: list(row[1:]) for row in found.rows} == wanted
                        assert (found.error, found.other) == (Measure(), Measure())

    def test_top_when_the_log_has_lost_minutes_then_the_error_has_what_is_missing(self, world: Any):
        world.fill_hours(2)
        since = START + 1800
        before = world.top("source", since=since, until=since + 600, exporter=1)
        assert before.total.octets > 0
        world.writer.close()
        shutil.rmtree(world.log)
        (world.log / "flows").mkdir(parents=True)
        found = world.top("source", since=since, until=since + 600, exporter=1)
        assert (found.rows, found.error) == ((), before.total)
        shutil.rmtree(world.log)
        with pytest.raises(QueryError, match="sources of one device are kept by whole hours"):
            world.top("source", since=since, until=since + 600, exporter=1)

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_top_when_a_part_of_an_hour_has_too_many_names_then_the_error_bounds_the_others(
        self, world: Any, monkeypatch: pytest.MonkeyPatch, place: int
    ):
        monkeypatch.setattr("appliance.plugins.rollups.log_names.MOST_NAMES", 7)
        world.fill_hours(1)
        world.write(world.flows(200, START + HOUR + 100, sources=90))
        world.load(START + HOUR + 300)
        since, until = START + 1800, START + HOUR + 120
        expected = world.expected(lambda r: (r["exporter"], r["source"]), since, until)
        wanted = {key[1]: sums for key, sums in expected.items() if key[0] == "192.0.2.1"}
        by = ("octets", "packets", "flows")[place]
        found = world.top("source", by, since=since, until=until, exporter=1)
        shown = {row.key: row[1:] for row in found.rows}
        assert len(shown) < len(wanted)
        assert found.error[place] > 0
        for name, sums in wanted.items():
            row = shown.get(name, (0, 0, 0))
            for measure in range(3):
                assert 0 <= sums[measure] - row[measure] <= found.error[measure]

    @pytest.mark.parametrize("by", ["octets", "packets", "flows"])
    def test_top_when_the_first_are_in_every_bin_then_exact_although_others_are_cut_off(
        self, world: Any, by: Any
    ):
        large = address_halves("203.0.113.0")[1] + np.arange(60, dtype=np.uint64) % 15
        for minute in range(4):
            at = START + 60 * minute
            world.write(world.flows(400, at, sources=300))
            for _ in range(4):
                counts = {"octet_delta_count": 10**9, "packet_delta_count": 10**6}
                world.write(world.flows(60, at, source_address_lo=large, **counts))
        world.load(START + 300)
        expected = world.expected(lambda r: r["source"])
        found = world.store.top("source", Selection(), by, 15)
        assert len(expected) > 300
        assert {row.key: tuple(row[1:]) for row in found.rows} == {
            key: sums for key, sums in expected.items() if key.startswith("203.0.113.")
        }
        assert found.error == Measure()
        assert found.other.octets > 0

    def test_top_when_rows_may_be_wrong_then_the_error_bounds_them_and_what_is_not_shown(
        self, world: Any
    ):
        for minute in range(4):
            world.write(world.flows(400, START + 60 * minute, sources=300))
        world.load(START + 300)
        expected = world.expected(lambda r: r["source"])
        for place, by in enumerate(("octets", "packets", "flows")):
            for limit in (1, 15, 25, 200):
                found = world.store.top("source", Selection(), by, limit)
                assert found.error[place] > 0
                shown = {row.key: row[1:] for row in found.rows}
                for key, sums in shown.items():
                    for measure in range(3):
                        assert 0 <= expected[key][measure] - sums[measure] <= found.error[measure]
                last = min(sums[place] for sums in shown.values()) if len(shown) == limit else 0
                beside = [sums[place] for key, sums in expected.items() if key not in shown]
                assert max(beside) - last <= found.error[place]

    def test_bin_when_asked_for_then_the_smallest_that_a_range_can_begin_with(self, world: Any):
        world.limit(
            kept_seconds={Size.MINUTE: 2 * HOUR, Size.QUARTER: 6 * HOUR, Size.HOUR: 6 * HOUR}
        )
        world.fill_hours(5)
        moment = START + 4 * HOUR + 1234
        minute = (moment // 60 * 60, moment // 60 * 60 + 60)
        hour = (START + 4 * HOUR, START + 5 * HOUR)
        assert world.store.bin_at(moment) == minute
        assert world.store.bin_at(moment, "source", 1) == minute
        assert world.store.bin_at(moment, "port", 1) == hour
        old = moment - 2 * HOUR
        assert world.store.bin_at(old) == (START + 2 * HOUR + 900, START + 2 * HOUR + 1800)
        assert world.store.bin_at(old, "source") == (START + 2 * HOUR, START + 3 * HOUR)
        assert world.store.bin_at(START - 1000) == ((START - 1000) // 60 * 60, START - 960)

    def test_top_when_names_are_many_then_the_error_is_never_larger_than_told(self, world: Any):
        world.limit(group_names=40)
        for hour in range(3):
            for minute in range(0, 60, 20):
                world.write(world.flows(150, START + hour * HOUR + minute * 60, sources=200))
        world.load(START + 2 * HOUR + 2000)
        world.check()
        for exporter in (None, 1):
            for direction in (None, Direction.INGRESS):
                for by in ("octets", "packets", "flows"):
                    world.check_error(by, exporter, direction)

    def test_top_when_limited_then_other_has_the_rest(self, world: Any):
        world.write(world.flows(200))
        world.load()
        for dimension in ("source", "port", "protocol", "application"):
            whole = world.top(dimension)
            for limit in (1, 2):
                found = world.store.top(dimension, Selection(), "packets", limit)
                assert len(found.rows) == limit
                assert found.rows[0].packets == max(row.packets for row in whole.rows)
                rest = whole.total.octets - sum(row.octets for row in found.rows)
                assert found.other.octets == rest
                assert found.total == whole.total

    def test_totals_by_exporter_when_asked_then_only_those_with_traffic(self, world: Any):
        world.write(world.flows(50, START), world.flows(5, START + 2 * HOUR, sampling_rate=2.0))
        late = address_halves("192.0.2.50")[1]
        world.write(world.flows(3, START + 2 * HOUR, exporter_address_lo=late))
        world.load(START + 2 * HOUR + 10)
        expected = world.expected(lambda r: r["exporter"])
        ids = {record.address: record.id for record in world.store.exporters()}
        found = world.store.totals_by_exporter(Selection())
        assert {key: tuple(v) for key, v in found.items()} == {
            ids[address]: sums for address, sums in expected.items()
        }
        only = world.store.totals_by_exporter(Selection(until=START + HOUR))
        assert ids["192.0.2.50"] not in only
        one = world.store.totals_by_exporter(Selection(exporter=ids["192.0.2.50"]))
        assert list(one) == [ids["192.0.2.50"]]

    def test_series_when_boundaries_of_any_kind_then_sums_between_them(self, world: Any):
        world.fill_hours(6)
        now = START + 6 * HOUR
        for boundaries in (
            list(range(START, now + 1, HOUR)),
            [START - 86400, START + 900, START + 1800, START + 7200],
            [START + 60, START + 120, START + 3660, now],
            [START + 19800 * k for k in range(4)],
            [START + 60 * 17, START + HOUR, START + 2 * HOUR, START + 3 * HOUR + 60 * 41],
        ):
            found = world.store.series(boundaries, Selection(direction=Direction.INGRESS))
            for since, until, measure in zip(boundaries[:-1], boundaries[1:], found, strict=True):
                expected = world.expected(lambda r: r["direction"], since, until)
                assert tuple(measure) == expected.get(0, (0, 0, 0))

    def test_top_when_late_flows_change_final_bins_then_the_answer_follows(self, world: Any):
        world.fill_hours(2)
        world.load(START + 2 * HOUR + 300)
        store = world.store
        for moment in (START + 5, START + HOUR + 1230, START + 2 * HOUR + 250, START - 2 * HOUR):
            assert store.top("source", Selection()).error == Measure()
            assert store.top("source", Selection(exporter=1)).rows
            world.write(world.flows(30, moment))
            for later in (310, 320, 700):
                world.load(START + 2 * HOUR + later)
                expected = world.expected(lambda r: r["source"])
                found = store.top("source", Selection())
                assert {row.key: tuple(row[1:]) for row in found.rows} == expected

    def test_columns_when_there_is_no_table_of_pmacct_then_those_of_the_log(self, world: Any):
        found = world.store.columns()
        assert list(found)[:3] == ["peer_ip_src", "ip_src", "ip_dst"]
        assert found["ip_src"] == {
            "defaultValue": None, "type": "char", "maxLength": 45, "nullable": True
        }  # fmt: skip
        assert found["src_port"]["type"] == "int"

    def test_queries_when_a_question_is_asked_then_their_number_does_not_grow(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        world.fill_hours(6)
        with counted(world, monkeypatch) as queries:
            for selection in (Selection(), Selection(since=START + 60), Selection(exporter=1)):
                for number, questions in (
                    (2, lambda s, q: s.totals(q)),
                    (2, lambda s, q: s.totals_by_exporter(q)),
                    (2, lambda s, q: s.top("protocol", q)),
                    (2, lambda s, q: s.top("application", q, limit=3)),
                    (2, lambda s, q: s.series([START, START + HOUR, START + 2 * HOUR], q)),
                ):
                    queries.clear()
                    questions(world.store, selection)
                    assert len(queries) == number
            queries.clear()
            world.store.top("source", Selection(), limit=15)
            assert len(queries) == 4
            queries.clear()
            world.store.top("source", Selection(exporter=1), limit=15)
            assert len(queries) <= 7
            queries.clear()
            world.store.exporters()
            assert len(queries) == 1

    def test_plan_when_a_range_is_read_then_by_the_primary_key(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        world.fill_hours(6)
        with counted(world, monkeypatch) as queries:
            world.store.totals(Selection(since=START + 60))
            world.store.top("source", Selection(since=START + 60), limit=15)
            world.store.totals_by_exporter(Selection(since=START + 60))
            read = [query for query in queries if "appliance_rollup WHERE" in query[0]]
        assert len(read) == 4
        for sql, parameters in read:
            with world.store.flows.transaction():
                plan = world.store.flows.rows(f"EXPLAIN {explain(world)} {sql}", parameters)
            text = " ".join(str(row) for row in plan)
            assert "PRIMARY" in text
            assert "SCAN appliance_rollup" not in text
            assert "'ALL'" not in text.replace("<derived2>', 'ALL'", "").replace(
                "<derived2>', None, 'ALL'", ""
            )


def explain(world: Any) -> str:
    return "QUERY PLAN" if world.url.startswith("sqlite") else ""


@contextmanager
def counted(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Note every query that a block makes."""
    seen: list[tuple[str, Any]] = []
    for database in (world.store.flows, world.store.appliance):
        original = database.execute

        def execute(sql: str, parameters: Any = (), original: Any = original) -> Any:
            seen.append((sql, parameters))
            return original(sql, parameters)

        monkeypatch.setattr(database, "execute", execute)
    yield seen
