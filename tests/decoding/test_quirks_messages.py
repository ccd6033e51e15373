"""Exporters' habits with Sets, messages and lengths; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct

import pytest

from tests.decoding.building import (
    BASIC,
    V9,
    VARIABLE,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    number,
    template,
    v4,
    v5,
    v5_record,
    v9,
    variable,
)
from tests.decoding.protocols import both


def test_quirk_17_zero_filled_datagram_when_v9_then_the_end_and_no_fault() -> None:
    found = decode(v9(a_set(0, template(300, *BASIC)), a_set(300, basic()), bytes(1200)))
    assert len(found.rows) == 1
    assert not found.faults


@pytest.mark.parametrize("count", [0, 1, 2, 7, 65535])
def test_quirk_18_count_in_the_v9_header_when_wrong_then_the_octets_decide(count: int) -> None:
    message = v9(a_set(0, template(300, *BASIC)), *[a_set(300, basic() * 2)] * 3, count=count)
    found = decode(message)
    assert len(found.rows) == 6
    assert not found.faults


@pytest.mark.parametrize("length", [0, 1, 15, 4000, 65535])
def test_quirk_19_ipfix_length_when_it_cannot_be_then_refused(length: int) -> None:
    message = ipfix(a_set(2, template(300, *BASIC)), a_set(300, basic()), length=length)
    found = decode(message)
    assert not found.rows
    assert found.reasons == ["message_length"]


def test_quirk_19_ipfix_length_when_below_the_datagram_then_the_rest_is_not_the_message() -> None:
    sound = ipfix(a_set(2, template(300, *BASIC)), a_set(300, basic()))
    found = decode(sound + a_set(300, basic()) + b"\x00\x05noise")
    assert len(found.rows) == 1
    assert not found.faults


@pytest.mark.parametrize("size", range(16))
def test_quirk_19_ipfix_datagram_when_shorter_than_a_header_then_refused(size: int) -> None:
    found = decode(ipfix(a_set(2, template(300, *BASIC)))[:size])
    assert found.reasons == (["header_cut"] if size > 1 else [])
    assert found.counts["datagrams_unsupported_version"] == (size < 2)


@pytest.mark.parametrize("length", [0, 1, 3, 4000])
def test_quirk_20_set_length_when_it_lies_then_v9_keeps_the_sets_before(length: int) -> None:
    found = decode(
        v9(
            a_set(0, template(300, *BASIC)),
            a_set(300, basic()),
            a_set(300, basic(), length),
            a_set(300, basic()),
        )
    )
    assert len(found.rows) == 1
    assert found.reasons == ["set_length"]
    assert found.exporter().counts["malformed"] == 1


@pytest.mark.parametrize("length", [0, 1, 3, 4000])
def test_quirk_20_set_length_when_it_lies_then_ipfix_keeps_the_sets_before(length: int) -> None:
    found = decode(
        ipfix(a_set(2, template(300, *BASIC)), a_set(300, basic()), a_set(300, basic(), length)),
        ipfix(a_set(300, basic()), sequence=2),
    )
    assert len(found.rows) == 2
    assert found.reasons == ["set_length"]
    assert found.exporter().counts["malformed"] == 1
    assert found.exporter().counts["lost"] == 1


@both
def test_quirk_21_reserved_set_when_among_others_then_only_it_is_skipped(
    protocol: Exporter,
) -> None:
    reserved = (2, 3, 4, 255) if protocol is V9 else (0, 1, 4, 255)
    found = decode(
        protocol.message(
            protocol.templates(template(300, *BASIC)),
            *(a_set(number, b"whatever") for number in reserved),
            a_set(300, basic()),
        )
    )
    assert len(found.rows) == 1
    assert found.counts["reserved_set"] == 4
    assert not found.faults


def test_quirk_22_element_above_32767_when_v9_then_a_vendors_and_no_enterprise_bit() -> None:
    found = decode(
        v9(
            a_set(0, template(300, (8, 4), (33000, 12), (40000, 4), (1, 4))),
            a_set(300, v4("10.0.0.1") + bytes(12) + b"user" + number(900, 4)),
        )
    )
    assert (found.row["source_address"], found.row["octet_delta_count"]) == ("10.0.0.1", 900)


def test_quirk_22_element_with_the_first_bit_when_ipfix_then_an_enterprise_number_follows() -> None:
    found = decode(
        ipfix(
            a_set(2, template(300, (8, 4), (1, 4, 9), (1, 4))),
            a_set(300, v4("10.0.0.1") + number(111, 4) + number(900, 4)),
        )
    )
    assert found.row["octet_delta_count"] == 900


def test_quirk_23_enterprise_when_unknown_then_counted_by_name_and_never_taken_for_ianas() -> None:
    found = decode(
        ipfix(
            a_set(2, template(300, (1, 4, 65000), (8, 4), (12, 4, 65001))),
            a_set(300, (number(1, 4) + v4("10.0.0.1") + number(2, 4)) * 3),
        )
    )
    assert found.column("octet_delta_count") == [None] * 3
    assert found.column("destination_address") == [None] * 3
    assert found.states.unknown_elements == {(65000, 1): 3, (65001, 12): 3}


@both
@pytest.mark.parametrize("long_form", [False, True], ids=["1 octet", "3 octets"])
def test_quirk_24_variable_length_when_in_either_form_then_taken_in_v9_too(
    protocol: Exporter, long_form: bool
) -> None:
    record = v4("10.0.0.1") + variable(b"name", long_form) + number(44, 4)
    empty = v4("10.0.0.2") + variable(b"", long_form) + number(45, 4)
    long = v4("10.0.0.3") + variable(b"x" * 300) + number(46, 4)
    fields = ((8, 4), (82, VARIABLE), (1, 4))
    found = decode(
        protocol.message(
            protocol.templates(template(300, *fields)), a_set(300, record + empty + long)
        )
    )
    assert found.column("octet_delta_count") == [44, 45, 46]
    assert not found.faults


@both
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_quirk_25_variable_fields_when_deciding_on_padding_then_one_octet_each(
    protocol: Exporter, padding: int
) -> None:
    # Two empty variable fields and two octets: the shortest record has four.
    shortest = variable(b"") + variable(b"") + number(443, 2)
    fields = ((82, VARIABLE), (83, VARIABLE), (7, 2))
    found = decode(
        protocol.message(
            protocol.templates(template(300, *fields)),
            a_set(
                300, variable(b"a") + variable(b"bc") + number(80, 2) + shortest + bytes(padding)
            ),
        )
    )
    assert found.column("source_transport_port") == [80, 443]
    assert not found.faults


def test_quirk_48_count_of_v5_when_above_the_records_present_then_those_present() -> None:
    found = decode(v5(*[v5_record()] * 3, count=30))
    assert len(found.rows) == 3
    assert found.reasons == ["count_too_large"]


def test_quirk_48_count_of_v5_when_above_30_and_present_then_all() -> None:
    assert len(decode(v5(*[v5_record()] * 40)).rows) == 40


def test_quirk_48_v5_when_cut_in_a_record_then_the_whole_ones() -> None:
    found = decode(v5(*[v5_record()] * 3)[:-10])
    assert len(found.rows) == 2
    assert found.reasons == ["count_too_large"]


def test_quirk_48_v5_when_octets_follow_the_records_then_ignored() -> None:
    found = decode(v5(v5_record(), v5_record(), count=1) + b"junk")
    assert len(found.rows) == 1


def test_quirk_48_sampling_mode_bits_when_set_then_not_part_of_the_interval() -> None:
    for mode in range(4):
        found = decode(v5(v5_record(), sampling=mode << 14 | 100))
        assert found.row["sampling_rate"] == 100


@pytest.mark.parametrize("element", [291, 292, 293])
def test_quirk_50_structured_data_when_in_a_record_then_skipped_by_its_length(
    element: int,
) -> None:
    # basicList, subTemplateList, subTemplateMultiList (RFC 6313).
    fields = ((8, 4), (element, VARIABLE), (1, 4))
    inner = b"\x03" + struct.pack(">HH", 8, 4) + v4("10.9.9.9")
    record = v4("10.0.0.1") + variable(inner) + number(12, 4)
    found = decode(ipfix(a_set(2, template(300, *fields)), a_set(300, record * 2)))
    assert found.column("octet_delta_count") == [12, 12]
    assert found.column("source_address") == ["10.0.0.1"] * 2


def test_quirk_51_sflow_when_on_the_same_port_then_not_taken_for_v5() -> None:
    sflow = struct.pack(">IIIIIII", 5, 1, 0xC0000201, 0, 1, 1000, 0)
    found = decode(sflow, v5(v5_record()), sflow)
    assert len(found.rows) == 1
    assert (found.counts["datagrams_v0"], found.counts["datagrams_v5"]) == (2, 1)
    assert not found.faults


@both
def test_quirk_52_set_when_its_template_is_unknown_then_the_others_are_decoded(
    protocol: Exporter,
) -> None:
    found = decode(
        protocol.message(
            a_set(299, bytes(20)),
            protocol.templates(template(300, *BASIC)),
            a_set(300, basic()),
            a_set(301, bytes(20)),
            a_set(300, basic()),
        )
    )
    assert len(found.rows) == 2
    assert found.counts["sets_without_template"] == 2


@pytest.mark.parametrize("payload", [v5(v5_record()), v9(), ipfix()], ids=["v5", "v9", "ipfix"])
def test_quirk_53_exporter_when_ipv6_or_mapped_then_one_way_to_write_each(payload: bytes) -> None:
    found = decode(
        *(datagram(payload, a) for a in ("2001:db8::5", "::ffff:192.0.2.7", "192.0.2.7"))
    )
    assert len(found.states.exporters) == 2
    for row in found.rows:
        assert row["exporter_address"] in ("2001:db8::5", "192.0.2.7")
