"""What every database of the SQL store must do: one class, run on SQLite and on MariaDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flowlog import FlowSearch, TopQuestion
from appliance.flows import FlowBatch, address_halves
from appliance.plugins.sql_store.bins import Size
from appliance.stores import Direction, KeyedMeasure, Measure, Selection
from tests.plugins.sql_store.world import World

START = 1_801_429_200
HOUR = 3600


class TestStore:
    def test_totals_when_nothing_is_loaded_then_zero(self, world: Any):
        assert world.store.totals(Selection()) == Measure()
        assert world.top("source").rows == ()
        assert world.top("protocol").rows == ()
        assert world.store.series([START, START + 60], Selection()) == [Measure()]
        assert world.store.exporters() == []
        assert world.store.load_once(START).rows == 0

    def test_rollups_when_flows_come_in_pieces_then_equal_to_the_log(self, world: Any):
        world.store.loader.piece_rows = 70
        for minute in range(4):
            world.write(world.flows(100, START + 60 * minute), world.flows(50, START + 60 * minute))
            world.load(START + 60 * minute + 2)
        world.check()
        assert world.load() == 0

    def test_rollups_when_the_log_is_sealed_meanwhile_then_equal_to_the_log(self, world: Any):
        for minute in range(0, 90, 10):
            world.write(world.flows(40, START + 60 * minute))
            if minute % 30 == 0:
                world.seal()
            if minute % 20 == 0:
                world.load(START + 60 * minute + 5)
        world.load(START + 3 * HOUR)
        world.check()

    def test_rollups_when_sampled_then_scaled_and_rounded_row_by_row(self, world: Any):
        rates = np.array([0.0, 1.0, 2.5, 1000.0, np.nan, -3.0] * 10)
        batch = world.flows(60, octet_delta_count=np.arange(60), sampling_rate=rates)
        world.write(batch, world.flows(5, sampling_rate=100.0))
        world.load()
        world.check()

    def test_rollups_when_records_are_events_then_not_counted(self, world: Any):
        world.write(world.flows(10), world.flows(10, record_kind=np.arange(10) % 2))
        world.write(world.flows(10, record_kind=1))
        world.load()
        assert world.store.totals(Selection()).flows == 15
        world.check()

    def test_direction_when_exported_or_not_then_told_or_by_local_networks(self, world: Any):
        inside, outside = address_halves("10.1.1.1")[1], address_halves("203.0.113.9")[1]
        pairs = [(outside, inside), (inside, inside), (inside, outside), (outside, outside)]
        for place, (source, destination) in enumerate(pairs):
            addresses = {"source_address_lo": source, "destination_address_lo": destination}
            world.write(world.flows(1, octet_delta_count=10**place, **addresses))
        world.write(world.flows(2, octet_delta_count=[10**5, 10**6], flow_direction=[1, 0]))
        world.load()
        ingress = world.store.totals(Selection(direction=Direction.INGRESS))
        egress = world.store.totals(Selection(direction=Direction.EGRESS))
        assert (ingress.octets, egress.octets) == (1 + 10 + 1000 + 10**6, 100 + 10**5)
        world.check()

    def test_addresses_when_version_6_then_named_and_counted(self, world: Any):
        hi, lo = address_halves("2001:db8::1")
        six = {"source_address_hi": hi, "source_address_lo": lo + np.arange(6) % 3}
        world.write(world.flows(6, **six), world.flows(4))
        world.load()
        expected = world.expected(lambda r: r["source"])
        assert {row.key: row[1:] for row in world.top("source").rows} == expected

    def test_application_when_the_exporter_names_it_then_that_else_the_port(self, world: Any):
        names = {1: "webex-meeting", 2: " http\x00 ", 3: ""}
        exporter = address_halves("192.0.2.1")[1]
        options = FlowBatch(
            3,
            {
                "collection_time_milliseconds": np.full(3, START * 1000),
                "exporter_address_hi": np.zeros(3, "u8"),
                "exporter_address_lo": np.full(3, exporter, "u8"),
                "record_kind": np.full(3, 2, "u1"),
                "application_id": np.array(list(names), "u8"),
                "application_name": np.array(list(names.values()), object),
            },
            options=True,
        )
        world.write(
            options,
            world.flows(
                4,
                exporter_address_lo=exporter,
                application_id=[1, 2, 3, 9],
                destination_transport_port=443,
                octet_delta_count=[1, 10, 100, 1000],
                protocol_identifier=6,
            ),
            world.flows(
                1,
                exporter_address_lo=exporter + 1,
                application_id=1,
                destination_transport_port=60_000,
                octet_delta_count=7,
            ),
        )
        world.load()
        found = {row.key: row.octets for row in world.top("application").rows}
        assert found == {"webex-meeting": 1, "http": 10, "https": 1100, "unknown": 7}
        world.restart()
        world.write(world.flows(1, exporter_address_lo=exporter, application_id=1))
        world.load()
        assert len(world.top("application").rows) == 4

    @pytest.mark.parametrize("what", ["options", "flows"])
    def test_loaders_when_an_orphaned_one_is_still_at_work_then_nothing_counts_twice(
        self, world: Any, monkeypatch: pytest.MonkeyPatch, what: str
    ):
        options = FlowBatch(
            1,
            {
                "collection_time_milliseconds": np.full(1, START * 1000),
                "exporter_address_hi": np.zeros(1, "u8"),
                "exporter_address_lo": np.full(1, address_halves("192.0.2.1")[1], "u8"),
                "record_kind": np.full(1, 2, "u1"),
                "application_id": np.full(1, 1, "u8"),
                "application_name": np.array(["webex-meeting"], object),
            },
            options=True,
        )
        world.write(*([options] if what == "options" else []), world.flows(50))
        orphan = World(world.folder, world.url, world.now, world.limits).store
        step = {"options": "_load_options", "flows": "_next_piece"}[what]
        real = getattr(orphan.loader, step)

        def overtaken(*arguments: Any) -> Any:
            """Another loader stores all there is between this one's reading and writing."""
            monkeypatch.setattr(orphan.loader, step, real)
            world.load()
            return real(*arguments)

        monkeypatch.setattr(orphan.loader, step, overtaken)
        with pytest.raises(StorageError):
            orphan.load_once(world.now)
        assert orphan.load_once(world.now).rows == 0
        orphan.close()
        world.load()
        assert world.store.totals(Selection()).flows == 50
        world.check()

    def test_exporters_when_they_send_then_numbered_once_and_changed_by_hand(self, world: Any):
        world.write(world.flows(50))
        world.load()
        world.restart()
        world.write(world.flows(50))
        world.load(START + 5)
        first, second = world.store.exporters()
        assert {first.address, second.address} == {"192.0.2.1", "192.0.2.2"}
        assert (first.name, first.info, first.created, first.updated) == ("", "", START, START)
        world.now = START + 100.25
        world.store.change_exporter(first.id, name="Käse\U0001f9c0", info="floor 2")
        changed = world.store.exporters()[0]
        assert (changed.name, changed.info) == ("Käse\U0001f9c0", "floor 2")
        assert (changed.created, changed.updated) == (START, START + 100.25)
        world.now = START + 200
        world.store.change_exporter(first.id, name="Käse\U0001f9c0")
        assert world.store.exporters()[0].updated == START + 100.25
        with pytest.raises(KeyError):
            world.store.change_exporter(99, name="nobody")

    def test_exporters_when_the_appliance_database_is_lost_then_numbers_come_back(self, world: Any):
        world.write(world.flows(50))
        world.load()
        before = [(record.id, record.address) for record in world.store.exporters()]
        with world.store.appliance.transaction(write=True):
            world.store.appliance.execute("DELETE FROM exporter")
        world.restart()
        world.write(world.flows(50, exporter_address_lo=address_halves("192.0.2.99")[1]))
        world.write(world.flows(50))
        world.load()
        assert [(r.id, r.address) for r in world.store.exporters()][:2] == before
        assert len(world.store.exporters()) == 3
        world.check()

    def test_exporters_when_too_many_then_counted_among_all_only(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("appliance.plugins.sql_store.exporters.MOST_EXPORTERS", 1)
        world.write(world.flows(5, exporter_address_lo=address_halves("192.0.2.1")[1]))
        world.write(world.flows(7, exporter_address_lo=address_halves("192.0.2.2")[1]))
        world.load()
        world.load(START + 2 * HOUR)
        assert [record.address for record in world.store.exporters()] == ["192.0.2.1"]
        assert world.store.totals(Selection()).flows == 12
        assert [m.flows for m in world.store.totals_by_exporter(Selection()).values()] == [5]
        assert world.store.health()["counters"] == {"flows_beyond_exporter_limit": 7}
        world.check_sums()

    def test_totals_when_any_range_then_equal_to_the_flow_log(self, world: Any):
        fill_hours(world, 6)
        search, random = FlowSearch(world.log), np.random.default_rng(5)
        for _ in range(12):
            since, until = sorted(random.integers(START - HOUR, START + 7 * HOUR, 2).tolist())
            since, until = since // 60 * 60, -(-until // 60) * 60
            found = world.store.totals(Selection(since=since, until=until))
            question = TopQuestion("source", since * 1000, until * 1000, limit=1000)
            expected = search.totals(question)
            assert found == Measure(expected.octets, expected.packets, expected.flows)
        everything = search.totals()
        assert world.store.totals(Selection()).flows == everything.flows

    def test_top_when_at_most_n_names_then_equal_to_the_flow_log(self, world: Any):
        fill_hours(world, 6)
        search, random = FlowSearch(world.log), np.random.default_rng(6)
        ranges = [sorted(random.integers(0, 6 * 60, 2).tolist()) for _ in range(5)]
        for first, last in [*ranges, (0, 6 * 60)]:
            since, until = START + first * 60, START + last * 60 + 60
            for dimension in ("source", "destination"):
                question = TopQuestion(dimension, since * 1000, until * 1000, limit=1000)
                expected = search.top(question).to_pylist()
                found = world.top(dimension, since=since, until=until)
                assert [tuple(row) for row in found.rows] == [tuple(r.values()) for r in expected]
                assert (found.error, found.other) == (Measure(), Measure())

    def test_top_when_one_exporter_then_whole_hours_and_the_running_one_of_the_log(
        self, world: Any
    ):
        world.limit(top_per_exporter=20)
        fill_hours(world, 3, per_hour=20)
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
                    self._check_error(world, by, exporter, direction)

    def _check_error(self, world: Any, by: Any, exporter: int | None, direction: Any) -> None:
        address = {record.id: record.address for record in world.store.exporters()}
        expected = world.expected(
            lambda r: (
                exporter is None or address[exporter] == r["exporter"],
                direction is None or direction == r["direction"],
                r["source"],
            )
        )
        wanted = {key[2]: sums for key, sums in expected.items() if key[0] and key[1]}
        found = world.top("source", by, exporter=exporter, direction=direction)
        rows = {row.key: tuple(row[1:]) for row in found.rows}
        assert "" not in rows
        for name, sums in wanted.items():
            shown = rows.get(name, (0, 0, 0))
            for measure in range(3):
                assert 0 <= sums[measure] - shown[measure] <= found.error[measure]
        total = tuple(sum(sums[m] for sums in wanted.values()) for m in range(3))
        assert tuple(found.total) == total
        assert all(
            sum(row[m + 1] for row in found.rows) + found.other[m] == total[m] for m in range(3)
        )

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
        fill_hours(world, 6)
        now = START + 6 * HOUR
        for boundaries in (
            list(range(START, now + 1, HOUR)),
            [START - 86400, START + 900, START + 1800, START + 7200],
            [START + 60, START + 120, START + 3660, now],
            [START + 19800 * k for k in range(4)],
        ):
            found = world.store.series(boundaries, Selection(direction=Direction.INGRESS))
            for since, until, measure in zip(boundaries[:-1], boundaries[1:], found, strict=True):
                expected = world.expected(lambda r: r["direction"], since, until)
                assert tuple(measure) == expected.get(0, (0, 0, 0))

    def test_late_flows_when_the_clock_steps_back_then_counted_once(self, world: Any):
        for step in (0, 60, 120, 180, 240, 300, -7200, -7140, 60, 0, 360, 420):
            world.write(world.flows(60, START + step, sources=60))
            world.load(START + step + 1)
        world.load(START + 3 * HOUR)
        world.check()
        for by in ("octets", "packets", "flows"):
            self._check_error(world, by, None, None)
            self._check_error(world, by, 1, None)

    def test_top_when_late_flows_change_final_bins_then_the_answer_follows(self, world: Any):
        fill_hours(world, 2)
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

    def test_late_flows_when_their_hour_is_made_then_it_is_made_again(self, world: Any):
        world.write(world.flows(40, START))
        world.load(START + HOUR + 300)
        assert not pending(world, Size.HOUR)
        world.write(world.flows(40, START + 10))
        world.load(START + HOUR + 301)
        world.load(START + HOUR + 600)
        assert not pending(world, Size.HOUR)
        world.check()
        found = world.top("source", exporter=1)
        assert found.total.flows == sum(
            sums[2]
            for key, sums in world.expected(lambda r: r["exporter"]).items()
            if key == world.store.exporters()[0].address
        )

    def test_restart_when_minutes_are_open_then_their_names_are_found_again(self, world: Any):
        world.limit(provisional_seconds=1000.0)
        for step in range(6):
            for _ in range(2):
                world.write(world.flows(20, START + 20 * step))
                world.load(START + 20 * step)
            world.restart()
        found = world.top("source")
        expected = world.expected(lambda r: r["source"])
        assert found.total.flows == 240
        for name, sums in expected.items():
            shown = next(
                (row for row in found.rows if row.key == name), KeyedMeasure(name, 0, 0, 0)
            )
            assert 0 <= sums[0] - shown.octets <= found.error.octets
        world.load(START + 2000)
        world.check()
        assert world.top("source").error == Measure()

    def test_expire_when_bins_are_old_then_only_the_larger_stay(self, world: Any):
        kept = {Size.MINUTE: 2 * HOUR, Size.QUARTER: 5 * HOUR, Size.HOUR: 86400}
        world.limit(kept_seconds=kept)
        fill_hours(world, 8)
        before = world.store.totals(Selection())
        assert world.store.expire(world.now) > 0
        assert world.store.expire(world.now) == 0
        oldest = dict(
            world.stored("SELECT size, MIN(bin_start) FROM rollup GROUP BY size ORDER BY size")
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
        fill_hours(world, 4)
        names = [(r.id, r.address) for r in world.store.exporters()]
        with world.store.flows.transaction(write=True):
            world.store.flows.execute("UPDATE rollup SET octets = 1 WHERE bin_start >= 0")
        world.store.rebuild(world.now)
        world.load()
        assert [(r.id, r.address) for r in world.store.exporters()] == names
        expected = world.expected(lambda _: 0, START + HOUR)
        assert tuple(world.store.totals(Selection(since=START + HOUR))) == expected[0]
        assert world.load() == 0

    def test_rebuild_when_the_log_begins_late_then_older_sums_stay(self, world: Any):
        world.limit(top_per_exporter=20)
        fill_hours(world, 7)
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
        assert found["schema_version"] == 2
        assert found["bins_to_make"] == 3
        assert found["cursor"] == [1, 10]
        world.load()
        assert world.store.health()["lag_seconds"] == 0

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
        fill_hours(world, 6)
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
            assert len(queries) <= 6
            queries.clear()
            world.store.exporters()
            assert len(queries) == 1

    def test_plan_when_a_range_is_read_then_by_the_primary_key(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ):
        fill_hours(world, 6)
        with counted(world, monkeypatch) as queries:
            world.store.totals(Selection(since=START + 60))
            world.store.top("source", Selection(since=START + 60), limit=15)
            world.store.totals_by_exporter(Selection(since=START + 60))
            read = [query for query in queries if "rollup" in query[0]]
        assert len(read) == 4
        for sql, parameters in read:
            with world.store.flows.transaction():
                plan = world.store.flows.rows(f"EXPLAIN {explain(world)} {sql}", parameters)
            text = " ".join(str(row) for row in plan)
            assert "PRIMARY" in text
            assert "SCAN rollup" not in text
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


def fill_hours(world: Any, hours: int, per_hour: int = 12) -> None:
    """Write and load some hours of flows, now and then sealing the log."""
    for hour in range(hours):
        for part in range(per_hour):
            at = START + hour * HOUR + part * (HOUR // per_hour)
            world.write(world.flows(10, at + world.seed % 7))
            if hour % 3 == 2 and part == per_hour // 2:
                world.seal()
        world.load(START + (hour + 1) * HOUR - 1)
    world.load(START + hours * HOUR)


def pending(world: Any, size: Size) -> int:
    return world.stored("SELECT count(*) FROM work WHERE done = 0 AND size = ?", int(size))[0][0]


def dump(world: Any, size: int) -> dict[Any, Any]:
    rows = world.stored(
        "SELECT dimension, exporter, direction, bin_start, name, octets, packets, flows"
        " FROM rollup WHERE size = ? AND flags < 8",
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
