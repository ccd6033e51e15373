"""Exporters' habits with templates, Sets and messages; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct

import pytest

from appliance.collector.saved_state import load_states, save_states
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    IPFIX,
    RECEIVED_MS,
    V9,
    VARIABLE,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    ipfix_options,
    number,
    template,
    v4,
    v5,
    v5_record,
    v9,
    v9_options,
    variable,
)

both = pytest.mark.parametrize("protocol", [V9, IPFIX], ids=str)
in_both_modes = pytest.mark.parametrize("one_by_one", [False, True], ids=["block", "single"])

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
    scope = (1, 4) if protocol is V9 else (144, 4)
    found = decode(
        protocol.message(
            protocol.options_templates(
                protocol.options(400, [scope], [(34, 4)]),
                protocol.options(401, [scope], [(82, 8)]),
                protocol.options(402, [scope], [(41, 8), (42, 8)]),
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
def test_quirk_07_template_when_only_another_port_told_it_then_the_newest_is_borrowed(
    protocol: Exporter, one_by_one: bool
) -> None:
    told = [template(300, (8, 4), (1, 4)), template(300, (12, 4), (1, 4))]
    sent = [
        datagram(protocol.message(protocol.templates(record)), port=2000 + n)
        for n, record in enumerate(told)
    ]
    data = protocol.message(a_set(300, v4("10.0.0.1") + number(5, 4)))
    found = decode(
        *sent,
        datagram(data, port=3000),
        datagram(protocol.message(a_set(300, bytes(8)), domain=1), port=3000),
        one_by_one=one_by_one,
    )
    assert found.row["destination_address"] == "10.0.0.1"
    assert found.counts["sets_borrowed"] == 1
    assert found.counts["sets_without_template"] == 1


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


@both
@in_both_modes
def test_quirk_10_data_when_its_template_comes_much_later_then_it_waited(
    protocol: Exporter, one_by_one: bool
) -> None:
    data = protocol.message(a_set(300, basic(octets=70)))
    later = protocol.message(
        protocol.templates(template(300, *BASIC)), sequence=1, seconds=EXPORT_MS // 1000 + 1700
    )
    found = decode(
        datagram(data),
        datagram(later, received_ms=RECEIVED_MS + 1_700_000),
        one_by_one=one_by_one,
    )
    assert found.row["octet_delta_count"] == 70
    assert found.row["flow_end_milliseconds"] == EXPORT_MS
    assert found.row["collection_time_milliseconds"] == RECEIVED_MS
    assert found.counts["sets_without_template"] == found.counts["sets_late"] == 1
    assert found.exporter().waiting_octets == 0


@both
def test_quirk_10_template_when_the_collector_restarts_then_it_is_known(
    protocol: Exporter, tmp_path: object
) -> None:
    path = tmp_path / "states.json"  # type: ignore[operator]
    before = decode(protocol.message(protocol.templates(template(300, *BASIC))))
    save_states(before.states, path)
    found = decode(protocol.message(a_set(300, basic()), sequence=1), states=_loaded(path))
    assert len(found.rows) == 1


def _loaded(path: object):  # type: ignore[no-untyped-def]
    from appliance.collector.exporters import ExporterLimits, ExporterStates

    states = ExporterStates(ExporterLimits())
    assert load_states(states, path, RECEIVED_MS) == 0  # type: ignore[arg-type]
    return states


@both
def test_quirk_10_template_when_not_repeated_for_days_then_still_used(protocol: Exporter) -> None:
    day = 86_400
    found = decode(protocol.message(protocol.templates(template(300, *BASIC))))
    found.states.expire(RECEIVED_MS + 30 * day * 1000)
    later = protocol.message(
        a_set(300, basic()), sequence=1, seconds=EXPORT_MS // 1000 + 30 * day, **_up(protocol, day)
    )
    assert len(decode(later, states=found.states).rows) == 1


def _up(protocol: Exporter, days: int) -> dict[str, int]:
    return {"uptime": 30 * days * 1000} if protocol is V9 else {}


@both
@in_both_modes
def test_quirk_10_what_waits_when_the_exporter_restarted_then_given_up(
    protocol: Exporter, one_by_one: bool
) -> None:
    seconds = EXPORT_MS // 1000
    found = decode(
        protocol.message(a_set(300, basic()), sequence=50_000, seconds=seconds),
        protocol.message(seconds=seconds + 60, **({"uptime": 9000} if protocol is V9 else {})),
        protocol.message(
            protocol.templates(template(300, *BASIC)),
            seconds=seconds + 61,
            **({"uptime": 10_000, "sequence": 1} if protocol is V9 else {}),
        ),
        one_by_one=one_by_one,
    )
    assert not found.rows
    assert found.counts["waiting_sets_given_up"] == 1
    assert found.exporter().waiting_octets == 0
    assert found.exporter().counts["restarts"] == 1


@both
def test_quirk_11_data_when_before_its_template_in_one_message_then_decoded(
    protocol: Exporter,
) -> None:
    found = decode(protocol.message(a_set(300, basic()), protocol.templates(template(300, *BASIC))))
    assert len(found.rows) == 1
    assert found.counts["sets_late"] == 1
    assert not found.counts["sets_without_template"]


@both
@in_both_modes
def test_quirk_11_sampling_when_told_in_another_domain_then_it_holds_for_the_exporter(
    protocol: Exporter, one_by_one: bool
) -> None:
    scope = (1, 4) if protocol is V9 else (144, 4)
    options = protocol.options(400, [scope], [(34, 4)])
    found = decode(
        protocol.message(
            protocol.options_templates(options), a_set(400, bytes(4) + number(1000, 4)), domain=256
        ),
        protocol.message(protocol.templates(template(300, *BASIC)), a_set(300, basic()), domain=1),
        one_by_one=one_by_one,
    )
    assert found.row["sampling_rate"] == 1000


@pytest.mark.parametrize("options", [False, True], ids=["template", "options template"])
def test_quirk_12_withdrawal_when_over_udp_then_ignored_and_counted(options: bool) -> None:
    made = ipfix_options(300, 1, (149, 4), (34, 4)) if options else template(300, *BASIC)
    set_id = 3 if options else 2
    record = bytes(4) + number(9, 4) if options else basic()
    found = decode(
        ipfix(a_set(set_id, made)),
        ipfix(a_set(set_id, struct.pack(">HH", 300, 0))),
        ipfix(a_set(set_id, struct.pack(">HH", set_id, 0))),
        ipfix(a_set(300, record)),
    )
    assert len(found.options if options else found.rows) == 1
    assert found.counts["template_withdrawal_ignored"] == 2
    assert not found.faults


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
def test_quirk_20_set_length_when_it_lies_then_ipfix_drops_the_message(length: int) -> None:
    found = decode(
        ipfix(a_set(2, template(300, *BASIC))),
        ipfix(a_set(300, basic()), a_set(300, basic(), length)),
        ipfix(a_set(300, basic()), sequence=2),
    )
    assert len(found.rows) == 1
    assert found.reasons == ["set_length"]
    assert found.exporter().counts["lost"] == 2


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
    found = decode(v5(*[v5_record()] * 3, count=31))
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


def test_quirk_51_sflow_when_on_the_same_port_then_counted_and_not_taken_for_v5() -> None:
    sflow = struct.pack(">IIIIIII", 5, 1, 0xC0000201, 0, 1, 1000, 1) + bytes(100)
    found = decode(sflow, v5(v5_record()), sflow)
    assert len(found.rows) == 1
    assert found.counts["datagrams_unsupported_version"] == 2
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
