"""Lists of RFC 6313 as `appliance decode` prints them: readable, nested, damaged, hostile."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.collector.capture_decoding import decode_datagrams
from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.decoding.explanation import explain
from appliance.decoding.inspection import inspect_records
from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.records.structured import LISTS, read_list
from appliance.decoding.templates.template import VARIABLE_LENGTH, FieldSpecifier, Template
from appliance.information_elements import element_by_id
from tests.decoding.building import (
    VARIABLE,
    a_set,
    an_app,
    datagram,
    ipfix,
    number,
    template,
    v4,
    variable,
)

ALL_OF, ORDERED = b"\x03", b"\x04"
COMMUNITIES, BASIC_LIST, SUB_LIST, MULTI_LIST, V6_OPTIONS = 484, 291, 292, 293, 515
ENDS = template(256, (8, 4), (12, 4))


def basic_list(element: int, length: int, *values: bytes, enterprise: int = 0) -> bytes:
    head = struct.pack(">HH", element | (0x8000 if enterprise else 0), length)
    return ORDERED + head + (number(enterprise, 4) if enterprise else b"") + b"".join(values)


def ends(last: int) -> bytes:
    return v4(f"10.0.0.{last}") + v4(f"10.0.1.{last}")


def printed(*payloads: bytes) -> list[dict[str, Any]]:
    states = ExporterStates(ExporterLimits())
    results = decode_datagrams(an_app().decoders, map(datagram, payloads), states)
    return [record for _, result in results if result for record in inspect_records(result, states)]


def explained(*payloads: bytes) -> str:
    states = ExporterStates(ExporterLimits())
    results = decode_datagrams(an_app().decoders, map(datagram, payloads), states)
    return "\n".join(
        line
        for n, (sent, result) in enumerate(results)
        for line in explain(n, sent, result, states)
    )


def message(element: int, value: bytes, length: int = VARIABLE) -> bytes:
    octets = variable(value) if length == VARIABLE else value
    templates = a_set(2, ENDS + template(300, (element, length), (1, 4)))
    return ipfix(templates, a_set(300, octets + number(9, 4)))


def test_basic_list_when_decoded_then_its_values_by_name() -> None:
    value = basic_list(483, 4, number(65001, 4), number(65002, 4))
    (record,) = printed(message(COMMUNITIES, value))
    assert record["_bgpSourceCommunityList"] == {
        "_semantic": "ordered",
        "records": [{"bgpCommunity": [65001, 65002]}],
    }
    assert record["octetDeltaCount"] == 9


def test_basic_list_when_of_variable_or_foreign_elements_then_readable() -> None:
    names = basic_list(82, VARIABLE, variable(b"eth0"), variable(b"eth1", long_form=True))
    foreign = basic_list(7, 2, number(0xABCD, 2), enterprise=4242)
    (record,) = printed(message(BASIC_LIST, names))
    assert record["_basicList"]["records"] == [{"interfaceName": ["eth0", "eth1"]}]
    (record,) = printed(message(BASIC_LIST, foreign))
    assert record["_basicList"]["records"] == [{"enterprise4242.7": "abcd"}]


def test_sub_template_list_when_decoded_then_records() -> None:
    value = ALL_OF + number(256, 2) + ends(1) + ends(2)
    names = ("_templateId", "sourceIPv4Address", "destinationIPv4Address")
    rows = [(256, "10.0.0.1", "10.0.1.1"), (256, "10.0.0.2", "10.0.1.2")]
    expected = [dict(zip(names, row, strict=True)) for row in rows]
    (record,) = printed(message(SUB_LIST, value))
    assert record["_subTemplateList"] == {"_semantic": "allOf", "records": expected}
    assert '"sourceIPv4Address": "10.0.0.2"' in explained(message(SUB_LIST, value))


def test_sub_template_multi_list_when_decoded_then_records_of_each_template() -> None:
    parts = struct.pack(">HH", 256, 12) + ends(1) + struct.pack(">HH", 257, 6) + number(443, 2)
    extra = ipfix(a_set(2, template(257, (11, 2))))
    (record,) = printed(extra, message(MULTI_LIST, ALL_OF + parts))
    assert [r["_templateId"] for r in record["_subTemplateMultiList"]["records"]] == [256, 257]
    assert record["_subTemplateMultiList"]["records"][1]["destinationTransportPort"] == 443


def test_list_when_nested_then_objects_in_objects_down_to_a_limit() -> None:
    value = basic_list(4, 1, b"\x06")
    for _ in range(6):
        value = basic_list(BASIC_LIST, VARIABLE, variable(value))
    (record,) = printed(message(BASIC_LIST, value))
    assert record["basicList"] == value.hex()
    depth, inner = 0, record["_basicList"]
    while isinstance(inner, dict):
        depth, inner = depth + 1, inner["records"][0]["basicList"]
    assert depth == 4
    assert inner.startswith("04")  # the octets of what lies deeper


def test_list_when_its_template_is_not_known_then_its_octets() -> None:
    value = ALL_OF + number(999, 2) + bytes(8)
    (record,) = printed(message(SUB_LIST, value))
    assert record["subTemplateList"] == value.hex()
    assert "_subTemplateList" not in record


@pytest.mark.parametrize("element", [BASIC_LIST, SUB_LIST, MULTI_LIST])
def test_list_when_cut_then_its_octets_and_the_rest_of_the_record(element: int) -> None:
    whole = {
        BASIC_LIST: basic_list(483, 4, number(1, 4)),
        SUB_LIST: ALL_OF + number(256, 2) + ends(1),
        MULTI_LIST: ALL_OF + struct.pack(">HH", 256, 12) + ends(1),
    }[element]
    for size in range(1, len(whole)):
        (record,) = printed(message(element, whole[:size]))
        assert record["octetDeltaCount"] == 9


@pytest.mark.parametrize("data_type", sorted(LISTS))
@given(octets=st.binary(max_size=300))
def test_list_when_of_any_octets_then_read_or_refused(data_type: str, octets: bytes) -> None:
    known = Template(256, (FieldSpecifier(8, 4), FieldSpecifier(82, VARIABLE_LENGTH)))
    try:
        found = read_list(data_type, octets, lambda number: known if number < 40_000 else None)
    except MalformedMessage:
        return
    assert sum(len(value) for e in found.entries for _, value in e.fields) <= len(octets)


def test_flags_of_256_bits_when_decoded_then_hexadecimal() -> None:
    flags = bytes(31) + b"\x41"
    (record,) = printed(message(V6_OPTIONS, flags, 32))
    assert record["ipv6ExtensionHeadersFull"] == flags.hex()


@pytest.mark.parametrize("element", [492, 505, 515, 530])
def test_elements_when_of_the_newest_registry_then_named(element: int) -> None:
    known = element_by_id(0, element)
    assert known is not None
    (record,) = printed(message(element, bytes(4), 4))
    assert known.name in record
