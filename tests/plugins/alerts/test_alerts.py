"""Alerts from flows in the log: when they begin and end, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.collector.paths import CollectorPaths
from appliance.collector.status import write_status
from appliance.errors import StorageError
from appliance.flows import V4_MAPPED
from appliance.interface_history import DeviceReading, InterfaceReading, interface_history
from appliance.plugins.alerts import evaluator, tracking
from appliance.plugins.alerts.rules import Rule
from tests.plugins.alerts.conftest import START, World, flows

VICTIM = V4_MAPPED | 0xC6336401


class Listed:
    """Settings with lists of addresses."""

    def __init__(self, settings: Any, lists: dict[str, Path]) -> None:
        self._settings, self._lists = settings, lists

    def __getitem__(self, name: Any) -> Any:
        return self._lists if name == "search.lists" else self._settings[name]


def flood(n: int, at: float, **columns: Any) -> Any:
    return flows(n, at, destination_address_lo=VICTIM, tcp_control_bits=2, **columns)


def test_alert_when_a_flood_begins_and_ends_then_both_are_told_with_evidence(world: World) -> None:
    world.rule(
        filter="flags S and not flags AFRPU", measure="fps", by="destination", window=5, limit=100
    )
    for _ in range(3):
        world.step(flows(50, world.now), flood(10, world.now))
    assert world.alerts() == []
    for _ in range(5):
        world.step(flows(50, world.now), flood(400, world.now, octet_delta_count=60))
    [alert] = world.alerts()
    assert (alert.subject, alert.severity, alert.ended) == ("198.51.100.1", "warning", None)
    assert alert.evidence[0] == {
        "source": "10.0.0.1",
        "destination": "198.51.100.1",
        "destination_port": 0,
        "protocol": 6,
        "octets": 60.0,
    }
    for _ in range(8):
        world.step(flows(50, world.now))
    assert world.alerts() == []
    [ended] = world.alerts(only_open=False)
    assert ended.peak == pytest.approx(400, rel=0.1)
    assert ended.ended is not None
    assert [text.partition(":")[0] for text in world.told] == ["begins", "over"]
    assert "destination 198.51.100.1" in world.told[0]


def test_alert_when_it_must_last_then_a_short_peak_is_none(world: World) -> None:
    world.rule(measure="bps", window=5, limit=1000, hold=10)
    for second in range(30):
        world.step(flows(100 if second < 4 else 1, world.now))
    assert world.alerts(only_open=False) == []
    for _ in range(20):
        world.step(flows(100, world.now))
    assert world.subjects() == [""]


def test_alert_when_the_process_is_killed_then_it_goes_on_and_ends_once(world: World) -> None:
    world.rule(measure="bps", by="source", window=5, limit=1000)
    for _ in range(5):
        world.step(flows(100, world.now))
    [before] = world.alerts()
    world.loader = world.new_loader()
    for _ in range(4):
        world.step(flows(100, world.now))
    assert [alert.id for alert in world.alerts()] == [before.id]
    for _ in range(12):
        world.step()
    assert [alert.ended is not None for alert in world.alerts(only_open=False)] == [True]
    assert len(world.told) == 2


def test_alert_when_an_exporter_is_silent_then_named_until_it_sends_again(world: World) -> None:
    world.rule(measure="fps", by="exporter", window=10, condition="below", limit=0.01)
    other = {"exporter_address_lo": V4_MAPPED | 0x0A0000FD}
    for _ in range(20):
        world.step(flows(1, world.now), flows(1, world.now, **other))
    assert world.alerts(only_open=False) == []
    for _ in range(20):
        world.step(flows(1, world.now))
    assert world.subjects() == ["10.0.0.253"]
    # Known again from the alert, though it sends nothing to this process.
    world.loader = world.new_loader()
    for _ in range(20):
        world.step(flows(1, world.now))
    assert world.subjects() == ["10.0.0.253"]
    world.step(flows(5, world.now, **other))
    world.step()
    assert world.alerts() == []


def test_alert_when_nothing_comes_at_all_then_told_as_well(world: World) -> None:
    world.rule(measure="fps", window=10, condition="below", limit=1)
    for _ in range(20):
        world.step()
    assert world.subjects() == [""]


def test_alert_when_an_interface_is_full_then_by_its_speed(world: World) -> None:
    interface = InterfaceReading(7, "Gi0/1", "", 100_000, None, None)
    reading = DeviceReading("10.0.0.254", START * 1000, 1, "", "", [interface])
    interface_history(world.settings).record([reading])
    world.rule(by="ingress_interface", condition="utilisation", window=5, limit=90)
    for _ in range(6):
        world.step(
            flows(130, world.now, ingress_interface=7), flows(500, world.now, ingress_interface=8)
        )
    [alert] = world.alerts()
    assert alert.subject == "10.0.0.254/7"
    assert alert.peak == pytest.approx(104, rel=0.1)


def test_alert_when_one_source_tries_many_addresses_then_a_scan(world: World) -> None:
    world.loader.store.switch_rule("scan of many hosts", True)
    world.step()
    for second in range(4):
        many = np.arange(300, dtype="u8") + np.uint64(V4_MAPPED | 0xCB007100 + 300 * second)
        world.step(flows(300, world.now, destination_address_lo=many))
    [alert] = world.alerts()
    assert (alert.rule, alert.subject, alert.peak) == ("scan of many hosts", "10.0.0.1", 600)


def test_alert_when_an_address_is_in_a_list_then_told_and_the_list_is_read_again(
    settings: Any, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("203.0.113.9\n")
    world = World(Listed(settings, {"bad": bad}))
    world.loader.store.switch_rule("bad addresses", True)
    for _ in range(4):
        world.step(flows(2, world.now))
    assert world.alerts() == []
    bad.write_text("203.0.113.9\n192.0.2.0/24\n")
    for _ in range(70):
        world.step(flows(2, world.now))
    assert world.subjects() == ["10.0.0.1"]
    world.writer.close(int(world.now * 1000))


def test_alert_when_flows_are_sampled_then_scaled(world: World) -> None:
    world.rule(window=5, limit=50_000)
    world.step(flows(1, world.now, sampling_rate=1000))
    assert [alert.peak for alert in world.alerts()] == [100 * 1000 * 8 / 5]


def test_alerts_when_very_many_groups_are_above_then_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "MAX_OPEN", 5)
    world.rule(by="source", window=5, limit=10)
    sources = np.arange(2000, dtype="u8") + np.uint64(V4_MAPPED)
    octets = np.arange(2000) + 100
    world.step(flows(2000, world.now, source_address_lo=sources, octet_delta_count=octets))
    assert len(world.alerts()) == 5
    assert min(alert.peak for alert in world.alerts()) >= (100 + 1995) * 8 / 5


def test_alert_when_many_invented_groups_are_larger_then_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "MAX_CANDIDATES", 10)
    world.rule(by="source", window=5, limit=1000)
    for _ in range(3):
        world.step(flows(20, world.now))
    assert world.subjects() == ["10.0.0.1"]
    for second in range(4):
        invented = np.arange(500, dtype="u8") + np.uint64(V4_MAPPED + 1000 * second)
        many = flows(500, world.now, source_address_lo=invented, octet_delta_count=10**6)
        world.step(flows(20, world.now), many)
    [alert] = [alert for alert in world.alerts() if alert.subject == "10.0.0.1"]
    assert alert.id == 1
    assert len(world.alerts()) > 10


def test_rule_when_switched_off_or_changed_then_its_alerts_end(world: World) -> None:
    rule = world.rule(window=5, limit=1000)
    for _ in range(3):
        world.step(flows(100, world.now))
    assert world.subjects() == [""]
    world.loader.store.put_rule(replace(rule, is_on=False))
    world.step(flows(100, world.now), seconds=6)
    world.step(flows(100, world.now))
    assert world.alerts() == []


def test_rule_when_its_filter_is_no_longer_understood_then_told_and_others_go_on(
    world: World,
) -> None:
    world.loader.store.put_rule(replace(world.rule(window=5, limit=1000), name="other"))
    rule = replace(world.loader.store.rule("a rule"), filter="ip in @gone")
    world.loader.store.put_rule(rule)
    for _ in range(8):
        world.step(flows(100, world.now))
    assert [alert.rule for alert in world.alerts()] == ["other"]
    assert any(text.startswith("rule a rule: filter: line 1") for text in world.warnings)


def test_loader_when_no_rule_is_on_then_holds_nothing_of_the_log(world: World) -> None:
    world.step(flows(10, world.now))
    before = world.loader.cursor()
    world.writer.close(int(world.now * 1000))
    world.writer.start()
    world.step(flows(10, world.now))
    after = world.loader.cursor()
    assert before is not None
    assert after is not None
    assert after > before


def test_loader_when_it_is_behind_then_goes_on_with_now_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "PIECE_ROWS", 10)
    world.rule(window=5, limit=1000)
    old = [flows(10, START + second) for second in range(20)]
    world.now = START + 100.0
    world.step(*old)
    assert any("behind" in text for text in world.warnings)
    assert world.alerts() == []


def exporters(world: World, lost: int, received: int, waiting: int = 0) -> None:
    """Write what the collector says of one exporter."""
    session = {"version": 10, "last_seen_ms": int(world.now * 1000), "lost": lost}
    session |= {"records": received, "waiting_sets": waiting}
    facts = {**session, "sessions": {"4000": session}}
    status = {"exporters": {"192.0.2.7": facts}, "time": world.now}
    write_status(CollectorPaths(world.settings["data_directory"]).status, status)


def test_alert_when_an_exporter_loses_flows_then_by_its_share_of_the_window(world: World) -> None:
    world.loader.store.switch_rule("flows lost", True)
    for second in range(20):
        exporters(world, lost=1000, received=10_000 + 100 * second)
        world.step()
    assert world.alerts() == []
    for second in range(20):
        exporters(world, lost=1000 + 5 * second, received=12_000 + 95 * second)
        world.step()
    [alert] = world.alerts()
    assert (alert.rule, alert.subject) == ("flows lost", "192.0.2.7")
    assert "% lost" in alert.sentence.replace("percent", "%")


def test_alert_when_data_wait_for_a_template_for_long_then_told(world: World) -> None:
    world.loader.store.switch_rule("template missing", True)
    for _ in range(63):
        exporters(world, 0, 1000, waiting=3)
        world.step(seconds=10)
    assert [alert.subject for alert in world.alerts()] == ["192.0.2.7"]
    exporters(world, 0, 1000)
    world.step(seconds=10)
    world.step()
    assert world.alerts() == []


def test_store_when_its_file_is_damaged_then_set_aside_and_begun_anew(world: World) -> None:
    store, rule = world.loader.store, Rule("r", limit=1)
    store.path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match=r"set aside as alerts\.damaged"):
        store.put_rule(rule)
    store.put_rule(rule)
    assert store.rule("r") == rule
