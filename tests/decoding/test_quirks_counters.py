"""Exporters' habits with counters, directions and sequence numbers; exporter-quirks.md."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.flows import COLUMN, RecordKind
from tests.decoding.building import (
    BASIC,
    EXPORT_SECONDS,
    IPFIX,
    UPTIME_MS,
    V9,
    Decoded,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    ipfix_options,
    number,
    template,
    v5,
    v5_record,
    v9,
)
from tests.decoding.protocols import both, in_both_modes, with_template

CREATED, DELETED, DENIED, UPDATED = 1, 2, 3, 5


def records(protocol: Exporter, elements: tuple[tuple[int, ...], ...], *rows: Any) -> Decoded:
    """Decode records of whole numbers; elements are (id, octets) or (id, octets, enterprise)."""
    body = b"".join(
        number(value, element[1])
        for row in rows
        for element, value in zip(elements, row, strict=True)
    )
    return decode(protocol.message(with_template(protocol, elements, body)))


def kinds(found: Decoded) -> list[str]:
    return [RecordKind(row.get("record_kind", 0)).name for row in found.rows]


def traffic(found: Decoded, column: str = "octet_delta_count") -> int:
    """Sum what is counted as traffic."""
    return sum(row.get(column, 0) for row in found.rows if "record_kind" not in row)


NSEL = ((148, 4), (233, 1), (231, 4), (232, 4))


@both
def test_quirk_13_nsel_when_updated_and_deleted_then_the_deletion_counts_the_whole_flow(
    protocol: Exporter,
) -> None:
    """An update counts since the one before, the deletion since the beginning (nfdump #116)."""
    found = records(
        protocol,
        NSEL,
        (7, CREATED, 0, 0),
        (7, UPDATED, 2557, 1117),
        (7, UPDATED, 31, 0),
        (7, DELETED, 2588, 1117),
        (8, DENIED, 0, 0),
    )
    assert traffic(found) == 2588 + 1117
    forward = [row for row in found.rows if "reverse" not in row]
    assert [row["flow_id"] for row in forward] == [7, 7, 7, 7, 8]
    assert [row.get("record_kind", 0) for row in forward] == [1, 1, 1, 0, 1]
    assert [row.get("octet_delta_count") for row in forward] == [None, 2557, 31, 2588, None]


@both
def test_quirk_13_nsel_when_all_events_repeat_the_counters_then_octets_count_once(
    protocol: Exporter,
) -> None:
    found = records(protocol, NSEL, *((7, e, 60, 40) for e in (CREATED, UPDATED, DENIED, DELETED)))
    assert traffic(found) == 100


@both
def test_quirk_13_nsel_when_a_flow_is_short_then_its_deletion_counts(protocol: Exporter) -> None:
    found = records(protocol, NSEL, (7, CREATED, 60, 40), (7, DELETED, 1000, 500))
    assert traffic(found) == 1500


@both
@pytest.mark.parametrize("event", range(6))
def test_quirk_13_firewall_event_when_deltas_count_then_traffic(
    protocol: Exporter, event: int
) -> None:
    """PAN-OS sends deltas with each of its events."""
    elements = ((8, 4), (233, 1), (1, 4), (2, 4))
    found = records(protocol, elements, (1, event, 70, 1), (2, event, 0, 0), (3, event, 0, 1))
    assert kinds(found) == ["FLOW", "EVENT", "FLOW"]
    assert traffic(found) == 70
    assert traffic(found, "packet_delta_count") == 2


@both
def test_quirk_13_nat_event_when_deltas_count_then_traffic(protocol: Exporter) -> None:
    elements = ((8, 4), (230, 1), (1, 4), (2, 4))
    found = records(protocol, elements, (1, 1, 70, 1), (2, 1, 0, 0), (3, 0, 0, 0))
    assert kinds(found) == ["FLOW", "EVENT", "FLOW"]


@both
def test_quirk_13_nsel_when_octets_are_totals_then_only_the_last_record_counts(
    protocol: Exporter,
) -> None:
    elements = ((148, 4), (233, 1), (85, 4))
    found = records(
        protocol,
        elements,
        (7, CREATED, 0),
        (7, UPDATED, 1000),
        (7, UPDATED, 2000),
        (7, DELETED, 2500),
    )
    assert traffic(found) == 2500
    assert kinds(found) == ["EVENT", "EVENT", "EVENT", "FLOW"]


@both
def test_quirk_13_nsel_when_without_octets_then_events(protocol: Exporter) -> None:
    found = records(protocol, ((8, 4), (233, 1)), (1, CREATED), (2, DENIED))
    assert kinds(found) == ["EVENT", "EVENT"]
    assert found.column("firewall_event") == [CREATED, DENIED]


def test_quirk_13_nsel_when_the_event_has_its_old_number_in_v9_then_the_same() -> None:
    found = records(V9, ((148, 4), (40005, 1), (85, 4)), (7, CREATED, 0), (7, DELETED, 2500))
    assert kinds(found) == ["EVENT", "FLOW"]
    assert found.column("firewall_event") == [CREATED, DELETED]


@both
def test_quirk_14_asa_packets_when_initiator_and_responder_then_of_both_directions(
    protocol: Exporter,
) -> None:
    elements = ((7, 2), (233, 1), (231, 4), (232, 4), (298, 4), (299, 4))
    found = records(protocol, elements, (5000, DELETED, 1000, 600, 10, 6))
    assert found.column("packet_delta_count") == [10, 6]
    assert found.column("octet_delta_count") == [1000, 600]
    assert found.rows[1]["destination_transport_port"] == 5000
    assert found.column("reverse") == [None, 1]


@both
def test_quirk_16_port_block_allocation_when_received_then_an_event(protocol: Exporter) -> None:
    elements = ((230, 1), (8, 4), (225, 4), (361, 2), (362, 2))
    found = records(protocol, elements, (16, 0x0A000001, 0xC0000201, 1024, 2047))
    assert kinds(found) == ["EVENT"]
    assert found.row["nat_event"] == 16
    assert found.row["post_nat_source_address"] == "192.0.2.1"
    assert "octet_delta_count" not in found.row


@both
def test_quirk_44_totals_when_there_are_no_deltas_then_taken_and_the_exporter_is_flagged(
    protocol: Exporter,
) -> None:
    found = records(protocol, ((8, 4), (85, 8), (86, 8)), (1, 5000, 50), (2, 6000, 60))
    assert found.column("octet_delta_count") == [5000, 6000]
    assert found.column("packet_delta_count") == [50, 60]
    assert found.exporter().counts["total_counters"] == 2


@both
def test_quirk_44_totals_when_beside_deltas_then_the_deltas(protocol: Exporter) -> None:
    found = records(protocol, ((85, 8), (1, 4), (86, 8), (2, 4)), (9000, 100, 90, 1))
    assert (found.row["octet_delta_count"], found.row["packet_delta_count"]) == (100, 1)
    assert not found.exporter().counts["total_counters"]


@both
def test_octets_when_only_of_layer_2_then_counted_whatever_the_event(protocol: Exporter) -> None:
    found = records(protocol, ((352, 8), (2, 4), (233, 1)), (100, 1, 1))
    assert found.row["octet_delta_count"] == 100
    assert "record_kind" not in found.row


def test_elements_when_octets_are_read_of_them_then_the_column_names_each() -> None:
    assert {1, 23, 352, 85, 231} == set(COLUMN["octet_delta_count"].elements)


def test_quirk_45_biflow_when_rfc_5103_then_two_rows() -> None:
    elements = (
        (8, 4), (12, 4), (7, 2), (11, 2), (1, 8), (2, 8), (6, 1), (10, 2), (14, 2), (61, 1),
        (1, 8, 29305), (2, 8, 29305), (6, 1, 29305),
    )  # fmt: skip
    row = (0x0A000001, 0x0A000002, 1024, 443, 500, 5, 2, 11, 12, 0, 900, 9, 16)
    one_way = (0x0A000003, 0x0A000002, 1025, 443, 60, 1, 2, 11, 12, 0, 0, 0, 0)
    found = records(IPFIX, elements, row, one_way)
    assert len(found.rows) == 3
    (reverse,) = [r for r in found.rows if "reverse" in r]
    assert reverse["source_address"] == "10.0.0.2"
    assert reverse["destination_address"] == "10.0.0.1"
    assert (reverse["source_transport_port"], reverse["destination_transport_port"]) == (443, 1024)
    assert (reverse["octet_delta_count"], reverse["packet_delta_count"]) == (900, 9)
    assert (reverse["ingress_interface"], reverse["egress_interface"]) == (12, 11)
    assert reverse["tcp_control_bits"] == 16
    assert "flow_direction" not in reverse
    assert found.exporter().counts["records"] == 2


@both
def test_quirk_45_biflow_when_in_and_out_octets_then_two_rows(protocol: Exporter) -> None:
    elements = ((8, 4), (12, 4), (1, 4), (2, 4), (23, 4), (24, 4))
    found = records(protocol, elements, (1, 2, 100, 1, 40, 4), (3, 4, 200, 2, 0, 0))
    assert found.column("octet_delta_count") == [100, 200, 40]
    assert found.column("packet_delta_count") == [1, 2, 4]


@both
def test_quirk_45_biflow_when_only_out_octets_then_one_row(protocol: Exporter) -> None:
    found = records(protocol, ((8, 4), (23, 4), (24, 4)), (1, 100, 1))
    assert (found.row["octet_delta_count"], found.row["packet_delta_count"]) == (100, 1)


@both
def test_quirk_45_biflow_when_reverse_octets_without_packets_then_no_row(
    protocol: Exporter,
) -> None:
    found = records(protocol, ((1, 4), (23, 4), (24, 4)), (100, 40, 0))
    assert len(found.rows) == 1


@both
def test_quirk_45_biflow_when_translated_then_the_reverse_row_has_its_ends_swapped(
    protocol: Exporter,
) -> None:
    elements = ((8, 4), (12, 4), (225, 4), (226, 4), (227, 2), (228, 2), (231, 4), (232, 4))
    found = records(protocol, elements, (1, 2, 3, 4, 5, 6, 70, 80))
    reverse = found.rows[1]
    assert reverse["post_nat_source_address"] == "0.0.0.4"
    assert reverse["post_nat_destination_address"] == "0.0.0.3"
    assert reverse["post_napt_source_transport_port"] == 6


@both
def test_quirk_46_packet_when_exported_at_both_interfaces_then_both_rows_are_kept(
    protocol: Exporter,
) -> None:
    found = records(protocol, ((8, 4), (61, 1), (1, 4)), (1, 0, 100), (1, 1, 100))
    assert found.column("flow_direction") == [0, 1]
    assert found.column("octet_delta_count") == [100, 100]


def sequence(found: Decoded) -> Any:
    (state,) = found.exporter().sequences.values()
    return state


@in_both_modes
def test_quirk_49_sequence_when_v5_then_it_counts_flows(one_by_one: bool) -> None:
    found = decode(
        v5(v5_record(), v5_record(), sequence=100),
        v5(v5_record(), sequence=102),
        v5(v5_record(), sequence=110),
        one_by_one=one_by_one,
    )
    assert sequence(found).lost == 7


@in_both_modes
def test_quirk_49_sequence_when_v9_then_it_counts_datagrams(one_by_one: bool) -> None:
    found = decode(
        v9(a_set(0, template(300, *BASIC)), a_set(300, basic() * 4), sequence=100),
        v9(a_set(300, basic() * 4), sequence=101),
        v9(a_set(300, basic() * 4), sequence=105),
        one_by_one=one_by_one,
    )
    assert sequence(found).lost == 3


@in_both_modes
def test_quirk_49_sequence_when_ipfix_then_it_counts_records_of_options_too(
    one_by_one: bool,
) -> None:
    options = a_set(3, ipfix_options(400, 1, (149, 4), (34, 4))) + a_set(400, bytes(16))
    found = decode(
        ipfix(a_set(2, template(300, *BASIC)), options, a_set(300, basic() * 3), sequence=100),
        ipfix(a_set(300, basic()), sequence=105),
        ipfix(a_set(300, basic()), sequence=116),
        one_by_one=one_by_one,
    )
    assert sequence(found).lost == 10


@both
@in_both_modes
def test_quirk_49_sequence_when_of_another_domain_or_port_then_by_itself(
    protocol: Exporter, one_by_one: bool
) -> None:
    found = decode(
        *(
            datagram(protocol.message(sequence=n * 1000, domain=domain), port=port)
            for n, (domain, port) in enumerate([(1, 2000), (2, 2000), (1, 2001)])
        ),
        one_by_one=one_by_one,
    )
    states = found.exporter().sequences
    assert len(states) == 3
    assert [state.lost for state in states.values()] == [0, 0, 0]


@pytest.mark.parametrize("version", [5, 9])
@in_both_modes
def test_quirk_49_restart_when_the_uptime_goes_back_then_nothing_is_lost(
    version: int, one_by_one: bool
) -> None:
    def message(**header: int) -> bytes:
        return v5(v5_record(), **header) if version == 5 else v9(**header)

    found = decode(
        message(sequence=4_000_000_000, uptime=UPTIME_MS),
        message(sequence=0, uptime=4000, seconds=EXPORT_SECONDS + 60),
        message(sequence=1, uptime=5000, seconds=EXPORT_SECONDS + 61),
        one_by_one=one_by_one,
    )
    assert (sequence(found).lost, sequence(found).restarts) == (0, 1)


@pytest.mark.parametrize("last", [5, 50_000, 4_000_000_000])
@in_both_modes
def test_quirk_49_restart_when_ipfix_numbers_begin_again_then_nothing_is_lost(
    last: int, one_by_one: bool
) -> None:
    data = a_set(2, template(300, *BASIC)) + a_set(300, basic())
    found = decode(
        ipfix(data, sequence=last),
        ipfix(data, sequence=0, seconds=EXPORT_SECONDS + 60),
        ipfix(data, sequence=1, seconds=EXPORT_SECONDS + 61),
        one_by_one=one_by_one,
    )
    assert (sequence(found).lost, sequence(found).restarts) == (0, 1)


@in_both_modes
def test_quirk_49_datagram_when_overtaken_then_taken_off_the_loss_again(one_by_one: bool) -> None:
    found = decode(
        *(v9(sequence=n) for n in (10, 12, 11, 13)),
        one_by_one=one_by_one,
    )
    assert (sequence(found).lost, sequence(found).late, sequence(found).restarts) == (0, 1, 0)


@both
@in_both_modes
def test_quirk_49_numbers_when_they_wrap_then_they_go_on(
    protocol: Exporter, one_by_one: bool
) -> None:
    top = (1 << 32) - 1
    data = with_template(protocol, BASIC, basic())
    found = decode(
        *(protocol.message(data, sequence=n) for n in (top - 1, top, 0, 1)), one_by_one=one_by_one
    )
    assert (sequence(found).lost, sequence(found).restarts) == (0, 0)


def test_quirk_49_ipfix_sequence_when_a_set_could_not_be_counted_then_no_loss_is_claimed() -> None:
    found = decode(
        ipfix(a_set(300, basic() * 3), sequence=0),
        ipfix(a_set(2, template(301, *BASIC)), a_set(301, basic()), sequence=3),
        ipfix(a_set(301, basic()), sequence=6),
    )
    assert sequence(found).lost == 2


@both
@pytest.mark.parametrize("octets", [1, 2, 4, 8])
def test_delta_flow_count_when_a_record_is_many_flows_then_so_many(
    protocol: Exporter, octets: int
) -> None:
    """Element 3; 0 is one flow, as nfacctd has it."""
    found = records(protocol, ((8, 4), (1, 4), (3, octets)), (1, 70, 5), (2, 60, 0), (3, 50, 1))
    assert found.column("delta_flow_count") == [5, None, None]
    assert traffic(found) == 180
