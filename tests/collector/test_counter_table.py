"""The latest counters of interfaces: bounded, one reading in five minutes, nothing dropped
silently; and the thread that brings them to sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from appliance.collector import counter_table
from appliance.collector.counter_handover import INTERVAL_MS, CounterHandover
from appliance.collector.counter_table import SILENT_MS, STEP_MS, CounterTable
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.contracts import CounterSink, ExportedCounters
from appliance.decoding.messages.block import Datagram, block_of
from appliance.errors import StorageError
from appliance.flows import FlowBatch, address_halves
from appliance.guard import PluginFailures, guard_object
from appliance.guard.methods import COUNTER_SINK
from tests.decoding.building import datagram, decoders
from tests.decoding.sflow import AGENT, counter_sample, if_counters, sflow
from tests.guard.failing import RAISERS, guard_of

START_MS = 1_700_000_100_000
assert START_MS % STEP_MS == 0
OTHER = "192.0.2.99"
Table = tuple[CounterTable, Callable[..., None]]


class Nowhere:
    def append(self, batch: FlowBatch) -> None:
        raise AssertionError(batch)


@pytest.fixture
def table() -> Table:
    """A table, and what brings datagrams to it as the collector does."""
    made = CounterTable(lambda sender: sender != address_halves(OTHER))
    states = ExporterStates(ExporterLimits())
    pipeline = Pipeline(list(decoders().values()), states, Nowhere())
    pipeline.counters = made

    def send(*sent: Datagram) -> None:
        pipeline.take(block_of(sent), sent[-1].received_ms)

    return made, send


def told(
    if_index: int = 3,
    octets: int = 0,
    *,
    after_ms: int = 0,
    sender: str = AGENT,
    uptime: int | None = None,
    **header: Any,
) -> Datagram:
    sample = counter_sample(if_counters(if_index, (octets, octets)), source=if_index)
    uptime = 1_000_000 + after_ms if uptime is None else uptime
    payload = sflow(sample, uptime=uptime, **header)
    return datagram(payload, sender, received_ms=START_MS + after_ms)


def octets_due(table: CounterTable, after_ms: int) -> list[tuple[int, int | None]]:
    return [(one.if_index, one.in_octets) for one in table.due(START_MS + after_ms)]


def test_counters_when_sent_twice_a_minute_then_one_reading_in_five_minutes(table: Table) -> None:
    held, send = table
    due = []
    for after_ms in range(0, 3 * STEP_MS, 30_000):
        send(told(3, after_ms, after_ms=after_ms), told(4, 7, after_ms=after_ms))
        due += octets_due(held, after_ms)
    assert due == [(3, 0), (4, 7), (3, STEP_MS), (4, 7), (3, 2 * STEP_MS), (4, 7)]
    assert held.counts["interface_counters"] == 60


def test_counters_when_twice_in_a_block_then_the_later(table: Table) -> None:
    held, send = table
    send(told(3, 1), told(4, 2), told(3, 5, after_ms=10))
    assert sorted(octets_due(held, 10)) == [(3, 5), (4, 2)]


def test_sub_agents_when_they_count_one_interface_then_each_by_itself(table: Table) -> None:
    held, send = table
    send(told(3, 100, sub_agent=1), told(3, 9, sub_agent=2))
    due = held.due(START_MS)
    assert [(one.domain, one.in_octets) for one in due] == [(1, 100), (2, 9)]


def test_counters_when_more_interfaces_than_places_then_refused_and_counted(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_table, "MAX_OF_SENDER", 2)
    monkeypatch.setattr(counter_table, "MAX_INTERFACES", 3)
    held, send = table
    for sender in ("192.0.2.1", "192.0.2.2"):
        send(*(told(number, sender=sender, agent=sender) for number in (1, 2, 3)))
    assert [(one.exporter, one.if_index) for one in held.due(START_MS)] == [
        ("192.0.2.1", 1),
        ("192.0.2.1", 2),
        ("192.0.2.2", 1),
    ]
    assert held.counts["interface_counters_refused"] == 3


def test_counters_when_of_a_newcomer_then_not_kept_and_counted(table: Table) -> None:
    held, send = table
    send(told(sender=OTHER))
    assert not held.due(START_MS)
    assert held.counts["interface_counters_of_newcomers"] == 1


def test_counters_when_another_sender_tells_of_the_same_agent_then_the_first_counts(
    table: Table,
) -> None:
    held, send = table
    send(told(3, 100))
    send(told(3, 5, sender="192.0.2.66"), told(3, 200, after_ms=1))
    assert octets_due(held, 1) == [(3, 200)]
    assert held.counts["interface_counters_of_another_sender"] == 1


def test_counters_when_a_datagram_was_overtaken_then_not_taken_for_a_restart(table: Table) -> None:
    held, send = table
    send(told(3, 200))
    send(told(3, 100, uptime=1_000_000 - 5))
    assert octets_due(held, 0) == [(3, 200)]
    assert held.counts["interface_counters_overtaken"] == 1
    send(told(3, 1, after_ms=STEP_MS, uptime=50))
    [reading] = held.due(START_MS + STEP_MS)
    assert (reading.in_octets, reading.uptime_ms) == (1, 50)


def test_interfaces_when_silent_then_forgotten_and_their_places_free(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_table, "MAX_OF_SENDER", 1)
    held, send = table
    send(told(3))
    held.due(START_MS + SILENT_MS + 1)
    assert len(held) == 0
    send(told(4, after_ms=SILENT_MS + 1))
    assert octets_due(held, SILENT_MS + 1) == [(4, 0)]


def test_readings_when_many_are_due_then_the_rest_comes_next(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_table, "MAX_DUE", 2)
    held, send = table
    send(*(told(number) for number in (1, 2, 3)))
    assert [octets_due(held, 0) for _ in range(3)] == [[(1, 0), (2, 0)], [(3, 0)], []]
    send(*(told(number, after_ms=STEP_MS) for number in (1, 2, 3)))
    sink = Sink()
    handed_over(held, sink).stop(START_MS + STEP_MS)
    assert len(sink.kept) == 3


class Sink:
    """Keeps counters, once it may."""

    name = "sink"

    def __init__(self, problem: Exception | None = None) -> None:
        self.kept: list[ExportedCounters] = []
        self.may, self.problem = threading.Event(), problem
        self.may.set()

    def keep(self, counters: Sequence[ExportedCounters], now: float) -> None:
        assert self.may.wait(60)
        if self.problem is not None:
            raise self.problem
        self.kept += counters


def handed_over(held: CounterTable, *sinks: CounterSink) -> CounterHandover:
    handover = CounterHandover(held, sinks)
    handover.start()
    return handover


def test_handover_when_a_sink_is_slow_then_the_loop_goes_on_with_the_latest(table: Table) -> None:
    held, send = table
    sink = Sink()
    sink.may.clear()
    handover = handed_over(held, sink)
    for turn in range(5):
        send(told(3, turn, after_ms=turn * STEP_MS))
        handover.turn(START_MS + turn * STEP_MS)
    sink.may.set()
    handover.stop(START_MS + 5 * STEP_MS)
    octets = [one.in_octets for one in sink.kept]
    assert octets[0] == 0
    assert octets[-1] == 4
    assert handover.figures()["interface_counters_kept"] == len(octets)


def test_handover_when_it_is_not_time_then_nothing(table: Table) -> None:
    held, send = table
    sink = Sink()
    handover = handed_over(held, sink)
    handover.turn(START_MS)
    send(told(3))
    handover.turn(START_MS + INTERVAL_MS - 1)
    assert len(octets_due(held, 0)) == 1
    handover.stop(START_MS)
    assert not sink.kept


@pytest.mark.parametrize("function", RAISERS)
def test_handover_when_a_sink_fails_then_counted_and_the_next_keeps(
    table: Table, function: Callable[..., Any]
) -> None:
    held, send = table
    failures, bad, good = PluginFailures(), Sink(), Sink()
    bad.keep = function  # type: ignore[method-assign]
    sinks = [guard_object(guard_of("counters", failures), s, COUNTER_SINK) for s in (bad, good)]
    handover = handed_over(held, *sinks)
    send(told(3, 5))
    handover.turn(START_MS)
    handover.stop(START_MS)
    assert [one.in_octets for one in good.kept] == [5]
    assert failures.report()["site"]["counters"]["count"] >= 1
    assert handover.figures()["interface_counters_lost"] == 1


def test_handover_when_the_disk_is_full_then_counted_as_lost(table: Table) -> None:
    held, send = table
    handover = handed_over(held, Sink(StorageError("no space left")))
    send(told(3))
    handover.stop(START_MS)
    figures = handover.figures()
    assert figures["interface_counters_lost"] == 1
    assert "interface_counters_kept" not in figures


def test_handover_when_nobody_keeps_counters_then_none_are_held(table: Table) -> None:
    handover = handed_over(table[0])
    assert handover.table is None
    handover.turn(START_MS)
    handover.stop(START_MS)
    assert handover.figures() == {}
