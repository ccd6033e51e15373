"""Exporters' habits with single fields; numbers of exporter-quirks.md."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest

from appliance.decoding.results import DecodeOptions
from appliance.flows import HEADER_COLUMNS, address_halves
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    EXPORTER,
    IPFIX,
    V9,
    VARIABLE,
    Decoded,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    number,
    template,
    v4,
    v5,
    v5_record,
    variable,
)
from tests.decoding.protocols import Field, both, one_option, one_record, own_scope


def one(protocol: Exporter, *fields: Field, **given: Any) -> Decoded:
    """Decode one record of these elements."""
    return decode(protocol.message(one_record(protocol, *fields)), **given)


def learned(protocol: Exporter, *fields: Field, scope: int = 0) -> Decoded:
    """Decode one options record of these elements; in IPFIX the first one is its scope."""
    if protocol is IPFIX:
        return decode(protocol.message(one_option(protocol, *fields[1:], scope=fields[0])))
    about = (scope, number(7, 4)) if scope else None
    return decode(protocol.message(one_option(protocol, *fields, scope=about)))


@both
@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"eth0\0\0\0\0", "eth0"),
        (b"eth0\0junk", "eth0"),
        (b"  ge-0/0/1  ", "ge-0/0/1"),
        (b"caf\xe9", "caf\ufffd"),
        ("größe".encode(), "größe"),
        (b"x" * 5000, "x" * 256),
        (b"\0" * 16, None),
    ],
)
def test_quirk_26_string_when_padded_broken_or_long_then_cut_and_readable(
    protocol: Exporter, octets: bytes, name: str | None
) -> None:
    found = learned(protocol, (10, number(7, 4)), (82, octets))
    assert found.options[0].get("interface_name") == name
    assert found.names().get(("interface", 7)) == (None if name is None else (name, ""))


@both
@pytest.mark.parametrize("octets", range(1, 9))
def test_quirk_27_integer_when_of_reduced_size_then_its_value(
    protocol: Exporter, octets: int
) -> None:
    value = (1 << 8 * octets) - 2
    found = one(protocol, (1, number(value, octets)), (2, number(value, octets)), (4, b"\x11"))
    assert found.row["octet_delta_count"] == found.row["packet_delta_count"] == value


@both
@pytest.mark.parametrize("octets", [1, 2, 3, 4, 8])
def test_quirk_27_smaller_columns_when_of_any_length_then_their_value(
    protocol: Exporter, octets: int
) -> None:
    elements = {
        16: "bgp_source_as_number", 17: "bgp_destination_as_number", 10: "ingress_interface",
        14: "egress_interface", 89: "forwarding_status", 58: "vlan_id", 234: "ingress_vrf_id",
        4: "protocol_identifier", 6: "tcp_control_bits", 9: "source_prefix_length",
    }  # fmt: skip
    fields = [(element, number(70 + element % 50, octets)) for element in elements]
    found = one(protocol, *fields)
    for element, column in elements.items():
        assert found.row[column] == 70 + element % 50, column


@both
@pytest.mark.parametrize(
    ("told", "ingress", "egress", "direction"),
    [
        (0, 1, 2, 0), (1, 1, 2, 1), (255, 1, 2, None), (255, 1, 0, 0), (255, 0, 2, 1),
        (None, 1, 2, None), (None, 1, 0, 0), (None, 0, 2, 1), (None, 0, 0, None), (7, 1, 2, None),
    ],
)  # fmt: skip
def test_quirk_37_direction_when_missing_or_unknown_then_from_the_interfaces(
    protocol: Exporter, told: int | None, ingress: int, egress: int, direction: int | None
) -> None:
    fields = [(10, number(ingress, 2)), (14, number(egress, 2)), (1, b"\x09")]
    if told is not None:
        fields.append((61, number(told, 1)))
    assert one(protocol, *fields).row.get("flow_direction") == direction


@both
@pytest.mark.parametrize(
    ("egress", "hop", "status", "dropped"),
    [
        (0, "0.0.0.0", None, True), (2, "0.0.0.0", None, False), (0, "10.0.0.1", None, False),
        (0, "::", None, True), (0, "2001:db8::", None, False), (0, "2001:db8::1", None, False),
        (2, "10.0.0.1", 0x80, True), (2, "10.0.0.1", 0xBF, True), (0, "0.0.0.0", 0x40, False),
        (2, "10.0.0.1", 0xC0, False),
    ],
)  # fmt: skip
def test_quirk_38_packet_when_it_has_no_way_out_then_dropped(
    protocol: Exporter, egress: int, hop: str, status: int | None, dropped: bool
) -> None:
    address = ipaddress.ip_address(hop)
    fields = [
        (10, number(1, 2)), (14, number(egress, 2)),
        (15 if address.version == 4 else 62, address.packed), (1, b"\x09"),
    ]  # fmt: skip
    if status is not None:
        fields.append((89, number(status, 1)))
    assert one(protocol, *fields).row.get("dropped", 0) == dropped


def test_quirk_38_v5_flow_when_it_has_no_way_out_then_dropped() -> None:
    found = decode(v5(v5_record(next_hop="0.0.0.0", interfaces=(1, 0)), v5_record()))
    assert found.column("dropped") == [1, None]


@both
@pytest.mark.parametrize(
    ("family", "version"), [(4, None), (6, None), (4, 0), (6, 0), (4, 4), (6, 6)]
)
def test_quirk_39_addresses_when_of_both_families_then_the_one_that_is_meant(
    protocol: Exporter, family: int, version: int | None
) -> None:
    six = ipaddress.ip_address("2001:db8::1").packed if family == 6 else bytes(16)
    four = v4("10.0.0.1") if family == 4 else bytes(4)
    fields = [
        (8, four),
        (27, six),
        (12, four),
        (28, six),
        (9, b"\x18"),
        (29, b"\x40"),
        (1, b"\x09"),
    ]
    if version is not None:
        fields.append((60, number(version, 1)))
    row = one(protocol, *fields).row
    assert row["source_address"] == ("10.0.0.1" if family == 4 else "2001:db8::1")
    assert row["destination_address"] == row["source_address"]
    assert row["source_prefix_length"] == (24 if family == 4 else 64)


@both
@pytest.mark.parametrize(("source", "destination"), [(180, 181), (182, 183)])
def test_quirk_40_ports_when_in_fields_of_udp_or_tcp_then_the_same_columns(
    protocol: Exporter, source: int, destination: int
) -> None:
    row = one(protocol, (source, number(53, 2)), (destination, number(4000, 2)), (1, b"\x09")).row
    assert (row["source_transport_port"], row["destination_transport_port"]) == (53, 4000)


@both
def test_quirk_40_ports_when_in_several_fields_then_the_one_that_is_not_zero(
    protocol: Exporter,
) -> None:
    fields = [(7, b"\0\0"), (180, number(53, 2)), (182, b"\0\0"), (11, b"\0\0"), (183, b"\0\x50")]
    row = one(protocol, *fields).row
    assert (row["source_transport_port"], row["destination_transport_port"]) == (53, 80)


@both
@pytest.mark.parametrize(
    "fields",
    [
        [(32, number(0x0803, 2))],
        [(139, number(0x0803, 2))],
        [(32, number(0, 2)), (139, number(0x0803, 2))],
        [(176, b"\x08"), (177, b"\x03")],
        [(178, b"\x08"), (179, b"\x03")],
        [(176, b"\0"), (177, b"\0"), (178, b"\x08"), (179, b"\x03")],
        [(11, number(0x0803, 2))],
    ],
)
@pytest.mark.parametrize("kind", [1, 58])
def test_quirk_40_icmp_when_type_and_code_are_anywhere_then_in_one_column(
    protocol: Exporter, fields: list[Field], kind: int
) -> None:
    assert one(protocol, (4, number(kind, 1)), *fields).row["icmp_type_code"] == 0x0803


def test_quirk_40_destination_port_when_not_of_icmp_then_only_a_port() -> None:
    found = decode(v5(v5_record(protocol=6), v5_record(protocol=1, ports=(0, 0x0800))))
    assert found.column("icmp_type_code") == [None, 0x0800]


@both
@pytest.mark.parametrize("lengths", [(4, 4), (0, 4)])
def test_quirk_41_element_when_it_comes_twice_then_the_first_with_octets_counts(
    protocol: Exporter, lengths: tuple[int, int]
) -> None:
    """Those of a header are another matter, see `test_quirks_tunnels`."""
    first, second = number(10, 4)[: lengths[0]], number(20, 4)
    found = one(protocol, (10, first), (10, second), (2, b"\x04"), (2, b"\x11"), (1, b"\x09"))
    assert found.row["ingress_interface"] == (10 if lengths[0] else 20)
    assert found.row["packet_delta_count"] == 4


@both
@pytest.mark.parametrize(
    ("octets", "key"),
    [
        (b"\x03\0\0\x35", 3 << 56 | 53),
        (b"\x0d\0\x9e\x77", 13 << 56 | 40567),
        (b"\x0d", 13 << 56),
        (b"\x0d\x01\x02", 13 << 56 | 0x0102),
        (b"\x14\0\0\x30\x44\0\0\0\x07", 20 << 56 | 0x3044 << 32 | 7),
        (b"\x14" + bytes(8) + b"\x09", 20 << 56 | 9),
        (b"\x14\0\0\0\0\0\0\x09", 20 << 56 | 9),
    ],
)
def test_quirk_42_application_when_of_any_length_then_engine_and_selector(
    protocol: Exporter, octets: bytes, key: int
) -> None:
    assert one(protocol, (95, octets), (1, b"\x09")).row["application_id"] == key
    templates = protocol.templates(template(300, (95, VARIABLE), (1, 1)))
    found = decode(protocol.message(templates, a_set(300, variable(octets) + b"\x09")))
    assert found.row["application_id"] == key


@both
def test_quirk_42_application_when_an_options_table_names_it_then_the_name_is_learned(
    protocol: Exporter,
) -> None:
    fields = [(95, b"\x0d\0\0\x01"), (96, b"http".ljust(24, b"\0")), (94, b"World Wide Web")]
    found = learned(protocol, *fields)
    assert found.names() == {("application", 13 << 56 | 1): ("http", "World Wide Web")}
    assert found.options[0]["application_name"] == "http"
    assert found.options[0]["application_id"] == 13 << 56 | 1


@both
@pytest.mark.parametrize("element", [10, 14, 252])
def test_quirk_43_interface_name_when_keyed_by_any_element_then_learned(
    protocol: Exporter, element: int
) -> None:
    found = learned(protocol, (element, number(7, 4)), (82, b"Gi0/1\0"), (83, b"to the core"))
    assert found.names() == {("interface", 7): ("Gi0/1", "to the core")}


def test_quirk_43_interface_name_when_the_scope_is_v9s_interface_then_learned() -> None:
    found = learned(V9, (82, b"Gi0/1\0"), scope=2)
    assert found.names() == {("interface", 7): ("Gi0/1", "")}


@both
@pytest.mark.parametrize("one_by_one", [False, True])
def test_quirk_43_interface_when_renamed_then_the_last_name(
    protocol: Exporter, one_by_one: bool
) -> None:
    layouts = {400: [(10, 4), (82, 4)], 401: [(10, 4), (82, 5)]}
    templates = protocol.options_templates(
        *(protocol.options(n, [own_scope(protocol)], fields) for n, fields in layouts.items())
    )
    told = [(401, b"old__"), (400, b"mid_"), (401, b"new__"), (400, b"last")]
    found = decode(
        protocol.message(templates),
        *(protocol.message(a_set(n, bytes(7) + b"\x07" + name)) for n, name in told),
        one_by_one=one_by_one,
    )
    assert found.names() == {("interface", 7): ("last", "")}


@both
def test_quirk_47_elements_when_renamed_in_the_settings_then_of_that_exporter_only(
    protocol: Exporter,
) -> None:
    options = DecodeOptions(renamed={address_halves(EXPORTER): {(0, 85): (0, 1), (0, 1): (0, 210)}})
    templates = protocol.templates(template(300, (1, 4), (85, 4)))
    message = protocol.message(templates, a_set(300, number(1, 4) + number(2, 4)))
    found = decode(datagram(message), datagram(message, "192.0.2.99"), options=options)
    octets = {row["exporter_address"]: row["octet_delta_count"] for row in found.rows}
    assert octets == {EXPORTER: 2, "192.0.2.99": 1}


@both
def test_octets_when_an_element_is_named_in_the_primitives_then_in_the_batch(
    protocol: Exporter,
) -> None:
    options = DecodeOptions(raw_elements=((0, 95), (0, 8), (9, 12235)))
    fixed = [(8, v4("10.0.0.1")), (95, b"\x0d\0\0\x01"), (1, b"\x09")]
    found = one(protocol, *fixed, options=options)
    assert found.row["octets_0_95"] == b"\x0d\0\0\x01"
    assert found.row["octets_0_8"] == v4("10.0.0.1")
    assert "octets_9_12235" not in found.row
    layout = protocol.templates(template(300, (95, VARIABLE), (1, 1)))
    records = variable(b"\x0d\x01") + b"\x01" + variable(b"") + b"\x02"
    found = decode(protocol.message(layout, a_set(300, records)), options=options)
    assert found.column("octets_0_95") == [b"\x0d\x01", None]


def test_octets_when_of_an_enterprise_and_of_both_directions_then_in_every_row() -> None:
    options = DecodeOptions(raw_elements=((9, 12235),))
    layout = template(300, (12235, 2, 9), (231, 4), (232, 4))
    record = b"ab" + number(5, 4) + number(6, 4)
    found = decode(IPFIX.message(IPFIX.templates(layout), a_set(300, record)), options=options)
    assert found.column("octets_9_12235") == [b"ab", b"ab"]


def test_octets_when_an_element_comes_twice_then_each_occurrence_by_its_number() -> None:
    wanted = ((9, 1001), (9, 1001, 1), (9, 1001, 2))
    layout = template(300, (1001, 2, 9), (1, 4), (1001, 2, 9))
    message = IPFIX.message(IPFIX.templates(layout), a_set(300, b"ab" + number(5, 4) + b"cd"))
    row = decode(message, options=DecodeOptions(raw_elements=wanted)).row
    assert (row["octets_9_1001"], row["octets_9_1001_1"]) == (b"ab", b"cd")
    assert "octets_9_1001_2" not in row


@pytest.mark.parametrize("version", [5, 9, 10])
def test_header_when_it_is_wanted_then_in_every_row_else_in_none(version: int) -> None:
    protocol = V9 if version == 9 else IPFIX
    told = protocol.templates(template(300, *BASIC))
    data = a_set(300, basic() + basic())
    sent = {
        5: v5(v5_record(), v5_record(), sequence=77),
        9: V9.message(told, data, sequence=77),
        10: IPFIX.message(told, data, sequence=77),
    }[version]
    options = DecodeOptions(header_columns=tuple(HEADER_COLUMNS))
    found = decode(sent, options=options)
    assert found.column("export_sequence_number") == [77, 77]
    assert found.column("export_time_milliseconds") == [EXPORT_MS, EXPORT_MS]
    assert not set(HEADER_COLUMNS) & set(decode(sent).rows[0])


def test_every_quirk_when_listed_then_it_has_a_test_named_after_it() -> None:
    names = [
        name
        for path in Path(__file__).parent.glob("test_quirks_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    ]
    numbers = {int(found[1]) for name in names if (found := re.match(r"test_quirk_(\d\d)_", name))}
    assert numbers == set(range(1, 54))
    assert len({name for name in names if name.startswith("test_decision_")}) >= 6
