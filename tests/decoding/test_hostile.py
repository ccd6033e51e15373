"""Octets from anyone: no exception, bounded time and memory, and every loss counted."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.decoding.messages.block import Datagram
from appliance.traffic.captures import CaptureReader
from tests.decoding.building import (
    BASIC,
    V9,
    Exporter,
    a_set,
    an_app,
    basic,
    datagram,
    decode,
    decoders,
    number,
    template,
    v5,
    v5_record,
    v7,
    v7_record,
)
from tests.decoding.protocols import both
from tests.decoding.traffic import Event, datagrams, sequences_of_events
from tests.decoding.worst_cases import all_cases

DATA = Path(__file__).parents[1] / "data"
CAPTURES = [*sorted((DATA / "captures").glob("*.pcap")), *sorted(DATA.glob("*.pcap"))]
VERSIONS = sorted(decoders())
MANY = 2000.0
"""Ordinary datagrams (`_cost`): a few seconds of a processor at the most."""

NO_EXPLAINING = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)

each_version = pytest.mark.parametrize("version", VERSIONS)


def test_decoders_when_registered_then_all_are_swept() -> None:
    assert set(VERSIONS) == {0, 1, 5, 7, 9, 10}


def captured(version: int) -> list[Datagram]:
    found = [d.datagram for path in CAPTURES for d in CaptureReader(path, {2055, 4739})]
    found += [datagram(v7(v7_record(), v7_record(), sequence=n)) for n in (0, 2, 4)]
    return [d for d in found if d.payload[:2] == number(version, 2)]


def handled(*given: Datagram, states: ExporterStates | None = None) -> ExporterStates:
    """Decode, and assert that each datagram shows in a counter of its own."""
    found = decode(*given, states=states or ExporterStates(ExporterLimits()))
    seen = sum(found.counts[f"datagrams_v{version}"] for version in VERSIONS)
    assert seen + found.counts["datagrams_unsupported_version"] == len(given)
    return found.states


@each_version
@settings(max_examples=150, deadline=None, phases=NO_EXPLAINING)
@given(bodies=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_random_octets_when_behind_a_version_then_refused_or_decoded(
    version: int, bodies: list[bytes]
) -> None:
    handled(*(datagram(number(version, 2) + body) for body in bodies))


@each_version
def test_captured_datagrams_when_cut_anywhere_then_refused_or_decoded(version: int) -> None:
    states = ExporterStates(ExporterLimits())
    chance = random.Random(version)
    for whole in captured(version):
        sizes = {chance.randrange(len(whole.payload) + 1) for _ in range(25)}
        handled(*(_with(whole, whole.payload[:size]) for size in sorted(sizes)), states=states)
        handled(whole, states=states)
    assert sum(n for word, n in states.counts.items() if word.startswith("malformed_")) > 20


@each_version
def test_captured_datagrams_when_bits_are_flipped_then_refused_or_decoded(version: int) -> None:
    states = ExporterStates(ExporterLimits())
    chance = random.Random(version)
    for whole in captured(version):
        damaged = []
        for _ in range(25):
            octets = bytearray(whole.payload)
            for _ in range(chance.choice((1, 2, 10))):
                # Headers are where the lies are.
                reach = chance.choice((40, len(octets)))
                octets[chance.randrange(2, min(reach, len(octets)))] ^= 1 << chance.randrange(8)
            damaged.append(_with(whole, bytes(octets)))
        handled(*damaged, states=states)
    assert sum(n for word, n in states.counts.items() if word.startswith("malformed_")) > 10


@each_version
def test_captured_datagrams_when_any_two_octets_lie_then_refused_or_decoded(version: int) -> None:
    states = ExporterStates(ExporterLimits())
    for whole in captured(version)[:15]:
        lying = []
        for at in range(2, min(len(whole.payload) - 1, 64), 2):
            for value in (0, 1, 3, 4, 255, 256, 4095, 65535):
                octets = bytearray(whole.payload)
                struct.pack_into(">H", octets, at, value)
                lying.append(_with(whole, bytes(octets)))
        handled(*lying, states=states)


@settings(max_examples=100, deadline=None, phases=NO_EXPLAINING)
@given(plans=sequences_of_events)
def test_invented_traffic_when_memory_is_tight_then_every_limit_holds(plans: list[Event]) -> None:
    limits = ExporterLimits(
        exporters=1, scopes=2, templates=2, template_fields=12, waiting_octets=500, names=2
    )
    states = ExporterStates(limits)
    for sent in datagrams(plans):
        handled(sent, states=states)
        assert_within(states)


def _with(whole: Datagram, payload: bytes) -> Datagram:
    return datagram(payload, "192.0.2.66", whole.port, whole.received_ms)


def assert_within(states: ExporterStates) -> None:
    limits = states.limits
    assert len(states.exporters) <= limits.exporters + limits.newcomers
    for state in states.exporters.values():
        assert len(state.sequences) <= limits.scopes
        assert len(state.templates) <= limits.templates
        assert sum(map(len, state.tellers.values())) == len(state.templates)
        assert len(state.sessions) <= limits.sessions
        assert {port for _, port in state.sampling_of} <= set(state.sessions)
        told = sum(len(sampling.told) for sampling in state.sampling_of.values())
        assert state.n_subjects == told
        assert told <= limits.subjects or len(state.sessions) == 1
        fields = [len(known.template.fields) for known in state.templates.values()]
        assert state.template_fields == sum(fields)
        assert sum(fields) <= limits.template_fields or len(fields) == 1
        assert state.pending.octets <= limits.waiting_octets
        n_names = sum(len(session.names) for session in state.sessions.values())
        assert state.n_names == n_names <= limits.names
    assert states.octets == sum(state.octets for state in states.exporters.values())
    assert states.octets >= 0


# What costs the most.


@pytest.mark.parametrize(
    ("version", "payloads"),
    [(version, payloads) for _, version, payloads in all_cases()],
    ids=[name for name, _, _ in all_cases()],
)
def test_worst_datagram_when_decoded_then_soon_done(version: int, payloads: list[bytes]) -> None:
    assert version in VERSIONS
    assert max(map(len, payloads)) <= 65_507
    states = ExporterStates(ExporterLimits())
    for payload in payloads[:-1]:
        handled(datagram(payload), states=states)
    assert _cost(lambda: _decoded(states, [datagram(payloads[-1])])) < MANY
    assert_within(states)


IN_TURN = [case for case in all_cases() if "in turn" in case[0] or "wait" in case[0]]


@pytest.mark.parametrize(
    "payloads", [payloads for _, _, payloads in IN_TURN], ids=[name for name, _, _ in IN_TURN]
)
def test_worst_datagrams_when_in_one_block_then_each_costs_as_much_as_alone(
    payloads: list[bytes],
) -> None:
    def cost(n: int) -> float:
        states = ExporterStates(ExporterLimits())
        for port in range(n):
            for payload in payloads[:-1]:
                _decoded(states, [datagram(payload, port=port)])
        last = [datagram(payloads[-1], port=port) for port in range(n)]
        return _cost(lambda: _decoded(states, last)) / n

    _ = cost(1)
    assert cost(12) < 4 * cost(1) + 50


HUNGRY = [case for case in all_cases() if "options" in case[0] or "empty fields" in case[0]]


@pytest.mark.parametrize(
    "payloads", [payloads for _, _, payloads in HUNGRY], ids=[name for name, _, _ in HUNGRY]
)
def test_worst_datagram_when_decoded_then_memory_stays_small(payloads: list[bytes]) -> None:
    states = ExporterStates(ExporterLimits())
    for payload in payloads[:-1]:
        _decoded(states, [datagram(payload)])
    assert _peak(lambda: _decoded(states, [datagram(payloads[-1])])) < 100_000_000


def test_sampling_when_it_changes_with_every_set_then_memory_stays_small() -> None:
    """Thousands of samplers are known, and one of them changes before every data Set."""
    n = 8000
    table = b"".join(number(i, 2) + b"\1" for i in range(n))
    options = V9.options_templates(V9.options(400, [], [(48, 2), (34, 1)]))
    states = ExporterStates(ExporterLimits())
    _decoded(states, [datagram(V9.message(options, a_set(400, table)))])
    _decoded(states, [datagram(V9.message(V9.templates(template(300, (48, 2), (1, 1)))))])
    sets = [
        a_set(400, number(i, 2) + number(i % 200 + 2, 1)) + a_set(300, number(i, 2) + b"\1")
        for i in range(1000)
    ]
    given = [datagram(V9.message(*sets))] * 4
    assert _peak(lambda: _decoded(states, given)) < 60_000_000
    assert _cost(lambda: _decoded(states, given)) < MANY


@both
def test_sources_when_thousands_are_spoofed_then_fast_and_bounded(protocol: Exporter) -> None:
    message = protocol.message(protocol.templates(template(300, *BASIC)), a_set(300, basic()))
    limits = ExporterLimits(exporters=200)
    storm = [datagram(message, f"10.{i >> 8}.{i & 255}.1") for i in range(3000)]
    _storm(limits, storm)
    _storm(limits, [datagram(v5(v5_record()), f"10.{i >> 8}.{i & 255}.1") for i in range(3000)])


@both
def test_ports_and_domains_when_thousands_are_spoofed_then_fast_and_bounded(
    protocol: Exporter,
) -> None:
    templates = protocol.templates(template(300, *BASIC))
    message = protocol.message(templates, a_set(300, basic()))
    limits = ExporterLimits(scopes=300, templates=400)
    _storm(limits, [datagram(message, port=i) for i in range(3000)])
    data_first = protocol.message(a_set(300, basic()), templates, a_set(301, b""))
    _storm(limits, [datagram(data_first, port=i) for i in range(3000)])
    changing = (protocol.message(templates, a_set(300, basic()), domain=i) for i in range(3000))
    _storm(limits, [datagram(payload) for payload in changing])


@both
def test_data_when_of_thousands_of_unknown_templates_then_fast_and_bounded(
    protocol: Exporter,
) -> None:
    limits = ExporterLimits(waiting_octets=200_000)
    unknown = [
        protocol.message(*(a_set(256 + i * 20 + k, b"x" * 8) for k in range(20)))
        for i in range(300)
    ]
    storm = [datagram(payload, port=i) for i, payload in enumerate(unknown)]
    states = _storm(limits, storm)
    assert states.counts["waiting_sets_refused"] > 0
    templates = [
        protocol.templates(*(template(256 + i * 20 + k, (1, 4)) for k in range(20)))
        for i in range(300)
    ]
    _storm(limits, [datagram(protocol.message(sets)) for sets in templates], states)


@both
def test_restarts_when_in_every_datagram_then_fast(protocol: Exporter) -> None:
    def message(i: int) -> bytes:
        header = {"sequence": (i * 2_000_000_011) % (1 << 32), "seconds": 1_700_000_000 + i}
        if protocol is V9:
            header["uptime"] = 10_000_000 - 2000 * i
        return protocol.message(a_set(300, basic()), **header)

    states = _storm(ExporterLimits(), [datagram(message(i)) for i in range(3000)])
    (exporter,) = states.exporters.values()
    assert exporter.counts["restarts"] > 1000


def _storm(
    limits: ExporterLimits, storm: list[Datagram], states: ExporterStates | None = None
) -> ExporterStates:
    """Decode in blocks and one by one; neither may cost much more than ordinary datagrams do."""
    states = states or ExporterStates(limits)
    n = len(storm)
    blocks = [storm[at : at + 1000] for at in range(0, n * 2 // 3, 1000)]
    assert _cost(lambda: [_decoded(states, block) for block in blocks]) < n * 3
    singles = storm[n * 2 // 3 :][:300]
    assert _cost(lambda: [_decoded(states, [one]) for one in singles]) < len(singles) * 10
    assert_within(states)
    return states


def _decoded(states: ExporterStates, given: list[Datagram]) -> None:
    from appliance.collector.pipeline import Pipeline
    from appliance.decoding.messages.block import block_of

    pipeline = Pipeline(list(decoders().values()), states, _Nowhere())
    pipeline.take(block_of(given), given[-1].received_ms)
    assert not an_app().failures.total


class _Nowhere:
    def append(self, _batch: object) -> None:
        """Keep nothing."""


def _cost(work: Callable[[], object]) -> float:
    """Return what work costs, in ordinary datagrams that are decoded one by one.

    Those are measured before and after it, so that a slow or busy machine makes no difference.
    """
    payload = V9.message(V9.templates(template(300, *BASIC)), a_set(300, basic() * 20))
    ordinary = [[datagram(payload)] for _ in range(20)]

    def unit() -> float:
        states = ExporterStates(ExporterLimits())
        return _seconds(lambda: [_decoded(states, one) for one in ordinary]) / len(ordinary)

    before = unit()
    seconds = _seconds(work)
    return seconds / max(before, unit())


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
