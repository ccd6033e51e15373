"""Blocks to batches: versions apart, plugins in guards, nothing lost beside the culprit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from appliance.collector import pipeline as pipelines
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.decoding.messages.block import Datagram, DatagramBlock, block_of
from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.results import DecodeResult
from appliance.flows import FlowBatch
from appliance.guard import GuardedDecoder, GuardedEnricher, PluginFailures
from tests.decoding.building import (
    BASIC,
    RECEIVED_MS,
    a_set,
    basic,
    datagram,
    decoders,
    ipfix,
    rows_of,
    template,
    v5,
    v5_record,
    v9,
)


class Sink:
    def __init__(self) -> None:
        self.batches: list[FlowBatch] = []

    def append(self, batch: FlowBatch) -> None:
        self.batches.append(batch)

    @property
    def octets(self) -> list[int]:
        return [n for batch in self.batches for n in batch.column("octet_delta_count").tolist()]


class Raising:
    """A decoder that fails on datagrams that hold a word, wherever they are in a block."""

    name, version = "raising", 5

    def __init__(self, word: bytes = b"boom") -> None:
        self.real, self.word = decoders()[5], word

    def decode(self, block: DatagramBlock, state: Any, now_ms: int) -> Any:
        if any(self.word in block.payload(row) for row in range(len(block))):
            raise ZeroDivisionError
        return self.real.decode(block, state, now_ms)


Make = Callable[..., tuple[Pipeline, Sink]]


@pytest.fixture
def make() -> Make:
    def made(*enrichers: Any, **replaced: Any) -> tuple[Pipeline, Sink]:
        registered = decoders()
        failures = PluginFailures()
        for name, decoder in replaced.items():
            registered[decoder.version] = GuardedDecoder(name, decoder, failures)
        named = [GuardedEnricher(f"plugin {n}", e, failures) for n, e in enumerate(enrichers)]
        sink = Sink()
        states = ExporterStates(ExporterLimits())
        return Pipeline(list(registered.values()), states, sink, named), sink

    return made


def five(octets: int, sequence: int = 0) -> Datagram:
    return datagram(v5(v5_record(octets=octets), sequence=sequence))


def taken(pipeline: Pipeline, *sent: Datagram) -> None:
    pipeline.take(block_of(sent), RECEIVED_MS)


def test_versions_when_mixed_in_a_block_then_each_goes_to_its_decoder(make: Make) -> None:
    pipeline, sink = make()
    sets = (template(300, *BASIC), basic(octets=9), basic(octets=10))
    taken(
        pipeline,
        five(5),
        datagram(v9(a_set(0, sets[0]), a_set(300, sets[1]))),
        datagram(b"\0\2"),
        datagram(b"\xff\xffsomething"),
        datagram(b"x"),
        datagram(b""),
        datagram(ipfix(a_set(2, sets[0]), a_set(300, sets[2]))),
        five(6, 1),
    )
    assert sorted(sink.octets) == [5, 6, 9, 10]
    assert pipeline.counts["datagrams_unsupported_version"] == 4
    assert [pipeline.counts[f"datagrams_v{v}"] for v in (5, 9, 10)] == [2, 1, 1]
    assert pipeline.counts["records"] == 4
    assert {version for _, version in pipeline.appeared} == {5}


def test_empty_block_when_taken_then_nothing_happens(make: Make) -> None:
    pipeline, sink = make()
    taken(pipeline)
    assert not sink.batches
    assert not pipeline.counts


def test_unsupported_versions_when_many_then_one_line_each(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, _ = make()
    for version in [*range(2000), 2, 2, 8]:
        taken(pipeline, datagram(version.to_bytes(2, "big")))
    lines = [r.getMessage() for r in caplog.records]
    assert lines.count("datagrams of version 8, which no decoder takes") == 1
    assert lines.count("datagrams of an unknown version, which no decoder takes") == 1
    assert len(lines) <= 257


def test_decoder_when_it_raises_then_only_the_culprit_is_lost(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, sink = make(decoder=Raising())
    bad = datagram(v5(v5_record()) + b"boom")
    taken(pipeline, five(1), bad, five(2, 1), five(3, 2), bad, five(4, 3))
    assert sink.octets == [1, 2, 3, 4]
    assert pipeline.counts["datagrams_lost_to_failures"] == 2
    assert pipeline.decoders[5].guard.failures.report()["decoder"]["decoder"]["count"] == 7
    (exporter,) = pipeline.states.exporters.values()
    assert exporter.counts["lost"] == 0
    failures = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(failures) == 1
    assert failures[0].exc_info


def test_decoder_when_one_of_many_makes_it_raise_then_few_calls_find_it(make: Make) -> None:
    raising = Raising()
    pipeline, sink = make(decoder=raising)
    calls = []
    real, raising.real = raising.real, SimpleNamespace()
    raising.real.decode = lambda *given: calls.append(given) or real.decode(*given)
    sent = [five(number, number) for number in range(200)]
    sent[77] = datagram(v5(v5_record()) + b"boom")
    taken(pipeline, *sent)
    assert len(sink.octets) == 199
    assert len(calls) <= 8


class Plain:
    """A decoder that tells nothing but columns: each datagram of 250 is one flow."""

    name, version = "plain", 250

    def decode(self, block: DatagramBlock, state: Any, now_ms: int) -> DecodeResult:
        if (block.octets[:, 2] == 255).any():
            raise MalformedMessage("odd", "a reason")
        octets = block.octets[:, 2].astype(np.uint64)
        rows = np.arange(len(block))
        batch = FlowBatch(len(block), {"octet_delta_count": octets}, datagrams=rows)
        return DecodeResult(batches=[batch])


def test_decoder_when_it_tells_only_columns_then_sender_and_time_are_known(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline, sink = make(decoder=Plain())
    senders = ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    octets = (7, 9, 255)
    taken(
        pipeline, *(datagram(bytes([0, 250, n]), e) for e, n in zip(senders, octets, strict=True))
    )
    rows = [row for batch in sink.batches for row in rows_of(batch)]
    assert [row["exporter_address"] for row in rows] == ["192.0.2.1", "192.0.2.2"]
    for name in ("collection_time", "flow_start", "flow_end"):
        assert {row[f"{name}_milliseconds"] for row in rows} == {RECEIVED_MS}
    first, _ = pipeline.states.exporters.values()
    assert first.sessions[2000].counts["datagrams"] == 1
    assert (first.counts["records"], first.counts["malformed"]) == (1, 1)
    assert pipeline.counts["records_with_skewed_time"] == 0
    assert "malformed: odd: a reason, from 192.0.2.1" in caplog.text


def test_decoder_when_it_always_raises_then_the_others_go_on(make: Make) -> None:
    pipeline, sink = make(decoder=Raising(b""))
    taken(pipeline, five(1), datagram(v9(a_set(0, template(300, *BASIC)), a_set(300, basic()))))
    assert len(sink.octets) == 1
    assert pipeline.counts["datagrams_lost_to_failures"] == 1


def test_enricher_when_it_raises_then_the_batch_goes_on_without_it(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def doubling(batch: FlowBatch) -> FlowBatch:
        columns = {**batch.columns, "octet_delta_count": batch.column("octet_delta_count") * 2}
        return FlowBatch(batch.n_records, columns, datagrams=batch.datagrams)

    def raising(batch: FlowBatch) -> FlowBatch:
        raise KeyError("no such column")

    def leaving(batch: FlowBatch) -> None:
        return None

    pipeline, sink = make(doubling, raising, leaving, doubling)
    taken(pipeline, five(10))
    taken(pipeline, five(20, 1))
    assert sink.octets == [40, 80]
    assert pipeline.enrichers[1].guard.failures.report()["plugin 1"]["enricher"]["count"] == 2
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["plugin plugin 1: enricher failed: KeyError: 'no such column'"]


@pytest.mark.parametrize("limit", [100, 1000, 10_000_000])
def test_block_when_larger_than_one_step_then_all_of_it_in_order(
    make: Make, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "MAX_OCTETS_TOGETHER", limit)
    pipeline, sink = make()
    taken(pipeline, *(five(n + 1, n) for n in range(100)))
    assert sink.octets == list(range(1, 101))
    (exporter,) = pipeline.states.exporters.values()
    assert (exporter.counts["lost"], exporter.counts["datagrams"]) == (0, 100)


def test_block_when_of_many_megabytes_then_in_several_steps(make: Make) -> None:
    pipeline, sink = make()
    sizes = []

    class Watching(Raising):
        def decode(self, block: DatagramBlock, state: Any, now_ms: int) -> Any:
            sizes.append(int(block.lengths.sum()))
            return self.real.decode(block, state, now_ms)

    pipeline.decoders[5] = GuardedDecoder("watching", Watching(), PluginFailures())
    whole = v5(*[v5_record(octets=1)] * 1364)
    taken(pipeline, *[datagram(whole)] * 200)
    assert len(sink.octets) == 200 * 1364
    assert sum(sizes) == 200 * len(whole)
    assert max(sizes) < pipelines.MAX_OCTETS_TOGETHER + 65_507
    assert len(sizes) > 1


def test_batches_when_handed_on_then_no_view_of_the_receivers_memory(make: Make) -> None:
    pipeline, sink = make()
    sets = a_set(0, template(300, *BASIC)) + a_set(300, basic() * 3)
    block = block_of([datagram(v9(sets)), five(7), datagram(ipfix(a_set(300, basic())))])
    pipeline.take(block, RECEIVED_MS)
    before = [
        {name: values.tolist() for name, values in batch.columns.items()} for batch in sink.batches
    ]
    for values in (block.octets, block.address_lo, block.port, block.received_ms):
        values[:] = 255 if values.dtype == np.uint8 else 1
    after = [
        {name: values.tolist() for name, values in batch.columns.items()} for batch in sink.batches
    ]
    assert before == after


def test_malformed_datagrams_when_many_then_one_line_and_a_count(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline, _ = make()
    taken(pipeline, *[datagram(ipfix()[:9])] * 50)
    assert pipeline.states.counts["malformed_header_cut"] == 50
    assert len(caplog.records) == 1
