"""Exporters' habits with templates, Sets and messages; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct

import pytest

from tests.decoding.building import (
    BASIC,
    IPFIX,
    V9,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    number,
    template,
    v4,
    v9,
    v9_options,
)
from tests.decoding.protocols import both, in_both_modes, own_scope

PORTS = ((7, 2), (11, 2), (1, 4))


def ports(source: int, destination: int, octets: int) -> bytes:
    return struct.pack(">HHI", source, destination, octets)


@both
def test_quirk_01_zero_length_field_when_in_a_template_then_no_value(protocol: Exporter) -> None:
    fields = ((8, 4), (12, 0), (7, 2), (82, 0), (1, 4))
    message = protocol.message(
        protocol.templates(template(300, *fields)),
        a_set(300, (v4("10.0.0.1") + number(99, 2) + number(500, 4)) * 2),
    )
    found = decode(message)
    assert found.column("source_address") == ["10.0.0.1"] * 2
    assert found.column("destination_address") == [None, None]
    assert found.column("octet_delta_count") == [500, 500]
    assert not found.faults


@both
def test_quirk_01_zero_length_when_of_an_options_scope_then_the_record_counts(
    protocol: Exporter,
) -> None:
    options = protocol.options(400, [(1 if protocol is V9 else 144, 0)], [(34, 4)])
    found = decode(
        protocol.message(
            protocol.options_templates(options),
            a_set(400, number(512, 4)),
            protocol.templates(template(300, *BASIC)),
            a_set(300, basic()),
        )
    )
    assert len(found.options) == 1
    assert found.row["sampling_rate"] == 512


@both
@pytest.mark.parametrize("fields", [(), ((1, 0), (2, 0))], ids=["no fields", "no octets"])
def test_quirk_02_template_when_its_records_have_no_octet_then_refused_and_counted(
    protocol: Exporter, fields: tuple[tuple[int, int], ...]
) -> None:
    templates = protocol.templates(template(300, *fields), template(301, *BASIC))
    found = decode(protocol.message(templates, a_set(300, bytes(8)), a_set(301, basic())))
    assert len(found.rows) == 1
    if fields or protocol is V9:
        assert found.reasons == ["template_empty"]
        assert found.counts["malformed_template_empty"] == 1
    assert found.counts["sets_without_template"] == 1
    assert list(found.exporter().templates) == [
        key for key in found.exporter().templates if key[1] == 301
    ]


@both
def test_quirk_02_options_template_when_its_records_have_no_octet_then_refused(
    protocol: Exporter,
) -> None:
    options = protocol.options(400, [(1, 0)], [(34, 0)])
    found = decode(protocol.message(protocol.options_templates(options), a_set(400, bytes(8))))
    assert found.reasons == ["template_empty"]
    assert not found.options


@both
@pytest.mark.parametrize("padding", range(18))
def test_quirk_03_padding_when_at_the_end_of_a_set_then_no_record_and_long_ones_counted(
    protocol: Exporter, padding: int
) -> None:
    templates = protocol.templates(template(300, *BASIC))
    data = a_set(300, basic() * 2 + bytes(padding))
    found = decode(protocol.message(templates, data, a_set(300, basic())))
    assert len(found.rows) == 3
    assert found.counts["long_padding"] == (padding > 7)
    assert not found.faults


@both
@pytest.mark.parametrize("padding", range(6))
def test_quirk_03_padding_when_in_options_then_no_record(protocol: Exporter, padding: int) -> None:
    options = protocol.options(400, [(1, 2)], [(34, 4)])
    found = decode(
        protocol.message(
            a_set(1 if protocol is V9 else 3, options + bytes(min(padding, 5))),
            a_set(400, number(7, 2) + number(100, 4) + b"\xff" * padding),
        )
    )
    assert len(found.options) == 1
    assert not found.faults


@both
def test_quirk_04_padding_octets_element_when_several_times_then_skipped(
    protocol: Exporter,
) -> None:
    fields = ((210, 1), (8, 4), (210, 3), (1, 4), (210, 2))
    record = b"\xaa" + v4("10.0.0.9") + b"\xaa" * 3 + number(77, 4) + b"\xaa" * 2
    templates = protocol.templates(template(300, *fields))
    found = decode(protocol.message(templates, a_set(300, record * 3)))
    assert found.column("source_address") == ["10.0.0.9"] * 3
    assert found.column("octet_delta_count") == [77] * 3
    assert not found.states.unknown_elements


@both
def test_quirk_05_several_templates_when_in_one_set_then_all_are_known(protocol: Exporter) -> None:
    templates = protocol.templates(
        template(300, *BASIC), template(301, *PORTS), template(302, (8, 4), (2, 2))
    )
    found = decode(
        protocol.message(templates),
        protocol.message(
            a_set(302, v4("10.0.0.3") + number(5, 2)),
            a_set(301, ports(1, 2, 3)),
            a_set(300, basic()),
            sequence=1 if protocol is V9 else 0,
        ),
    )
    assert len(found.rows) == 3
    assert len(found.exporter().templates) == 3


@both
def test_quirk_05_several_options_templates_when_in_one_set_then_all_are_known(
    protocol: Exporter,
) -> None:
    found = decode(
        protocol.message(
            protocol.options_templates(
                protocol.options(400, [own_scope(protocol)], [(34, 4)]),
                protocol.options(401, [own_scope(protocol)], [(82, 8)]),
                protocol.options(402, [own_scope(protocol)], [(41, 8), (42, 8)]),
            ),
            a_set(402, bytes(20)),
            a_set(401, bytes(4) + b"eth0\0\0\0\0"),
            a_set(400, bytes(4) + number(10, 4)),
        )
    )
    assert len(found.options) == 3
    assert [row.get("interface_name") for row in found.options if "interface_name" in row] == [
        "eth0"
    ]


@pytest.mark.parametrize(
    ("protocol", "scopes"),
    [
        (V9, [(1, 4)]),
        (V9, []),
        (V9, [(1, 0)]),
        (V9, [(1, 4), (3, 2)]),
        (V9, [(4, 2), (5, 2), (1, 1)]),
        (IPFIX, [(149, 4)]),
        (IPFIX, [(144, 4), (149, 4)]),
        (IPFIX, [(143, 2), (144, 1), (149, 4)]),
    ],
    ids=str,
)
def test_quirk_06_options_scope_when_octets_or_counts_then_every_field_in_its_place(
    protocol: Exporter, scopes: list[tuple[int, int]]
) -> None:
    options = protocol.options(400, scopes, [(34, 4), (82, 4)])
    record = bytes(sum(length for _, length in scopes)) + number(250, 4) + b"abcd"
    found = decode(
        protocol.message(
            protocol.options_templates(options),
            a_set(400, record * 2),
            protocol.templates(template(300, *BASIC)),
            a_set(300, basic()),
        )
    )
    assert [row["interface_name"] for row in found.options] == ["abcd", "abcd"]
    assert found.row["sampling_rate"] == 250
    (known,) = [k for k in found.exporter().templates.values() if k.template.options]
    assert known.template.scope_count == len(scopes)


def test_quirk_06_scope_type_when_wrong_then_not_trusted() -> None:
    # "System" (1) or "Interface" (2): what the record names decides, not its scope.
    options = v9_options(400, [(1, 4)], [(10, 2), (34, 4)])
    data = template(300, (8, 4), (10, 2), (1, 4))
    found = decode(
        v9(
            a_set(1, options),
            a_set(400, bytes(4) + number(7, 2) + number(64, 4)),
            a_set(0, data),
            a_set(300, v4("10.0.0.1") + number(7, 2) + number(1, 4)),
            a_set(300, v4("10.0.0.1") + number(8, 2) + number(1, 4)),
        )
    )
    assert found.column("sampling_rate") == [64, None]


@both
def test_quirk_07_template_number_when_used_by_many_then_each_has_its_own(
    protocol: Exporter,
) -> None:
    wide, narrow = template(300, *BASIC), template(300, *PORTS)
    senders = [
        ("192.0.2.10", 2000, 0, wide),
        ("192.0.2.11", 2000, 0, narrow),
        ("192.0.2.10", 2000, 7, narrow),
        ("192.0.2.10", 2001, 0, narrow),
    ]
    sent = [
        datagram(protocol.message(protocol.templates(record), domain=domain), address, port)
        for address, port, domain, record in senders
    ]
    for address, port, domain, record in senders:
        body = basic(octets=9) if record is wide else ports(1, 2, 9)
        header = {"domain": domain, "sequence": int(protocol is V9)}
        sent.append(datagram(protocol.message(a_set(300, body), **header), address, port))
    found = decode(*sent)
    assert found.column("octet_delta_count") == [9] * 4
    assert sorted(map(str, found.column("source_address"))) == ["10.0.0.1", *["None"] * 3]
    assert not found.counts["sets_borrowed"]


@both
@in_both_modes
def test_quirk_08_number_when_it_changes_its_kind_then_the_other_kind_is_gone(
    protocol: Exporter, one_by_one: bool
) -> None:
    scope = (1, 4) if protocol is V9 else (149, 4)
    message = protocol.message
    sets = [
        (protocol.templates(template(300, (8, 4), (1, 4))),),
        (a_set(300, v4("10.0.0.1") + number(5, 4)),),
        (protocol.options_templates(protocol.options(300, [scope], [(34, 4)])),),
        (a_set(300, number(0, 4) + number(20, 4)),),
        (protocol.templates(template(300, (12, 4), (1, 4))),),
        (a_set(300, v4("10.0.0.2") + number(6, 4)),),
    ]
    records = [0, 0, 1, 1, 2, 2]
    found = decode(
        *(
            message(*part, sequence=n if protocol is V9 else records[n])
            for n, part in enumerate(sets)
        ),
        one_by_one=one_by_one,
    )
    assert len(found.options) == 1
    assert found.column("source_address") == ["10.0.0.1", None]
    assert found.column("destination_address") == [None, "10.0.0.2"]
    assert len(found.exporter().templates) == 1


@both
@in_both_modes
def test_quirk_09_template_when_sent_again_with_another_layout_then_from_there_on(
    protocol: Exporter, one_by_one: bool
) -> None:
    old, new = template(300, (8, 4), (1, 4)), template(300, (1, 4), (12, 4))
    body = v4("10.0.0.1") + v4("10.0.0.2")
    number_of_a, number_of_b = 0x0A000001, 0x0A000002
    found = decode(
        protocol.message(protocol.templates(old)),
        protocol.message(
            a_set(300, body),
            protocol.templates(new),
            a_set(300, body),
            sequence=int(protocol is V9),
        ),
        protocol.message(protocol.templates(new), a_set(300, body), sequence=2),
        one_by_one=one_by_one,
    )
    by_octets = sorted((row["octet_delta_count"], row.get("source_address")) for row in found.rows)
    assert by_octets == [
        (number_of_a, None), (number_of_a, None), (number_of_b, "10.0.0.1")
    ]  # fmt: skip
    assert found.counts["templates_new"] == 1
    assert found.counts["templates_changed"] == 1
