"""Decoders and enrichers of plugins that fail in every way: the rest of a block is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.decoding.export_totals import ExportTotals, TotalsReport
from appliance.decoding.messages.block import block_of
from appliance.decoding.messages.faults import Fault, MalformedMessage
from appliance.decoding.results import DecodeResult, NameFact
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.timeline import SessionDomain
from appliance.flows import FlowBatch
from appliance.guard import (
    GuardedDecoder,
    GuardedEnricher,
    PluginError,
    PluginFailures,
)
from tests.decoding.building import RECEIVED_MS, datagram, decoders, v5, v5_record
from tests.guard.failing import RAISERS, guard_of, raiser, returning

TIME = np.zeros(1, np.int64)
SCOPE = SessionDomain(0, 1, 2, 3, 250)


def batch(n_records: int = 1, **columns: Any) -> FlowBatch:
    return FlowBatch(n_records, {"collection_time_milliseconds": TIME, **columns})


def result(*batches: Any, **rest: Any) -> DecodeResult:
    return DecodeResult(batches=list(batches), **rest)


RESULTS: list[Any] = [
    None,
    42,
    "text",
    [],
    batch(),
    DecodeResult(batches=42),  # type: ignore[arg-type]
    DecodeResult(batches=(batch(),)),  # type: ignore[arg-type]
    result(42),
    result(None),
    result(batch(2)),
    result(batch(np.int64(1))),  # type: ignore[arg-type]
    result(batch(no_such_column=TIME)),
    result(batch(octet_delta_count=np.zeros(1, np.int64))),
    result(batch(octet_delta_count=np.zeros(1, ">u8"))),
    result(batch(octet_delta_count=np.zeros((1, 1), np.uint64))),
    result(batch(octet_delta_count=[1])),
    result(batch(sampling_rate=np.array([np.nan]))),
    result(batch(application_name=np.array([5], object))),
    result(batch(application_name=np.array(["\ud800"], object))),
    result(FlowBatch(1, {"collection_time_milliseconds": TIME}, {"octets_0_1": TIME})),
    result(FlowBatch(1, {"collection_time_milliseconds": TIME}, datagrams=np.zeros(3, np.int64))),
    result(arrivals=42),
    result(counts={"x": np.int64(1)}),
    result(counts={4: 1}),
    result(counts=None),
    result(tallies={((0, 1, "2"), "records"): 1}),
    result(tallies={(SCOPE, 5): 1}),
    result(message_octets={SCOPE: np.int64(1)}),
    result(message_octets={(0, 1, 2): 1}),
    result(rates={(0, 1, 2): 1}),
    result(totals=[42]),
    result(totals=[TotalsReport(SCOPE, ExportTotals(np.int64(1)), (0, 0, 0))]),  # type: ignore[arg-type]
    result(totals=[TotalsReport(SCOPE, ExportTotals(1), (0, 0, "x"))]),  # type: ignore[arg-type]
    result(sequences={SCOPE: 42}),
    result(sequences={("a", None): SequenceState()}),
    result(sequences={SCOPE._replace(address_hi="x"): SequenceState()}),  # type: ignore[arg-type]
    result(restarted=[42]),
    result(templates=[42]),
    result(waiting=[None]),
    result(released=7),
    result(names=[42]),
    result(names=[NameFact(None, "application", 1, "a", "b")]),  # type: ignore[arg-type]
    result(faults=["broken"]),
    result(faults=[Fault("0", "x", "y")]),  # type: ignore[arg-type]
    result(sampling={((0, 1, 2), 250): 42}),
    result(unknown_elements={(0, "x"): 1}),
]


class Sink:
    def __init__(self) -> None:
        self.batches: list[FlowBatch] = []

    def append(self, batch: FlowBatch) -> None:
        self.batches.append(batch)


class Bad:
    """A decoder of version 250 that does one thing whatever it gets."""

    version, name = 250, "bad"

    def __init__(self, decode: Callable[..., Any]) -> None:
        self.decode = decode


def pipeline_of(bad: Any = None, *enrichers: Any) -> tuple[Pipeline, Sink, PluginFailures]:
    failures, sink = PluginFailures(), Sink()
    registered = list(decoders().values())
    if bad is not None:
        registered.append(GuardedDecoder("site", bad, failures))
    named = [GuardedEnricher("site", enricher, failures) for enricher in enrichers]
    return Pipeline(registered, ExporterStates(ExporterLimits()), sink, named), sink, failures


@pytest.mark.parametrize("decode", [*RAISERS, *map(returning, RESULTS)])
def test_decoder_when_it_fails_endlessly_then_others_go_on_and_the_plugin_is_counted(
    decode: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, sink, failures = pipeline_of(Bad(decode))
    for number in range(20):
        five = datagram(v5(v5_record(octets=number), sequence=number))
        pipeline.take(block_of([five, datagram(b"\0\xfabad")]), RECEIVED_MS)
    octets = [n for b in sink.batches for n in b.column("octet_delta_count").tolist()]
    assert octets == list(range(20))
    assert failures.report()["site"]["decoder"]["count"] == 20
    assert pipeline.counts["datagrams_v5"] == 20
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert [line[:29] for line in lines] == ["plugin site: decoder failed: "[:29]]


def test_decoder_when_it_calls_a_datagram_malformed_then_no_failure_of_the_plugin() -> None:
    pipeline, _, failures = pipeline_of(Bad(raiser(MalformedMessage("odd", "5 octets"))))
    pipeline.take(block_of([datagram(b"\0\xfa")] * 3), RECEIVED_MS)
    assert pipeline.states.counts["malformed_odd"] == 3
    assert not failures.total


def test_decoder_when_what_it_returns_does_not_fit_together_then_counted() -> None:
    """A row of a datagram that is not in the block is only noticed when the row is looked up."""
    block = block_of([datagram(b"\0\xfa")])
    real = decoders()[5].decode(block_of([datagram(v5(v5_record()))]), _no_states(), RECEIVED_MS)
    odd = batch(
        octet_delta_count=np.full(1, 1 << 60, np.uint64),
        flow_start_milliseconds=np.full(1, RECEIVED_MS, np.int64),
        flow_end_milliseconds=np.full(1, RECEIVED_MS, np.int64),
    )
    odd.datagrams = np.array([77])
    pipeline, sink, failures = pipeline_of(Bad(returning(result(odd, arrivals=real.arrivals))))
    pipeline.take(block, RECEIVED_MS)
    assert failures.report()["site"]["decoder"]["count"] == 1
    assert pipeline.counts["records_lost_to_failures"] == 1
    assert not sink.batches


def test_decoder_when_it_says_no_time_then_the_rows_have_that_of_their_block() -> None:
    pipeline, sink, failures = pipeline_of(Bad(returning(result(FlowBatch(3, {})))))
    pipeline.take(block_of([datagram(b"\0\xfa")]), RECEIVED_MS)
    assert not failures.total
    (rows,) = sink.batches
    assert rows.column("collection_time_milliseconds").tolist() == [RECEIVED_MS] * 3


def _no_states() -> ExporterStates:
    return ExporterStates(ExporterLimits())


def _in_place(batch: FlowBatch) -> None:
    batch.columns["octet_delta_count"][:] = 0


def _emptied(batch: FlowBatch) -> int:
    batch.columns.clear()
    return 42


def _shorter(batch: FlowBatch) -> FlowBatch:
    return FlowBatch(0, {name: column[:0] for name, column in batch.columns.items()})


def _without_octets(batch: FlowBatch) -> FlowBatch:
    kept = {n: c for n, c in batch.columns.items() if n != "octet_delta_count"}
    return FlowBatch(batch.n_records, kept)


def _with(name: str, values: Any) -> Callable[[FlowBatch], FlowBatch]:
    return lambda batch: FlowBatch(batch.n_records, batch.columns | {name: values})


@pytest.mark.parametrize(
    "enrich",
    [
        *RAISERS,
        *(returning(value) for value in (42, "text", [], batch(3), FlowBatch(1, {}))),
        _in_place,
        _emptied,
        _shorter,
        _without_octets,
        _with("no_such_column", np.zeros(2)),
        _with("vlan_id", np.zeros(3, np.uint16)),
        _with("vlan_id", np.zeros(2, np.uint32)),
        _with("vlan_id", [1, 2]),
    ],
)
def test_enricher_when_it_fails_then_the_batch_goes_on_as_it_was_before(
    enrich: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    doubled = lambda b: _with("octet_delta_count", b.column("octet_delta_count") * 2)(b)  # noqa: E731
    pipeline, sink, failures = pipeline_of(None, doubled, enrich, doubled)
    for number in range(5):
        records = v5(v5_record(octets=1), v5_record(octets=2), sequence=2 * number)
        pipeline.take(block_of([datagram(records)]), RECEIVED_MS)
    octets = [b.column("octet_delta_count").tolist() for b in sink.batches]
    assert octets == [[4, 8]] * 5
    assert failures.report()["site"]["enricher"]["count"] == 5
    assert len(caplog.records) == 1
    assert "plugin site: enricher failed: " in caplog.text


def test_failure_when_its_text_cannot_be_made_then_its_type_is_said() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    failures = PluginFailures()
    with pytest.raises(PluginError, match="plugin site: x: Mute"):
        guard_of("x", failures).call(raiser(Mute()), returning(None))
    assert failures.total == 1


def test_guard_when_interrupted_by_the_keyboard_then_it_ends() -> None:
    with pytest.raises(KeyboardInterrupt):
        guard_of("x", PluginFailures()).call(raiser(KeyboardInterrupt()), returning(None))
