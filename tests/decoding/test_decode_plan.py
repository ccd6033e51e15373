"""Records out of Data Sets: where each lies, and what each field says."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.records.fixed_records import fixed_records
from appliance.decoding.records.scalar_records import (
    CutRecord,
    ScalarRecords,
    scalar_records,
    variable_length,
)
from appliance.decoding.templates.decode_plan import DecodePlan, plan_of
from appliance.decoding.templates.template import VARIABLE_LENGTH, FieldSpecifier
from tests.decoding.building import variable


def plan(*lengths: int) -> DecodePlan:
    return plan_of(
        10, tuple(FieldSpecifier(n + 1, size) for n, size in enumerate(lengths)), 0, False
    )


def split(lengths: list[int], body: bytes, limit: int = 100) -> tuple[list[list[bytes]], int]:
    return scalar_records(plan(*lengths), memoryview(body), limit)


def test_plan_when_layouts_are_equal_then_the_same_object() -> None:
    assert plan(1, 2) is plan(1, 2)
    assert plan(1, 2) != plan(2, 1)
    assert plan(*[1] * 500) == plan(*[1] * 500)


def test_plan_when_elements_repeat_then_the_first_with_octets_is_found() -> None:
    fields = (
        FieldSpecifier(8, 0),
        FieldSpecifier(8, 4),
        FieldSpecifier(8, 4),
        FieldSpecifier(8, 4, 9),
    )
    found = plan_of(10, fields, 0, False)
    assert found.index(8) == 1
    assert found.index(8, 9) == 3
    assert found.index(12) is None
    assert found.offsets == (0, 0, 4, 8)


def test_plan_when_something_is_remembered_then_computed_once() -> None:
    calls = []
    found = plan(3, 3)

    def compute(of: DecodePlan) -> int:
        calls.append(of)
        return len(of.fields)

    assert found.recall(compute) == found.recall(compute) == 2
    assert len(calls) == 1


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(sum),
    st.lists(st.binary(max_size=40), min_size=1, max_size=6),
)
def test_fixed_records_when_of_any_sets_then_as_the_careful_ones(
    lengths: list[int], bodies: list[bytes]
) -> None:
    flat = np.frombuffer(b"?" + b"??".join(bodies) + b"?" * sum(lengths), np.uint8)
    sizes = np.array([len(body) for body in bodies], np.int64)
    starts = 1 + np.cumsum(sizes + 2) - sizes - 2
    found, counts = fixed_records(plan(*lengths), flat, starts, sizes)
    expected = [split(lengths, body)[0] for body in bodies]
    assert counts.tolist() == [len(records) for records in expected]
    careful = ScalarRecords(plan(*lengths), [r for records in expected for r in records])
    assert found.n_records == careful.n_records
    for index in range(found.n_records):
        assert found.record(index) == careful.record(index)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20), st.data())
def test_field_when_asked_in_any_way_then_both_kinds_agree(size: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=4))
    flat = np.frombuffer(b"".join(b"x" + value for value in values), np.uint8)
    found, _ = fixed_records(plan(1, size), flat, np.array([0]), np.array([len(flat)]))
    careful = ScalarRecords(plan(1, size), [[b"x", value] for value in values])
    expected = [int.from_bytes(value, "big") for value in values]
    for records in (found, careful):
        assert records.unsigned(1).tolist() == [n % (1 << 64) for n in expected]
        hi, lo = records.halves(1)
        assert hi.tolist() == [n >> 64 & (1 << 64) - 1 for n in expected]
        assert lo.tolist() == [n & (1 << 64) - 1 for n in expected]
        assert [bytes(value) for value in records.octets(1).tolist()] == values
    assert found.unsigned(1).dtype == careful.unsigned(1).dtype
    np.testing.assert_array_equal(found.floating(1), careful.floating(1))


def test_floating_when_of_four_or_eight_octets_then_a_number() -> None:
    for form, size in ((">f", 4), (">d", 8)):
        flat = np.frombuffer(struct.pack(form, 0.25), np.uint8)
        found, _ = fixed_records(plan(size), flat, np.array([0]), np.array([size]))
        assert found.floating(0).tolist() == [0.25]


def test_careful_records_when_lengths_vary_then_each_field_and_the_padding() -> None:
    body = variable(b"ab") + b"12" + variable(b"") + b"34" + b"\0\0"
    assert split([VARIABLE_LENGTH, 0, 2], body) == ([[b"ab", b"12"], [b"", b"34"]], 2)


def test_careful_records_when_there_are_too_many_then_the_rest_is_left() -> None:
    assert split([VARIABLE_LENGTH], bytes(10), 4) == ([[b""]] * 4, 6)


@pytest.mark.parametrize("tail", [b"\x05abc", b"\xff\0\x05ab", b"\xff\0", b"\xff"])
def test_careful_records_when_one_runs_past_the_set_then_those_before(tail: bytes) -> None:
    with pytest.raises(CutRecord) as caught:
        split([VARIABLE_LENGTH], variable(b"whole") + tail)
    assert caught.value.partial == [[b"whole"]]
    assert caught.value.reason == "record_cut"


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(b"\0", (0, 1)), (b"\xfe", (254, 1)), (b"\xff\0\0", (0, 3)), (b"\xff\1\2", (258, 3))],
)
def test_variable_length_when_of_either_form_then_its_value(
    octets: bytes, expected: tuple[int, int]
) -> None:
    assert variable_length(memoryview(octets), 0) == expected


@pytest.mark.parametrize("octets", [b"", b"\xff", b"\xff\0"])
def test_variable_length_when_cut_then_malformed(octets: bytes) -> None:
    with pytest.raises(MalformedMessage):
        variable_length(memoryview(octets), 0)
