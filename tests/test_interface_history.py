"""Names of interfaces over time, and their counters."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from appliance import interface_history
from appliance.counter_history import CounterReading
from appliance.errors import StorageError
from appliance.interface_history import (
    DeviceReading,
    InterfaceHistory,
    InterfaceNames,
    InterfaceReading,
)

ROUTER = "192.0.2.1"
HOUR = 3_600_000
START = 1_800_000_000_000


def reading(
    time_ms: int, *interfaces: tuple[int, str, str], uptime_ms: int = 1000, name: str = "r1"
) -> DeviceReading:
    listed = [InterfaceReading(*facts, 10**9, 5, None) for facts in interfaces]
    return DeviceReading(ROUTER, time_ms, uptime_ms, name, "a router", listed)


@pytest.fixture
def history(tmp_path: Path) -> InterfaceHistory:
    return InterfaceHistory(tmp_path / "interfaces.sqlite")


def names(history: InterfaceHistory, since_ms: int, until_ms: int, number: int = 7) -> object:
    known = history.interface_names([(ROUTER, number)], since_ms, until_ms)
    return known[ROUTER, number].names if known else None


def test_names_when_an_index_is_used_again_then_each_time_has_its_own(history: InterfaceHistory):
    history.record([reading(START, (7, "Gi0/1", "uplink"))])
    history.record([reading(START + HOUR, (7, "Gi0/1", "uplink"))])
    history.record([reading(START + 2 * HOUR, (7, "Gi0/2", "customer"))])
    assert names(history, START, START + HOUR) == ("Gi0/1",)
    assert names(history, START + 2 * HOUR, START + 3 * HOUR) == ("Gi0/2",)
    assert names(history, START, START + 3 * HOUR) == ("Gi0/2", "Gi0/1")
    # Before anything was known, the nearest name counts.
    assert names(history, START - 2 * HOUR, START - HOUR) == ("Gi0/1",)
    [known] = history.interface_names([(ROUTER, 7)], START + 2 * HOUR, START + 3 * HOUR).values()
    assert known == InterfaceNames("", ("Gi0/2",), ("customer",), 10**9)


def test_names_when_an_interface_went_then_its_past_keeps_the_name(history: InterfaceHistory):
    history.record([reading(START, (7, "Gi0/1", ""), (8, "Gi0/2", ""))])
    history.record([reading(START + HOUR, (8, "Gi0/2", ""))])
    assert names(history, START, START + HOUR) == ("Gi0/1",)
    assert history.interfaces_of(ROUTER) == [8]
    assert history.all_names(10) == [("Gi0/2", ROUTER, 8)]
    assert history.interfaces_named("gi0/1") == [(ROUTER, 7)]


def test_names_when_people_have_one_then_it_is_kept_beside(history: InterfaceHistory):
    history.record([reading(START, (7, "Gi0/1", ""))])
    history.set_own_name((ROUTER, 7), "Vienna")
    [known] = history.interface_names([(ROUTER, 7)], START, START + 1).values()
    assert (known.own, known.names) == ("Vienna", ("Gi0/1",))
    assert history.interfaces_named("vienna") == [(ROUTER, 7)]
    history.set_own_name((ROUTER, 7), "")
    assert history.interfaces_named("vienna") == []


def test_device_when_it_gets_another_name_then_the_newest_is_its_own(history: InterfaceHistory):
    history.record([reading(START, name="r1"), reading(START + HOUR, name="r2")])
    assert history.device_names() == {ROUTER: "r2"}


def test_counters_when_read_then_of_64_bits_with_the_uptime(history: InterfaceHistory):
    largest = (1 << 64) - 1
    one = InterfaceReading(7, "x", "", 0, largest, 1 << 63)
    history.record([DeviceReading(ROUTER, START, 50, "r", "", [one])])
    expected = {7: [CounterReading(START, 50, largest, 1 << 63)]}
    assert dict(history.counters(ROUTER, START, START)) == expected
    history.expire_counters(START + 1)
    assert dict(history.counters(ROUTER, 0, 2 * START)) == {}


def test_history_when_names_change_always_then_rows_end_at_the_bound(
    history: InterfaceHistory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(interface_history, "MAX_ROWS", 10)
    for second in range(50):
        history.record([reading(START + 1000 * second, (7, f"Gi{second}", ""))])
    [known] = history.interface_names([(ROUTER, 7)], 0, 2 * START).values()
    assert len(known.names) == 11
    assert known.names[0] == "Gi49"


def test_history_when_there_is_no_file_then_it_is_empty(history: InterfaceHistory):
    assert history.interface_names([(ROUTER, 7)], 0, START) == {}
    assert history.device_names() == {}
    assert not history.path.exists()


def test_history_when_the_file_is_damaged_then_answers_go_on_and_it_is_set_aside(
    history: InterfaceHistory, caplog: pytest.LogCaptureFixture
):
    history.path.write_bytes(b"no database " * 1000)
    with caplog.at_level(logging.WARNING):
        assert history.device_names() == {}
    assert "interfaces are shown without names" in caplog.text
    with pytest.raises(StorageError, match=r"set aside as interfaces\.damaged"):
        history.record([reading(START, (7, "Gi0/1", ""))])
    history.record([reading(START, (7, "Gi0/1", ""))])
    assert history.device_names() == {ROUTER: "r1"}


def test_history_when_it_cannot_be_written_then_a_storage_error(tmp_path: Path):
    history = InterfaceHistory(tmp_path / "absent" / "interfaces.sqlite")
    with pytest.raises(StorageError, match="unable to open"):
        history.record([reading(START)])
