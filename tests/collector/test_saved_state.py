"""Templates, sampling and names over a restart; the file may hold anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from appliance.collector import saved_state
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.saved_state import load_states, save_states
from appliance.decoding.templates.timeline import Senders
from tests.decoding.building import (
    BASIC,
    IPFIX,
    RECEIVED_MS,
    V9,
    VARIABLE,
    a_set,
    datagram,
    decode,
    number,
    template,
)
from tests.decoding.test_hostile import assert_within

QUICK = settings(
    max_examples=150,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def learned_states() -> ExporterStates:
    """Learn something of every kind, from three exporters."""
    sent = []
    for protocol, address in ((V9, "192.0.2.1"), (IPFIX, "2001:db8::1"), (V9, "2001:db8::1")):
        scope = (1, 4) if protocol is V9 else (144, 4)
        options = [
            ((48, 2), (50, 4)), ((10, 4), (34, 4)), ((34, 4),), ((160, 8),), ((95, 4), (96, 8)),
            ((10, 4), (82, 4), (83, 6)),
        ]  # fmt: skip
        told = protocol.options_templates(
            *(protocol.options(400 + n, [scope], fields) for n, fields in enumerate(options))
        )
        flows = protocol.templates(template(300, *BASIC), template(301, (82, VARIABLE)))
        # What another domain told, then the first one again.
        for rate, domain in ((20, 0), (30, 4_000_000_000), (40, 0)):
            values = [
                number(5, 2) + number(rate, 4), number(3, 4) + number(rate, 4), number(rate, 4),
                number(1_600_000_000_000, 8), b"\x0d\0\0\1" + b"http\0\0\0\0",
                number(3, 4) + b"eth0" + "größ".encode(),
            ]  # fmt: skip
            tables = [a_set(400 + n, bytes(4) + value) for n, value in enumerate(values)]
            payload = protocol.message(told, flows, *tables, domain=domain)
            sent.append(datagram(payload, address, 2000 + domain % 7))
    return decode(*sent).states


def loaded(path: Path, **limits: int) -> tuple[ExporterStates, int]:
    states = ExporterStates(ExporterLimits(**limits))
    return states, load_states(states, path, RECEIVED_MS)


def test_states_when_saved_and_loaded_then_the_same(
    learned_states: ExporterStates, tmp_path: Path
) -> None:
    save_states(learned_states, tmp_path / "states.json")
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 0
    assert not states.appeared
    assert list(states.exporters) == list(learned_states.exporters)
    for exporter, state in states.exporters.items():
        before = learned_states.exporters[exporter]
        assert list(state.templates.items()) == list(before.templates.items())
        assert state.tellers == before.tellers
        assert {key: s.told for key, s in state.sampling_of.items()} == {
            key: s.told for key, s in before.sampling_of.items()
        }
        assert {p: (s.first_ms, s.last_ms, s.names) for p, s in state.sessions.items()} == {
            p: (s.first_ms, s.last_ms, s.names) for p, s in before.sessions.items()
        }
    save_states(states, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "states.json").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_states_when_the_file_is_missing_then_nothing_is_unreadable(tmp_path: Path) -> None:
    assert loaded(tmp_path / "none.json")[1] == 0


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"{", b"[]", b'"x"', b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b"1" * 5000,
        b'{"version": 3, "exporters": []}', b'{"version": 1, "exporters": {}}', b'{"version": 1}',
    ],
)  # fmt: skip
def test_states_when_the_file_is_no_such_file_then_one_unreadable(
    tmp_path: Path, octets: bytes
) -> None:
    (tmp_path / "states.json").write_bytes(octets)
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 1
    assert not states.exporters


def test_states_when_the_file_is_a_folder_or_too_large_then_one_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded(tmp_path)[1] == 1
    monkeypatch.setattr(saved_state, "MAX_FILE_OCTETS", 5)
    (tmp_path / "states.json").write_text('{"version": 1, "exporters": []}')
    assert loaded(tmp_path / "states.json")[1] == 1


@pytest.mark.parametrize("address", [False, 5, None, [], "", "192.0.2", "::g"])
def test_exporter_when_its_address_is_none_then_left_out(tmp_path: Path, address: Any) -> None:
    exporters = [{"address": address}, {"address": "192.0.2.1", "templates": [GOOD]}]
    (tmp_path / "states.json").write_text(json.dumps({"version": 1, "exporters": exporters}))
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 1
    assert len(states.exporters) == 1


GOOD: dict[str, Any] = {
    "version": 9, "port": 1, "domain": 0, "id": 300, "options": False, "scope_count": 0,
    "fields": [[1, 4, 0]], "announced_ms": 5,
}  # fmt: skip


@pytest.mark.parametrize(
    "piece",
    [
        GOOD | {"id": 255}, GOOD | {"id": 65536}, GOOD | {"id": "300"}, GOOD | {"id": True},
        GOOD | {"port": -1}, GOOD | {"domain": 1 << 32}, GOOD | {"fields": []},
        GOOD | {"fields": [[1, 0, 0]]}, GOOD | {"fields": [[1, 4]]}, GOOD | {"fields": 7},
        GOOD | {"fields": [[1, 4, 0]] * 2000}, GOOD | {"fields": [[1, 70000, 0]]},
        GOOD | {"scope_count": 2}, GOOD | {"announced_ms": None}, GOOD | {"version": 1.5},
        {}, [], None, 5, "template",
    ],
)  # fmt: skip
def test_template_when_it_cannot_be_then_left_out_and_the_others_learned(
    tmp_path: Path, piece: Any
) -> None:
    exporter = {"address": "192.0.2.1", "templates": [GOOD, piece, GOOD | {"id": 301}]}
    content = {"version": 1, "exporters": [exporter]}
    (tmp_path / "states.json").write_text(json.dumps(content))
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 1
    (state,) = states.exporters.values()
    assert len(state.templates) == 2


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("sampling", [9, "selector", 0, 1, 0]), ("sampling", [9, "selector", 0, 1, 1e400]),
        ("sampling", [9, "planet", 0, 1, 5]), ("sampling", [9, "domain", -2, 0, 5]),
        ("sampling", [9, "domain", 0, 0, True]), ("sampling", [9, "domain", 0, 0]),
        ("sampling", [9, "domain", 0, 0, float("nan")]), ("sampling", None),
        ("names", ["planet", 1, "a", "b"]), ("names", ["interface", -1, "a", "b"]),
        ("names", ["interface", 1, 2, "b"]), ("names", ["interface", 1, "a"]), ("names", {}),
    ],
)  # fmt: skip
def test_fact_when_it_cannot_be_then_left_out(tmp_path: Path, kind: str, piece: Any) -> None:
    good = {"sampling": [9, "domain", 0, 0, 5], "names": ["interface", 1, "a", "b"]}[kind]
    exporter = {"address": "192.0.2.1", kind: [piece, good]}
    (tmp_path / "states.json").write_text(json.dumps({"version": 1, "exporters": [exporter]}))
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 1
    (state,) = states.exporters.values()
    assert state.n_names or state.sampling().told


def test_name_when_it_holds_half_a_character_then_it_can_be_written_anywhere(
    tmp_path: Path,
) -> None:
    exporter = {"address": "::1", "names": [["interface", 1, "\ud800", "x"]]}
    (tmp_path / "states.json").write_text(json.dumps({"version": 1, "exporters": [exporter]}))
    (state,) = loaded(tmp_path / "states.json")[0].exporters.values()
    ((name, _),) = state.sessions[0].names.values()
    assert name.encode("utf-8") == b"?"


def test_file_when_of_version_1_then_what_it_told_of_an_address_is_lent_to_its_sessions(
    tmp_path: Path,
) -> None:
    exporter = {
        "address": "192.0.2.1",
        "templates": [GOOD],
        "sampling": [[9, "domain", 0, 0, 5]],
        "names": [["interface", 1, "a", "b"]],
    }
    (tmp_path / "states.json").write_text(json.dumps({"version": 1, "exporters": [exporter]}))
    states, unreadable = loaded(tmp_path / "states.json")
    assert unreadable == 0
    ((hi, lo),) = states.exporters
    session = (hi, lo, 2001)
    lent = states.borrow_sampling(session, 9, Senders(frozenset({session}), RECEIVED_MS))
    assert lent.by_domain == {0: 5}
    assert states.exporters[hi, lo].sessions[0].names == {("interface", 1): ("a", "b")}


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["address", "templates", "sessions", "sampling", "names", "fields", "id", "port"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@QUICK
@given(content=anything, as_exporters=st.booleans())
def test_any_json_when_loaded_then_no_exception(
    tmp_path: Path, content: Any, as_exporters: bool
) -> None:
    if as_exporters:
        content = {"version": 1, "exporters": [{"address": "192.0.2.1", "names": content}, content]}
    (tmp_path / "states.json").write_text(json.dumps(content))
    loaded(tmp_path / "states.json")


def test_file_when_mutated_anywhere_then_no_exception_and_limits_hold(
    learned_states: ExporterStates, tmp_path: Path
) -> None:
    path = tmp_path / "states.json"
    save_states(learned_states, path)
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(300):
        octets = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            at = chance.randrange(len(octets))
            octets[at : at + chance.choice((0, 1, 2))] = chance.choice(
                (b"", b"9", b"-", b"[", b"]", b"{", b"}", b",", b'"', b"\xff", b"null", b"1e9")
            )
        path.write_bytes(octets)
        states, _ = loaded(path, exporters=2, templates=3, template_fields=15, names=1)
        assert_within(states)


def test_file_when_it_holds_more_than_allowed_then_the_limits_hold(tmp_path: Path) -> None:
    templates = [GOOD | {"id": 256 + n, "fields": [[1, 4, 0]] * 100} for n in range(500)]
    sampling = [[9, "selector", 0, n, 5] for n in range(40_000)]
    names = [["interface", n, "a", "b"] for n in range(500)]
    exporters = [
        {"address": f"192.0.2.{n}", "templates": templates, "sampling": sampling, "names": names}
        for n in range(5)
    ]
    (tmp_path / "states.json").write_text(json.dumps({"version": 1, "exporters": exporters}))
    states, unreadable = loaded(
        tmp_path / "states.json", exporters=3, templates=100, names=50, octets=10_000_000
    )
    assert unreadable == 0
    assert_within(states)
    assert all(len(state.sampling().told) <= 16_384 for state in states.exporters.values())
    assert states.octets <= 10_000_000
