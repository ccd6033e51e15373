"""Which header of a tunnel is the flow; the rule is in `appliance.decoding.columns.tunnels`."""

from __future__ import annotations

import socket
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decoding.building import IPFIX, Decoded, Exporter, a_set, decode, number, template, v4
from tests.decoding.protocols import both, with_template

V4, V6 = (8, 12), (27, 28)
ENDS = ("source_address", "destination_address")
FIVE = (*ENDS, "source_transport_port", "destination_transport_port", "protocol_identifier")


def octets(value: str | int, length: int) -> bytes:
    if isinstance(value, int):
        return number(value, length)
    return v4(value) if length == 4 else socket.inet_pton(socket.AF_INET6, value)


LENGTHS = {8: 4, 12: 4, 27: 16, 28: 16, 4: 1, 60: 1, 5: 1, 6: 2, 9: 1, 30: 1}


def one_layout(protocol: Exporter, elements: tuple[int, ...], *rows: tuple[Any, ...]) -> Decoded:
    """Decode records of these elements, octets 100 each."""
    layout = (*((e, LENGTHS.get(e, 2)) for e in elements), (1, 4))
    body = b"".join(
        octets(value, length)
        for row in rows
        for value, (_, length) in zip((*row, 100), layout, strict=True)
    )
    return decode(protocol.message(with_template(protocol, layout, body)))


def five(found: Decoded) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in FIVE) for row in found.rows]


@both
def test_tunnel_when_all_comes_twice_then_the_inner_header_is_the_flow(protocol: Exporter) -> None:
    """As Cisco sends IP in IP, the outer header first; an empty inner one is no tunnel."""
    elements = (8, 12, 4, 7, 11, 8, 12, 4, 7, 11)
    inner = ("172.16.0.1", "172.16.0.2", 17, 53, 5353)
    plain = ("10.0.0.3", "10.0.0.4", 6, 1024, 443)
    found = one_layout(
        protocol,
        elements,
        ("10.0.0.1", "10.0.0.2", 4, 0, 0, *inner),
        (*plain, "0.0.0.0", "0.0.0.0", 0, 0, 0),
        (*plain, "172.16.0.1", "0.0.0.0", 17, 1, 2),
        ("10.0.0.1", "10.0.0.2", 17, 9, 4789, "172.16.0.1", "172.16.0.2", 1, 0, 0),
    )
    assert five(found) == [
        ("172.16.0.1", "172.16.0.2", 53, 5353, 17),
        ("10.0.0.3", "10.0.0.4", 1024, 443, 6),
        ("10.0.0.3", "10.0.0.4", 1024, 443, 6),
        ("172.16.0.1", "172.16.0.2", None, None, 1),
    ]
    assert found.column("octet_delta_count") == [100] * 4


@both
def test_tunnel_when_srv6_carries_ipv4_then_the_inner_header_is_the_flow(
    protocol: Exporter,
) -> None:
    elements = (*V6, 4, 60, 5, *V4, 4, 60, 5, 7, 11, 6, 30, 9)
    outer, inner = ("2001:db8::1", "2001:db8::2", 4, 6, 8), ("10.0.0.1", "10.0.0.2", 6, 4, 16)
    found = one_layout(protocol, elements, (*outer, *inner, 1024, 443, 0x18, 64, 24))
    assert five(found) == [("10.0.0.1", "10.0.0.2", 1024, 443, 6)]
    row = found.row
    assert (row["ip_version"], row["ip_class_of_service"], row["tcp_control_bits"]) == (4, 16, 24)
    assert row["source_prefix_length"] == 24
    assert "destination_prefix_length" not in row


@both
def test_tunnel_when_only_protocol_and_ports_come_twice_then_the_inner_ones(
    protocol: Exporter,
) -> None:
    found = one_layout(
        protocol,
        (8, 12, 4, 7, 11, 4, 7, 11),
        ("10.0.0.1", "10.0.0.2", 4, 0, 0, 17, 53, 5353),
        ("10.0.0.1", "10.0.0.2", 6, 1024, 443, 0, 0, 0),
    )
    assert five(found) == [
        ("10.0.0.1", "10.0.0.2", 53, 5353, 17),
        ("10.0.0.1", "10.0.0.2", 1024, 443, 6),
    ]


@both
@pytest.mark.parametrize("elements", [*permutations((*V4, *V6))])
def test_families_when_one_is_empty_then_the_other_whatever_the_order(
    protocol: Exporter, elements: tuple[int, ...]
) -> None:
    four = {8: "10.0.0.1", 12: "10.0.0.2", 27: "::", 28: "::"}
    six = {8: "0.0.0.0", 12: "0.0.0.0", 27: "2001:db8::1", 28: "2001:db8::2"}
    rows = [(*(values[e] for e in elements), 6) for values in (four, six)]
    found = one_layout(protocol, (*elements, 4), *rows)
    expected = [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")]
    assert [tuple(row.get(end) for end in ENDS) for row in found.rows] == expected
    assert found.column("protocol_identifier") == [6, 6]


@both
@pytest.mark.parametrize("elements", [*permutations((*V4, *V6))])
def test_families_when_both_are_filled_then_never_mixed_in_one_flow(
    protocol: Exporter, elements: tuple[int, ...]
) -> None:
    values = {8: "10.0.0.1", 12: "10.0.0.2", 27: "2001:db8::1", 28: "2001:db8::2"}
    ports = (4, 7, 11, 4, 7, 11)
    for others, numbers in (((4,), (6,)), (ports, (6, 1, 2, 6, 3, 4))):
        found = one_layout(
            protocol, (*elements, *others), (*(values[e] for e in elements), *numbers)
        )
        assert tuple(found.row[end] for end in ENDS) in {
            ("10.0.0.1", "10.0.0.2"),
            ("2001:db8::1", "2001:db8::2"),
        }


@both
def test_families_when_the_version_is_told_then_that_unless_it_is_empty(
    protocol: Exporter,
) -> None:
    both_families = ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2")
    only_six = ("0.0.0.0", "0.0.0.0", "2001:db8::1", "2001:db8::2")
    found = one_layout(
        protocol,
        (*V4, *V6, 60, 4),
        (*both_families, 4, 6),
        (*both_families, 6, 6),
        (*both_families, 0, 6),
        (*only_six, 4, 6),
    )
    six = "2001:db8::1"
    assert found.column("source_address") == ["10.0.0.1", six, six, six]


@both
@pytest.mark.parametrize("elements", [(12, 28), (28, 12), (8, 12, 28), (8, 27), (8, 27, 12)])
def test_families_when_only_one_end_has_both_then_its_filled_one(
    protocol: Exporter, elements: tuple[int, ...]
) -> None:
    four = {8: "10.0.0.1", 12: "10.0.0.2", 27: "::", 28: "::"}
    six = {8: "0.0.0.0", 12: "0.0.0.0", 27: "2001:db8::1", 28: "2001:db8::2"}
    double, name = ((12, 28), ENDS[1]) if 28 in elements else ((8, 27), ENDS[0])
    rows = [(*(values[e] for e in elements), n) for values, n in ((four, 4), (six, 6), (six, 4))]
    found = one_layout(protocol, (*elements, 60), *rows)
    assert found.column(name) == [four[double[0]], six[double[1]], six[double[1]]]


@given(st.lists(st.tuples(st.sampled_from([*LENGTHS, 7, 11, 180]), st.booleans()), max_size=40))
@settings(max_examples=100, deadline=None)
def test_tunnel_when_layouts_repeat_anything_then_rows_of_right_columns(
    fields: list[tuple[int, bool]],
) -> None:
    layout = [(e, LENGTHS.get(e, 2) if whole else 0) for e, whole in fields] + [(1, 4)]
    body = bytes(range(1, 256)) * 3
    length = sum(length for _, length in layout)
    message = IPFIX.message(
        a_set(2, template(300, *layout)), a_set(300, body[:length] + bytes(length))
    )
    found = decode(message)
    assert len(found.rows) == 2
