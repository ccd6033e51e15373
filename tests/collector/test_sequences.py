"""Sequence numbers in the journal: out, and in again from whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.sequences import restore_sequences, sequence_changes
from tests.decoding.building import RECEIVED_MS, datagram, decode, ipfix, v5, v5_record, v9


def some_states() -> ExporterStates:
    sent = [
        v5(v5_record(), sequence=5),
        v9(sequence=6),
        v9(sequence=9),
        ipfix(sequence=7, domain=1),
    ]
    return decode(
        *(datagram(payload, address) for payload in sent for address in ("192.0.2.1", "::1"))
    ).states


def test_sequences_when_stored_and_restored_then_the_same() -> None:
    before = some_states()
    stored = json.loads(json.dumps(sequence_changes(before)))
    assert len(stored) == 6
    after = ExporterStates(ExporterLimits())
    assert restore_sequences(after, stored | {"counters": {"a": 5}}, RECEIVED_MS) == {"a": 5}
    assert dict(after.scopes()) == dict(before.scopes())
    assert not after.appeared
    assert sequence_changes(after) == {}


def test_sequences_when_taken_then_only_what_changed_since() -> None:
    states = some_states()
    sequence_changes(states)
    decode(datagram(v9(sequence=10), "192.0.2.1"), states=states)
    (key,) = sequence_changes(states)
    assert key == "sequence 192.0.2.1 2000 0 9"


def test_gap_when_over_a_restart_then_counted_as_lost() -> None:
    after = ExporterStates(ExporterLimits())
    restore_sequences(after, sequence_changes(some_states()), RECEIVED_MS)
    found = decode(datagram(v9(sequence=15), "192.0.2.1"), states=after)
    assert found.exporter("192.0.2.1").counts["lost"] == 5
    assert sum(sequence.lost for _, sequence in after.scopes()) == 2 * 2 + 5


def test_counts_of_an_exporter_when_restored_then_all_begin_again() -> None:
    before, after = some_states(), ExporterStates(ExporterLimits())
    restore_sequences(after, sequence_changes(before), RECEIVED_MS)
    for exporter, state in before.exporters.items():
        assert state.counts["datagrams"] > 0
        assert after.exporters[exporter].counts["datagrams"] == 0
        assert after.exporters[exporter].counts["lost"] == 0


def test_scope_when_forgotten_then_taken_out_of_the_journal() -> None:
    states = ExporterStates(ExporterLimits(exporters=1, newcomers=0), lambda _: True)
    decode(datagram(v9(), "192.0.2.1"), states=states)
    sequence_changes(states)
    decode(datagram(v9(), "192.0.2.2"), states=states)
    changes = sequence_changes(states)
    assert changes["sequence 192.0.2.1 2000 0 9"] is None
    assert changes["sequence 192.0.2.2 2000 0 9"] is not None


VALUES = [1, 1, 0, 5, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("sequence 192.0.2.1 2000 0", VALUES), ("sequence 192.0.2.1 2000 0 9 9", VALUES),
        ("sequence x 2000 0 9", VALUES), ("sequence 192.0.2.1 x 0 9", VALUES), ("sequence", VALUES),
        ("sequence 192.0.2.1 2000 0 9", VALUES[1:]), ("sequence 192.0.2.1 2000 0 9", None),
        ("sequence 192.0.2.1 2000 0 9", 7), ("sequence 192.0.2.1 2000 0 9", [*VALUES[1:], "1"]),
        ("sequence 192.0.2.1 2000 0 9", [1 << 70, *VALUES[1:]]), ("sequence ", "abcdefgh"),
        ("sequence 192.0.2.1 2000 0 9", [*VALUES[1:], True]), ("other", VALUES),
    ],
)  # fmt: skip
def test_stored_piece_when_it_cannot_be_then_left_out(key: str, values: Any) -> None:
    states = ExporterStates(ExporterLimits())
    good = {"sequence 192.0.2.9 1 2 10": [None, *VALUES[1:]]}
    restore_sequences(states, {key: values} | good, RECEIVED_MS)
    ((scope, state),) = states.scopes()
    assert (scope.port, scope.domain, scope.version, state.expected) == (1, 2, 10, None)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["sequence 192.0.2.1 2000 0 9", "sequence ::1 -5 99999999999 7", "counters"]
        )
        | st.text(max_size=30).map("sequence ".__add__),
        st.none()
        | st.integers()
        | st.lists(st.none() | st.integers(-9, 1 << 64) | st.text(max_size=3), max_size=9)
        | st.lists(st.integers(-9, 1 << 62), min_size=8, max_size=8)
        | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3),
    )
)
def test_any_stored_state_when_restored_then_decoding_goes_on(stored: dict[str, Any]) -> None:
    states = ExporterStates(ExporterLimits())
    counters = restore_sequences(states, stored, RECEIVED_MS)
    assert all(isinstance(n, int) and n >= 0 for n in counters.values())
    decode(*(datagram(v9(sequence=n), "192.0.2.1") for n in (5, 3, 9)), states=states)
    json.dumps(sequence_changes(states))
