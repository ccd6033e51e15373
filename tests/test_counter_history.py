"""Counters of interfaces as exporters send them: kept, expired, and what answers read of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from appliance import counter_history
from appliance.contracts import ExportedCounters
from appliance.counter_history import CounterHistory, CounterReading, InterfaceState
from appliance.errors import StorageError
from appliance.interface_history import DeviceReading, InterfaceHistory, InterfaceReading

SWITCH = "192.0.2.7"
START = 1_700_000_100_000
STEP = 300_000
LARGEST = (1 << 64) - 1


def sent(
    step: int = 0,
    if_index: int = 3,
    octets: int | None = 5,
    *,
    domain: int = 0,
    speed: int = 10**9,
    exporter: str = SWITCH,
) -> ExportedCounters:
    time_ms = START + step * STEP
    facts = (exporter, if_index, domain, 105, time_ms, 1000 + step * STEP, speed)
    return ExportedCounters(*facts, is_up=True, in_octets=octets, out_octets=LARGEST)


@pytest.fixture
def history(tmp_path: Path) -> CounterHistory:
    return CounterHistory(tmp_path / "counters.sqlite")


def test_counters_when_kept_then_those_of_the_range_in_order(history: CounterHistory) -> None:
    history.record([sent(1, octets=9), sent(0, octets=LARGEST), sent(5)])
    history.record([sent(0, if_index=4, octets=None)])
    first = CounterReading(START, 1000, LARGEST, LARGEST)
    second = CounterReading(START + STEP, 1000 + STEP, 9, LARGEST)
    readings = history.readings(SWITCH, START, START + 2 * STEP)
    assert readings[3] == [first, second]
    assert readings[4] == [CounterReading(START, 1000, None, LARGEST)]
    assert list(history.readings(SWITCH, START, START + STEP, 4)) == [4]
    assert history.readings("192.0.2.8", START, START + STEP) == {}


def test_counters_when_two_domains_count_an_interface_then_never_mixed(
    history: CounterHistory,
) -> None:
    history.record([sent(step, octets=step, domain=1) for step in (0, 2)])
    history.record([sent(step, octets=1000 + step, domain=2) for step in (0, 1, 2)])
    readings = history.readings(SWITCH, START, START + 2 * STEP)[3]
    assert [one.in_octets for one in readings] == [1000, 1001, 1002]


def test_interfaces_when_told_again_then_what_was_said_last(history: CounterHistory) -> None:
    history.record([sent(0), sent(0, 4, speed=0)])
    history.record([sent(1, speed=10**10), sent(0, speed=5)])
    states = history.interfaces(SWITCH)
    assert states[3] == InterfaceState(START + STEP, 105, 10**10, is_up=True)
    assert states[3].source == "sFlow"
    assert history.speeds() == {(SWITCH, 3): 10**10}
    assert history.exporters() == [SWITCH]


def test_counters_when_old_then_deleted_and_the_interface_with_the_last(
    history: CounterHistory,
) -> None:
    history.record([sent(0), sent(1), sent(0, 4), sent(0, exporter="192.0.2.8")])
    history.expire(START + STEP)
    assert [one.time_ms for one in history.readings(SWITCH, 0, 2 * START)[3]] == [START + STEP]
    assert list(history.interfaces(SWITCH)) == [3]
    assert history.exporters() == [SWITCH]
    assert history.readings("192.0.2.8", 0, 2 * START) == {}


def test_interfaces_when_a_device_numbers_anew_without_end_then_the_oldest_go(
    history: CounterHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_history, "MAX_INTERFACES", 2)
    history.record([sent(step, 10 + step) for step in range(5)])
    history.expire(0)
    assert list(history.interfaces(SWITCH)) == [13, 14]


def test_history_when_the_file_is_damaged_then_no_counters_and_it_begins_anew(
    history: CounterHistory, caplog: pytest.LogCaptureFixture
) -> None:
    history.path.write_bytes(b"no database" * 100)
    with caplog.at_level(logging.WARNING):
        assert history.readings(SWITCH, 0, 2 * START) == {}
    assert "without counters that exporters send" in caplog.text
    with pytest.raises(StorageError, match=r"set aside as counters\.damaged"):
        history.record([sent()])
    history.record([sent()])
    assert history.exporters() == [SWITCH]


def test_speeds_when_snmp_knows_one_too_then_that_counts(
    history: CounterHistory, tmp_path: Path
) -> None:
    history.record([sent(0, 3), sent(0, 4, speed=10**8)])
    polled = InterfaceHistory(tmp_path / "interfaces.sqlite")
    assert [one.speed for one in polled.interfaces_with_speed()] == [10**9, 10**8]
    known = [InterfaceReading(3, "Gi0/3", "", 4 * 10**10, 1, 1)]
    polled.record([DeviceReading(SWITCH, START, 1000, "s1", "", known)])
    assert [(one.exporter, one.number, one.speed) for one in polled.interfaces_with_speed()] == [
        (SWITCH, 3, 4 * 10**10),
        (SWITCH, 4, 10**8),
    ]
