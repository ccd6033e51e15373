"""What options records tell, and when it holds."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.records.fixed_records import fixed_records
from appliance.decoding.sampling import knowledge
from appliance.decoding.sampling.knowledge import (
    ANY_DOMAIN,
    Learning,
    Sampling,
    SamplingFact,
    Subject,
    with_facts,
)
from appliance.decoding.sampling.option_records import sampling_facts
from appliance.decoding.sampling.rates import sampling_rates
from appliance.decoding.templates.decode_plan import plan_of
from appliance.decoding.templates.template import FieldSpecifier


def records(*fields: tuple[int, bytes], copies: int = 1):  # type: ignore[no-untyped-def]
    layout = tuple(FieldSpecifier(element, len(value)) for element, value in fields)
    plan = plan_of(10, layout, 1, True)
    octets = np.frombuffer(b"".join(value for _, value in fields) * copies, np.uint8)
    found, _ = fixed_records(plan, octets, np.array([0]), np.array([len(octets)]))
    return plan, found


def rate(*fields: tuple[int, bytes]) -> float | None:
    found = sampling_rates(*records(*fields))
    return None if found is None else found.tolist()[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(34, b"\0\x64")], 100),
        ([(34, b"\0\0\0\0")], 0),
        ([(305, b"\1"), (306, b"\x63")], 100),
        ([(305, b"\0"), (306, b"\x63")], 0),
        ([(309, b"\0"), (310, b"\x63")], 0),
        ([(309, b"\x64"), (310, b"\x01")], 0),  # more than all
        ([(311, struct.pack(">d", 0.5))], 2),
        ([(311, struct.pack(">d", 0.0))], 0),
        ([(311, struct.pack(">d", -1.0))], 0),
        ([(311, struct.pack(">d", float("nan")))], 0),
        ([(311, struct.pack(">d", 5e-324))], 0),
        ([(311, b"\0\1")], 0),
        ([(306, b"\x63")], None),
        ([(1, b"\x63")], None),
        ([(34, b"\xff" * 8)], float(2**64)),
    ],
)
def test_rate_when_of_any_form_then_one_of_so_many(
    fields: list[tuple[int, bytes]], expected: float | None
) -> None:
    assert rate(*fields) == expected


def test_boot_time_when_beyond_all_time_then_not_learned() -> None:
    for octets, told in ((b"\xff" * 8, []), (bytes(8), []), ((5).to_bytes(8, "big"), [5])):
        plan, found = records((160, octets))
        facts = sampling_facts(plan, found, np.zeros(1, np.intp), np.zeros(1, np.int64))
        assert [fact.value for _, fact in facts] == told


def test_facts_when_many_repeat_then_the_last_of_each_set() -> None:
    layout = (FieldSpecifier(48, 1), FieldSpecifier(34, 1))
    plan = plan_of(9, layout, 0, True)
    octets = np.array([[i % 3, i % 200 + 1] for i in range(600)], np.uint8).reshape(-1)
    found, _ = fixed_records(plan, octets, np.array([0]), np.array([1200]))
    sets = np.repeat([0, 1], 300)
    facts = list(sampling_facts(plan, found, sets, np.zeros(600, np.int64)))
    assert [(record, fact.subject.number, fact.value) for record, fact in facts] == [
        (297, 0, 98), (298, 1, 99), (299, 2, 100), (597, 0, 198), (598, 1, 199), (599, 2, 200),
    ]  # fmt: skip


SAMPLER = Subject("selector", 1, 7)


def test_sampling_when_told_nothing_new_then_the_very_same_value() -> None:
    told = with_facts(Sampling(), [SamplingFact(SAMPLER, 10)])
    assert with_facts(told, [SamplingFact(SAMPLER, 10)]) is told
    assert told.value(SAMPLER) == told.value(Subject("selector", 2, 7)) == 10
    assert told.value(Subject("selector", 1, 8)) is None
    assert told.by_selector == {(1, 7): 10}
    assert "selector" in told.kinds
    assert "domain" not in told.kinds


def test_learning_when_asked_for_a_moment_then_what_was_known_then() -> None:
    learning = Learning(with_facts(Sampling(), [SamplingFact(SAMPLER, 1)]))
    for moment, value in ((4, 2), (8, 3), (8, 4), (10, 4)):
        learning.learn(moment, SamplingFact(SAMPLER, value))
    assert [learning.value(SAMPLER, m) for m in (0, 3, 4, 7, 8, 99)] == [1, 1, 2, 2, 4, 4]
    assert learning.moments == [4, 8]
    assert learning.after().value(SAMPLER) == 4


def test_subjects_when_too_many_then_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "MAX_SUBJECTS", 5)
    learning = Learning(Sampling())
    for number in range(5):
        learning.learn(0, SamplingFact(Subject("selector", 0, number), 2))
    learning.learn(0, SamplingFact(Subject("selector", 0, 0), 9))
    assert len(learning.after().told) <= 5
    assert learning.refused == 3
    assert learning.after().value(Subject("selector", 0, 0)) == 9


subjects = st.builds(
    Subject, st.sampled_from(["selector", "domain"]), st.integers(0, 2), st.integers(0, 2)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(subjects, st.integers(1, 4)), max_size=20), st.integers(0, 20))
def test_learning_when_in_two_parts_then_as_in_one(
    told: list[tuple[Subject, int]], cut: int
) -> None:
    facts = [SamplingFact(subject, value) for subject, value in told]
    whole = Learning(Sampling())
    for moment, fact in enumerate(facts):
        whole.learn(moment, fact)
    first = with_facts(Sampling(), facts[:cut])
    assert with_facts(first, facts[cut:]).told == whole.after().told
    for subject, _ in told:
        assert whole.value(subject, cut - 1) == first.value(subject)
    assert all(subject.domain >= ANY_DOMAIN for subject in whole.after().told)
