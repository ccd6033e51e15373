"""Datagrams decoded as one block give what the same datagrams give one by one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterState
from tests.decoding.building import (
    V9,
    Decoded,
    Exporter,
    a_set,
    datagram,
    decode,
    multiset,
)
from tests.decoding.protocols import both, own_scope
from tests.decoding.traffic import Event, datagrams, sequences_of_events

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


@settings(max_examples=300, deadline=None, phases=PHASES)
@given(plans=sequences_of_events)
def test_any_datagrams_when_decoded_as_one_block_then_as_one_by_one(plans: list[Event]) -> None:
    sent = datagrams(plans)
    assert facts(decode(*sent)) == facts(decode(*sent, one_by_one=True))


@settings(max_examples=100, deadline=None, phases=PHASES)
@given(
    plans=st.lists(sequences_of_events, min_size=2, max_size=4).map(
        lambda parts: list(itertools.chain(*parts))
    ),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_any_datagrams_when_split_anywhere_then_as_one_by_one(
    plans: list[Event], cuts: list[int]
) -> None:
    sent = datagrams(plans)
    at = sorted({0, *(cut % len(sent) for cut in cuts), len(sent)})
    found = Decoded()
    for start, end in itertools.pairwise(at):
        part = decode(*sent[start:end], states=found.states)
        found.rows += part.rows
        found.options += part.options
        found.faults += part.faults
        found.counts += part.counts - found.states.counts
    found.counts += found.states.counts
    assert facts(found) == facts(decode(*sent, one_by_one=True))


@both
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_options_when_they_waited_together_then_they_hold_in_the_order_of_their_arrival(
    protocol: Exporter, cut: int
) -> None:
    layouts = {400: [(10, 4), (82, 4)], 401: [(10, 4), (82, 5)]}
    templates = protocol.options_templates(
        *(protocol.options(number, [own_scope(protocol)], layouts[number]) for number in (401, 400))
    )
    told = [
        (400, b"\1", b"old_"),
        (401, b"\1", b"newer"),
        (401, b"\2", b"old__"),
        (400, b"\2", b"newr"),
    ]
    sent = [
        datagram(protocol.message(a_set(number, bytes(7) + key + name), sequence=n))
        for n, (number, key, name) in enumerate(told)
    ]
    sent.append(datagram(protocol.message(templates, sequence=4 if protocol is V9 else 0)))
    states = decode(*sent[:cut]).states if cut else Decoded().states
    found = decode(*sent[cut:], states=states)
    assert found.names() == {
        ("interface", 1): ("newer", ""),
        ("interface", 2): ("newr", ""),
    }


def facts(found: Decoded) -> dict[str, Any]:
    """Return everything that must not depend on how datagrams are put into blocks."""
    return {
        "rows": multiset(found.rows),
        "options": multiset(found.options),
        "faults": sorted(found.faults),
        "counts": dict(found.counts),
        "unknown": found.states.unknown_elements,
        "exporters": {
            exporter: exporter_facts(state) for exporter, state in found.states.exporters.items()
        },
        "octets": found.states.octets,
    }


def exporter_facts(state: ExporterState) -> dict[str, Any]:
    waiting = [w for scope in state.sequences for w in state.pending.waiting_of(scope)]
    return {
        # In their order: the oldest gives way first (versions apart are decoded apart).
        "templates": sorted(
            ((key, known.template) for key, known in state.templates.items()),
            key=lambda item: item[0][0].version,
        ),
        "tellers": {
            key: {port: known.template for port, known in told.items()}
            for key, told in state.tellers.items()
        },
        "sampling": {key: s.told for key, s in state.sampling_of.items()},
        "names": {port: session.names for port, session in state.sessions.items()},
        "session counts": {port: +session.counts for port, session in state.sessions.items()},
        "sequences": dict(state.sequences),
        "waiting": sorted((w.scope, w.set_id, w.body, w.received_ms) for w in waiting),
        "waiting_octets": state.pending.octets,
        # An exporter is known from its first sound datagram on; only then faults count as its own.
        "counts": {word: n for word, n in state.counts.items() if n and word != "malformed"},
    }
