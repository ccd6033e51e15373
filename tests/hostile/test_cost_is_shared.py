"""What costs a lot to decode costs its sender; nobody else loses anything by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.collector.fair_share import QUEUE_OCTETS, FairShare
from appliance.collector.pipeline import Pipeline
from appliance.decoding.messages.block import Datagram, block_of
from appliance.flows import FlowBatch
from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from tests.collector.running import RunningCollector, soak_rounds
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    RECEIVED_MS,
    V9,
    a_set,
    basic,
    datagram,
    decode,
    decoders,
    template,
)
from tests.hostile.layouts import LARGEST, ORDINARY, attacking, packed, sets_of_own_layouts

HOSTILE = "198.51.100.66"
SILENCE_SECONDS = 6.0
"""Between two states of the collector's figures, which it writes every two seconds."""


class Sink:
    def __init__(self) -> None:
        self.records: dict[int, int] = {}

    def append(self, batch: FlowBatch) -> None:
        for exporter in batch.column("exporter_address_lo").tolist():
            self.records[exporter] = self.records.get(exporter, 0) + 1

    def of(self, address: str) -> int:
        return self.records.get(datagram(b"", address).address_lo, 0)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def pipeline(sink: Sink) -> Pipeline:
    states = ExporterStates(ExporterLimits())
    return Pipeline(list(decoders().values()), states, sink, (), FairShare(states.is_known))


def hostile(n_layouts: int = 2040, octets: int = ORDINARY) -> list[Datagram]:
    announcements, sets = sets_of_own_layouts(n_layouts, 1)
    messages = [V9.message(*part) for part in packed(sets, octets)]
    return [datagram(message, HOSTILE) for message in (*announcements, *messages)]


def honest(n_datagrams: int) -> list[Datagram]:
    data = V9.message(a_set(300, basic() * 25))
    return [
        datagram(V9.message(V9.templates(template(300, *BASIC)))),
        *[datagram(data)] * n_datagrams,
    ]


def test_honest_flows_when_a_block_is_full_of_layouts_then_are_decoded_at_once(
    pipeline: Pipeline, sink: Sink
) -> None:
    pipeline.take(block_of([*hostile(), *honest(40), *hostile()]), RECEIVED_MS)
    assert sink.of(EXPORTER) == 1000
    assert sink.of(HOSTILE) == 0
    assert pipeline.share is not None
    assert pipeline.share.waits


def test_costly_datagrams_when_there_is_time_then_none_is_lost(
    pipeline: Pipeline, sink: Sink
) -> None:
    given = hostile(600)
    pipeline.take(block_of(given), RECEIVED_MS)
    pipeline.take(block_of(given), RECEIVED_MS)
    pipeline.take_waiting(RECEIVED_MS, time.monotonic() + 3600)
    expected = decode(*given, *given, one_by_one=True)
    assert sink.of(HOSTILE) == sum(batch.n_records for batch in expected.batches)
    assert pipeline.states.exporters.keys() == expected.states.exporters.keys()
    assert not pipeline.states.counts["waiting_sets_kept"]


def test_queue_when_full_then_drops_are_counted_and_memory_is_bounded(pipeline: Pipeline) -> None:
    given = hostile()
    pipeline.take(block_of(given), RECEIVED_MS)
    for _ in range(60):
        pipeline.take(block_of(given), RECEIVED_MS)
    share = pipeline.share
    assert share is not None
    assert share.dropped > 0
    (note,) = share.throttled.values()
    assert (note.waited, note.dropped) == (share.waited, share.dropped)
    assert note.waited + note.dropped == 61 * len(given)
    assert note.waited * ORDINARY < 1.2 * QUEUE_OCTETS


def test_message_when_of_hundreds_of_layouts_then_the_first_are_read_and_it_is_counted() -> None:
    announcements, sets = sets_of_own_layouts(500, 1)
    decoded = decode(*announcements, V9.message(*sets))
    assert decoded.counts["malformed_too_many_layouts"] == 1
    assert 0 < sum(batch.n_records for batch in decoded.batches) <= 128
    assert decoded.exporter().counts["malformed"] == 1


def test_message_when_of_many_sets_of_few_layouts_then_all_are_read() -> None:
    announcements, sets = sets_of_own_layouts(8, 1)
    decoded = decode(*announcements, V9.message(*(sets * 60)))
    assert not decoded.counts["malformed_too_many_layouts"]
    assert sum(batch.n_records for batch in decoded.batches) == 480


# The collector as a process.


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Callable[[str], RunningCollector]]:
    started: list[RunningCollector] = []

    def start(settings: str) -> RunningCollector:
        started.append(RunningCollector(tmp_path, settings))
        return started[-1].start()

    yield start
    for running in started:
        running.close()


def sent_beside_an_attack(
    running: RunningCollector, n_senders: int, octets: int, rate: float, seconds: float
) -> tuple[Transmission, float]:
    """Send honest flows while others attack; return what was sent and the longest silence."""
    profiles = [ExporterProfile("honest", "ipfix", clients=50, servers=200)]
    transmission = Transmission(
        Generator(profiles), running.target, Order(rate=10_000, seconds=seconds)
    )
    silences = []
    last = time.monotonic(), running.status().get("time_ms")

    def watch(_: Transmission) -> None:
        nonlocal last
        now, written = time.monotonic(), running.status().get("time_ms")
        silences.append(now - last[0])
        if written != last[1]:
            last = now, written

    with attacking(running.target, n_senders, octets, rate):
        transmission.run(watch)
    return transmission, max(silences)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("n_senders", "octets", "rate", "buffer"),
    [
        pytest.param(8, ORDINARY, 450, "64MB", id="620 kB a second from 8 addresses"),
        pytest.param(1, LARGEST, 1, "104KB", id="one of 64 kB a second, the kernel's own buffer"),
    ],
)
def test_honest_exporter_when_others_send_layouts_then_loses_nothing(
    collector: Callable[[str], RunningCollector],
    n_senders: int,
    octets: int,
    rate: float,
    buffer: str,
    figure: Callable[[str, object], None],
) -> None:
    running = collector(f"  receive_buffer: {buffer}\n")
    before = psutil.Process(running.status()["pid"]).memory_info().rss
    seconds = 60 if soak_rounds(1) > 1 else 8
    transmission, silence = sent_beside_an_attack(running, n_senders, octets, rate, seconds)
    memory = psutil.Process(running.status()["pid"]).memory_info().rss
    running.wait_for("time_ms", int(time.time() * 1000))
    status = running.status()
    assert running.stop() == 0
    honest_one = status["exporters"]["127.0.0.2"]
    figure("lost of the honest flows", f"{honest_one['lost']} of {transmission.total.flows}")
    figure("longest silence", f"{silence:.1f} s")
    figure("memory grew by", f"{(memory - before) / 1e6:.0f} MB")
    assert honest_one["lost"] == 0
    assert status["kernel_drops"] == 0
    assert honest_one["records"] == transmission.total.flows
    assert silence < SILENCE_SECONDS
    assert memory - before < 300e6
    if n_senders > 1:
        assert status["throttled"]["datagrams_waited"] > 0
        assert set(status["throttled"]["exporters"]) <= {f"127.7.0.{n}" for n in range(1, 9)}
