"""Flows of the log become roll-ups: each is counted once, under its exporter and right names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.contracts import Direction, KeyedMeasure, Measure, Selection
from appliance.errors import StorageError
from appliance.flows import FlowBatch, address_halves
from appliance.plugins.rollups.bins import Size
from tests.plugins.rollups.world import HOUR, START, World


class TestRollups:
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

    def test_flows_when_records_stand_for_several_then_all_are_counted(self, world: Any):
        world.write(world.flows(10), world.flows(10, delta_flow_count=np.arange(1, 11)))
        world.write(world.flows(3, delta_flow_count=7))
        world.load()
        assert world.store.totals(Selection()).flows == 10 + 55 + 21
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

    def test_direction_when_a_public_network_is_the_operators_own_then_it_is_inside(
        self, world: Any
    ):
        world.networks = [{"name": "office", "prefixes": ["203.0.113.0/24"]}]
        office, outside = address_halves("203.0.113.9")[1], address_halves("198.51.100.1")[1]
        world.write(
            world.flows(3, source_address_lo=office, destination_address_lo=outside),
            world.flows(2, source_address_lo=outside, destination_address_lo=office),
        )
        world.load()
        by_direction = [
            world.store.totals(Selection(direction=direction)).flows
            for direction in (Direction.EGRESS, Direction.INGRESS)
        ]
        assert by_direction == [3, 2]

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

    def test_applications_when_sessions_of_one_address_name_them_apart_then_two_rows(
        self, world: Any
    ):
        exporter = address_halves("192.0.2.1")[1]
        # Two behind one address and port, a third behind another port that tells nothing itself.
        ports, domains = np.array([4000, 4000, 4001]), np.array([1, 2, 1])
        names = np.array(["voice", "backup"], object)
        options = FlowBatch(
            2,
            {
                "collection_time_milliseconds": np.full(2, START * 1000),
                "exporter_address_hi": np.zeros(2, "u8"),
                "exporter_address_lo": np.full(2, exporter, "u8"),
                "exporter_transport_port": ports[:2].astype("u2"),
                "observation_domain_id": domains[:2].astype("u4"),
                "record_kind": np.full(2, 2, "u1"),
                "application_id": np.full(2, 7, "u8"),
                "application_name": names,
            },
            options=True,
        )
        for _ in range(2):
            flows = world.flows(
                3,
                exporter_address_lo=exporter,
                exporter_transport_port=ports,
                observation_domain_id=domains,
                application_id=7,
                destination_transport_port=443,
                protocol_identifier=6,
                octet_delta_count=[1, 10, 100],
            )
            world.write(options, flows)
            world.load()
            world.restart()
        rows = {row.key: row.octets for row in world.top("application").rows}
        assert rows == {"voice": 2, "backup": 20, "https": 200}

    @pytest.mark.parametrize(
        ("told", "port", "protocol", "name"),
        [
            ("dns", 53, 17, "domain"),
            ("ssl", 443, 6, "https"),
            ("cifs", 445, 6, "microsoft-ds"),
            ("HTTP", 80, 6, "http"),
        ],
    )
    def test_application_when_told_by_one_exporter_and_not_by_another_then_one_name(
        self, world: Any, told: str, port: int, protocol: int, name: str
    ):
        exporter = address_halves("192.0.2.1")[1]
        options = FlowBatch(
            1,
            {
                "collection_time_milliseconds": np.full(1, START * 1000),
                "exporter_address_hi": np.zeros(1, "u8"),
                "exporter_address_lo": np.full(1, exporter, "u8"),
                "record_kind": np.full(1, 2, "u1"),
                "application_id": np.full(1, 7, "u8"),
                "application_name": np.array([told], object),
            },
            options=True,
        )
        for _ in range(2):
            flows = world.flows(
                2,
                exporter_address_lo=[exporter, exporter + 1],
                application_id=[7, 0],
                destination_transport_port=port,
                protocol_identifier=protocol,
            )
            world.write(options, flows)
            world.load()
            world.restart()
        (row,) = world.top("application").rows
        assert (row.key, row.flows) == (name, 4)
        assert world.stored("SELECT name FROM appliance_session_application") == [(told,)]

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
            world.store.appliance.execute("DELETE FROM appliance_exporter")
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
        monkeypatch.setattr("appliance.plugins.rollups.exporter_records.MOST_EXPORTERS", 1)
        world.write(world.flows(5, exporter_address_lo=address_halves("192.0.2.1")[1]))
        world.write(world.flows(7, exporter_address_lo=address_halves("192.0.2.2")[1]))
        world.load()
        world.load(START + 2 * HOUR)
        assert [record.address for record in world.store.exporters()] == ["192.0.2.1"]
        assert world.store.totals(Selection()).flows == 12
        assert [m.flows for m in world.store.totals_by_exporter(Selection()).values()] == [5]
        assert world.store.health()["counters"] == {"flows_beyond_exporter_limit": 7}
        world.check_sums()

    def test_late_flows_when_the_clock_steps_back_then_counted_once(self, world: Any):
        for step in (0, 60, 120, 180, 240, 300, -7200, -7140, 60, 0, 360, 420):
            world.write(world.flows(60, START + step, sources=60))
            world.load(START + step + 1)
        world.load(START + 3 * HOUR)
        world.check()
        for by in ("octets", "packets", "flows"):
            world.check_error(by, None, None)
            world.check_error(by, 1, None)

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
            assert 0 <= sums[0] - shown.octets <= found.error.octets + found.pending.octets
        world.load(START + 2000)
        world.check()
        assert world.top("source").error == Measure()


def pending(world: Any, size: Size) -> int:
    return world.stored(
        "SELECT count(*) FROM appliance_work WHERE done = 0 AND size = ?", int(size)
    )[0][0]
