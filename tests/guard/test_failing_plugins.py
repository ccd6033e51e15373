"""Objects of plugins that fail in every way: who calls them goes on, and the plugin is named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.loader import StoreFiller
from appliance.collector.pipeline import Pipeline
from appliance.contracts import Answer, LoadReport, Route
from appliance.decoding.results import DecodeResult, NameFact
from appliance.errors import RequestError
from appliance.flowlog import Cursor
from appliance.flows import FlowBatch
from appliance.guard import (
    Guard,
    GuardedDecoder,
    GuardedEnricher,
    PluginError,
    PluginFailures,
    guarded,
)
from appliance.guard.methods import ACCOUNTS, BACKUP, FEED, LOADER, METRICS, STORE
from appliance.wire.block import block_of
from appliance.wire.errors import MalformedMessage
from appliance.wire.message import Fault
from appliance.wire.sequence import SequenceState
from appliance.wire.timeline import Scope
from tests.decoding.building import RECEIVED_MS, datagram, decoders, v5, v5_record
from tests.web.building import Client, FakeStore, settings_of, web_of

TIME = np.zeros(1, np.int64)
SCOPE = Scope(0, 1, 2, 3, 250)


class OwnError(BaseException):
    """What no `except Exception` catches."""


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


RAISERS = [
    raiser(error)
    for error in (
        ZeroDivisionError("x"),
        KeyError("x"),
        SystemExit(3),
        OwnError(),
        RecursionError(),
        MemoryError(),
        GeneratorExit(),
        StopIteration(),
    )
]


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


def returning(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


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


class Loader:
    """A loader that works, but for one method."""

    name = "a loader"

    def load_once(self, now: float) -> LoadReport:
        return LoadReport(rows=1)

    def finish(self, now: float) -> list[str]:
        return []

    def cursor(self) -> tuple[int, int] | None:
        return 4, 5

    def expire(self, now: float) -> int:
        return 0


def guard_of(part: str, failures: PluginFailures) -> Guard:
    return Guard("site", part, failures)


BAD_CURSORS = [(1,), ("a", "b"), (-1, 0), 7, [1, 2]]
BAD_REPORTS = [None, 42, LoadReport(rows="x"), LoadReport(warnings=[5])]  # type: ignore[arg-type,list-item]


@pytest.mark.parametrize(
    ("method", "function"),
    [
        *((m, r) for m in ("load_once", "cursor", "expire") for r in RAISERS),
        *(("load_once", returning(value)) for value in BAD_REPORTS),
        *(("cursor", returning(value)) for value in BAD_CURSORS),
        ("expire", returning(None)),
    ],
)
def test_loader_when_a_method_fails_then_it_is_tried_again_after_a_pause(
    method: str, function: Callable[..., Any]
) -> None:
    loader, failures = Loader(), PluginFailures()
    setattr(loader, method, function)
    filler = StoreFiller(guarded(guard_of("loader", failures), loader, LOADER))
    assert not filler.fill(1.0, 0.0)
    assert filler.cursor() == Cursor(0, 0)
    assert not filler.fill(1.0, 0.5)
    assert failures.report()["site"]["loader"]["count"] == 1
    delattr(loader, method)
    filler.fill(1.0, 1000.0)
    assert filler.cursor() == Cursor(4, 5)


CONTRACTS = {
    "store": STORE,
    "loader": LOADER,
    "feed": FEED,
    "accounts": ACCOUNTS,
    "backup": BACKUP,
    "metrics": METRICS,
}
METHODS = [(part, name) for part, contract in CONTRACTS.items() for name in (contract.methods)]


class Anything:
    """Has every method and attribute, and does one thing in each."""

    name = source = "anything"

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return self._function


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_raises_then_a_plugin_error_that_names_it(
    part: str, method: str
) -> None:
    failures = PluginFailures()
    passes = CONTRACTS[part].passes.get(method)
    for function in RAISERS:
        value = guarded(guard_of(part, failures), Anything(function), CONTRACTS[part])
        with pytest.raises((PluginError, *([passes] if passes else []))):
            getattr(value, method)()
    expected = len(RAISERS) - (passes is KeyError)
    assert failures.report()["site"][part]["count"] == expected


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_returns_something_else_then_a_plugin_error(
    part: str, method: str
) -> None:
    value = guarded(
        guard_of(part, PluginFailures()), Anything(returning(object())), CONTRACTS[part]
    )
    check = CONTRACTS[part].methods[method]
    if check.__name__ == "nothing":
        assert getattr(value, method)() is None
        return
    with pytest.raises(PluginError, match=f"plugin site: {part}: "):
        getattr(value, method)()


@pytest.mark.parametrize("part", CONTRACTS)
def test_object_when_it_lacks_a_method_then_a_plugin_error_that_says_which(part: str) -> None:
    first = next(iter(CONTRACTS[part].methods))
    value: Any = guarded(guard_of(part, PluginFailures()), object(), CONTRACTS[part])
    with pytest.raises(PluginError, match=f"object has no method {first}"):
        getattr(value, first)()


def test_feed_when_its_iterator_fails_in_the_middle_then_what_came_before_stays() -> None:
    def bins(*_: object) -> Iterator[Any]:
        yield 42

    failures = PluginFailures()
    for function in (bins, returning(42), returning(None), *RAISERS):
        value: Any = guarded(guard_of("feed", failures), Anything(function), FEED)
        with pytest.raises(PluginError):
            list(value.bins("", 0.0))
    assert failures.total == 3 + len(RAISERS)


ANSWERS = [
    object(),
    {"x": float("nan")},
    {1, 2},
    Answer({}, status="200"),  # type: ignore[arg-type]
    Answer({}, status=7),
    Answer({}, headers={"X-A": 5}),  # type: ignore[dict-item]
    Answer({}, headers={"X-A": "a\r\nSet-Cookie: x=y"}),
    Answer({}, content_type=None),  # type: ignore[arg-type]
    Answer({}, cookies="abc"),  # type: ignore[arg-type]
    Answer({}, cookies=(5,)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("handler", [*RAISERS, *map(returning, ANSWERS)])
def test_handler_when_it_fails_then_500_and_the_other_routes_answer(
    handler: Callable[..., Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def bad() -> Any:
        return handler()

    routes = [
        Route("GET", "/bad", bad, role="public"),
        Route("GET", "/good", lambda: {"good": True}, role="public"),
    ]
    failures = PluginFailures()
    client = Client(web_of(FakeStore(), settings_of(tmp_path), routes, failures=failures))
    for _ in range(3):
        reply = client.get("/bad")
        assert (reply.status, reply.json["message"]) == (500, "Internal server error")
    assert client.get("/good").json == {"good": True}
    assert failures.report()["tests"]["route"]["count"] == 3
    assert len([r for r in caplog.records if "plugin tests: route failed" in r.getMessage()]) == 1


@pytest.mark.parametrize("form", [*RAISERS, returning(42), returning({"x": object()})])
def test_error_body_when_it_fails_then_the_form_of_all_errors(
    form: Callable[..., Any], tmp_path: Any
) -> None:
    def refuse() -> None:
        raise RequestError(409, "No")

    routes = [Route("GET", "/bad", refuse, role="public", error_body=form)]
    failures = PluginFailures()
    client = Client(web_of(FakeStore(), settings_of(tmp_path), routes, failures=failures))
    reply = client.get("/bad")
    assert (reply.status, reply.json) == (409, {"success": False, "message": "No"})
    assert failures.total == 1


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
