"""Template records of v9 and IPFIX."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.templates.template import (
    MAX_FIELDS,
    V9_SCOPE,
    VARIABLE_LENGTH,
    FieldSpecifier,
    Found,
    Refusal,
    Template,
    Withdrawal,
    read_template_set,
)
from tests.decoding.building import ipfix_options, template, v9_options

F = FieldSpecifier


def read(body: bytes, *, options: bool = False, version: int = 10) -> list[Found]:
    return list(read_template_set(memoryview(body), options=options, version=version))


def reasons(body: bytes, *, options: bool = False, version: int = 10) -> list[str]:
    found = read(body, options=options, version=version)
    return [f.reason for f in found if isinstance(f, Refusal)]


@pytest.mark.parametrize("version", [9, 10])
def test_template_when_sound_then_its_fields(version: int) -> None:
    (found,) = read(template(256, (1, 4), (8, 65535)), version=version)
    assert found == Template(256, (F(1, 4), F(8, VARIABLE_LENGTH)))
    assert found.is_variable
    assert found.minimum_length == 5


def test_enterprise_bit_when_ipfix_then_a_number_follows_and_in_v9_not() -> None:
    (found,) = read(template(256, (1, 4, 29305), (2, 4)))
    assert found == Template(256, (F(1, 4, 29305), F(2, 4)))
    (found,) = read(template(256, (0x8001, 4), (2, 4)), version=9)
    assert found == Template(256, (F(0x8001, 4), F(2, 4)))


def test_options_template_when_v9_then_lengths_are_octets_and_scopes_a_numbering() -> None:
    (found,) = read(v9_options(256, [(1, 4), (2, 2)], [(34, 4)]), options=True, version=9)
    assert found == Template(
        256, (F(1, 4, V9_SCOPE), F(2, 2, V9_SCOPE), F(34, 4)), scope_count=2, options=True
    )


def test_options_template_when_ipfix_then_lengths_are_counts() -> None:
    (found,) = read(ipfix_options(256, 1, (149, 4), (5, 2, 9)), options=True)
    assert found == Template(256, (F(149, 4), F(5, 2, 9)), scope_count=1, options=True)


@pytest.mark.parametrize("scopes", [0, 3])
def test_options_template_when_ipfix_scope_count_cannot_be_then_refused(scopes: int) -> None:
    body = ipfix_options(256, scopes, (149, 4), (5, 2))
    assert reasons(body, options=True) == ["template_scope_count"]


def test_withdrawal_when_ipfix_then_four_octets_even_of_options() -> None:
    body = struct.pack(">HHHH", 256, 0, 257, 0)
    assert read(body) == [Withdrawal(256), Withdrawal(257)]
    assert read(body, options=True) == [Withdrawal(256), Withdrawal(257)]
    follows = struct.pack(">HH", 256, 0) + ipfix_options(258, 1, (149, 4))
    assert [type(found) for found in read(follows, options=True)] == [Withdrawal, Template]


@pytest.mark.parametrize("version", [9, 10])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (template(255, (1, 4)), "template_id_reserved"),
        (template(0, (1, 4)), "template_id_reserved"),
        (template(256, (1, 0)), "template_empty"),
        (struct.pack(">HH", 256, 2) + bytes(4), "template_length"),
        (struct.pack(">HH", 256, MAX_FIELDS + 1) + bytes(4 * MAX_FIELDS + 4), "template_too_long"),
    ],
)
def test_template_when_it_cannot_be_used_then_refused(
    version: int, body: bytes, reason: str
) -> None:
    assert reasons(body, version=version) == [reason]


@pytest.mark.parametrize("lengths", [(3, 4), (4, 5), (33, 0)])
def test_options_template_when_v9_lengths_are_odd_then_refused(lengths: tuple[int, int]) -> None:
    body = struct.pack(">HHH", 256, *lengths) + bytes(40)
    assert reasons(body, options=True, version=9) == ["template_length"]


def test_template_when_unusable_but_honest_then_the_next_is_read() -> None:
    found = read(template(256, (1, 0)) + template(257, (1, 4)))
    assert [type(f) for f in found] == [Refusal, Template]


def test_template_when_it_lies_then_nothing_after_it() -> None:
    (found,) = read(struct.pack(">HH", 256, 3) + template(257, (1, 4)) + b"\x80\1")
    assert isinstance(found, Refusal)
    assert found.lies


@pytest.mark.parametrize("version", [9, 10])
@pytest.mark.parametrize("padding", range(8))
def test_padding_when_zero_then_no_template(version: int, padding: int) -> None:
    assert len(read(template(256, (1, 4)) + bytes(padding), version=version)) == 1


@pytest.mark.parametrize("version", [9, 10])
@pytest.mark.parametrize("octets", range(1, 8))
def test_padding_when_shorter_than_a_record_then_whatever_its_value(
    version: int, octets: int
) -> None:
    read_ones = read(template(256, (1, 4)) + b"\xff" * octets, version=version)
    assert [type(one) for one in read_ones] == [Template]


def test_options_padding_when_up_to_five_octets_then_no_template() -> None:
    for padding in range(6):
        body = v9_options(256, [(1, 4)], [(34, 4)]) + bytes(padding)
        assert len(read(body, options=True, version=9)) == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.sampled_from([9, 10]))
def test_any_octets_when_read_then_found_or_refused(
    body: bytes, options: bool, version: int
) -> None:
    for found in read(body, options=options, version=version):
        if isinstance(found, Template):
            assert found.minimum_length > 0
            assert found.template_id >= 256
            assert 0 < len(found.fields) <= MAX_FIELDS
            assert found.scope_count <= len(found.fields)
