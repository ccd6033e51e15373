"""The decisions at the end of exporter-quirks.md, where practice and standards differ."""

from __future__ import annotations

import struct

import pytest

from tests.decoding.building import (
    BASIC,
    VARIABLE,
    Exporter,
    a_set,
    basic,
    decode,
    ipfix,
    template,
    v5,
    v5_record,
    v9,
)
from tests.decoding.protocols import both, in_both_modes


def test_decision_v5_when_its_lengths_lie_then_the_records_before_and_counted() -> None:
    found = decode(v5(v5_record(), v5_record(), count=9)[: 24 + 48 + 7])
    assert len(found.rows) == 1
    assert found.counts["malformed_count_too_large"] == 1


@pytest.mark.parametrize(("count", "records"), [(31, 30), (55_582, 30), (31, 0), (40, 41)])
def test_decision_v5_when_of_more_than_30_records_and_another_length_then_refused(
    count: int, records: int
) -> None:
    found = decode(v5(*[v5_record()] * records, count=count), v5(v5_record()))
    assert len(found.rows) == 1
    assert found.counts["malformed_count_not_of_v5"] == 1


def test_decision_v5_when_of_more_than_30_records_that_are_all_there_then_read() -> None:
    found = decode(v5(*[v5_record()] * 40))
    assert len(found.rows) == 40
    assert not found.faults


@pytest.mark.parametrize("lie", ["template", "record"])
def test_decision_lying_lengths_when_ipfix_then_the_whole_message_is_dropped(lie: str) -> None:
    sets = {
        "template": a_set(2, struct.pack(">HH", 301, 40) + bytes(8)),
        "record": a_set(302, b"\x05ab"),
    }
    layouts = template(300, *BASIC) + template(302, (82, VARIABLE))
    found = decode(
        ipfix(a_set(2, layouts)),
        ipfix(a_set(2, template(303, *BASIC)), a_set(300, basic()), sets[lie]),
        ipfix(a_set(303, basic()), sequence=1),
    )
    assert not found.rows
    assert len(found.faults) == 1
    assert found.counts["sets_without_template"] == 1  # 303 was never announced


@in_both_modes
def test_decision_lying_record_when_its_message_announces_nothing_then_dropped_whole(
    one_by_one: bool,
) -> None:
    layouts = template(300, *BASIC) + template(302, (82, VARIABLE))
    found = decode(
        ipfix(a_set(2, layouts)),
        ipfix(a_set(300, basic()), a_set(302, b"\x05ab")),
        ipfix(a_set(300, basic()), sequence=2),
        one_by_one=one_by_one,
    )
    assert len(found.rows) == 1
    assert found.reasons == ["record_cut"]
    assert found.exporter().counts["lost"] == 2


@in_both_modes
def test_decision_lying_message_when_it_announces_a_layout_then_others_are_not_read_by_it(
    one_by_one: bool,
) -> None:
    layouts = template(300, *BASIC) + template(302, (82, VARIABLE))
    wrong = template(300, (8, 4), (82, VARIABLE))
    found = decode(
        ipfix(a_set(2, layouts)),
        ipfix(a_set(2, wrong), a_set(302, b"\x05ab")),
        # Read by the wrong layout this record would run past its Set, too.
        ipfix(a_set(300, basic("10.0.0.1", "200.0.0.2"))),
        one_by_one=one_by_one,
    )
    assert found.row["destination_address"] == "200.0.0.2"
    assert found.reasons == ["record_cut"]


def test_decision_lying_lengths_when_v9_then_what_came_before_is_kept() -> None:
    found = decode(
        v9(a_set(0, template(300, *BASIC)), a_set(300, basic()), a_set(300, basic(), 500)),
        v9(a_set(300, basic()), a_set(0, struct.pack(">HH", 301, 40) + bytes(8)), sequence=1),
    )
    assert len(found.rows) == 2
    assert sorted(found.reasons) == ["set_length", "template_length"]
    assert found.exporter().counts["malformed"] == 2


def test_decision_withdrawal_when_over_udp_then_ignored_and_counted() -> None:
    withdrawal = a_set(2, struct.pack(">HH", 300, 0))
    found = decode(ipfix(a_set(2, template(300, *BASIC))), ipfix(withdrawal, a_set(300, basic())))
    assert len(found.rows) == 1
    assert found.counts["template_withdrawal_ignored"] == 1


@both
def test_decision_empty_template_when_announced_then_refused_and_counted(
    protocol: Exporter,
) -> None:
    found = decode(protocol.message(protocol.templates(template(300, (1, 0)))))
    assert found.counts["malformed_template_empty"] == 1
    assert not found.states.exporters or not found.exporter().templates


@both
def test_decision_waiting_room_when_full_or_old_then_bounded_and_counted(
    protocol: Exporter,
) -> None:
    from appliance.collector.exporter_state import ExporterLimits
    from appliance.collector.exporters import ExporterStates

    states = ExporterStates(ExporterLimits(waiting_octets=4000, waiting_ms=60_000))
    found = decode(*[protocol.message(a_set(300, bytes(1000)))] * 5, states=states)
    assert found.counts["waiting_sets_kept"] == 2
    assert found.counts["waiting_sets_refused"] == 3
    assert 2000 <= found.exporter().waiting_octets <= 4000
    states.expire(found.exporter().last_seen_ms + 59_000)
    assert found.exporter().waiting_octets
    states.expire(found.exporter().last_seen_ms + 61_000)
    assert found.exporter().waiting_octets == 0
    assert states.counts["waiting_sets_expired"] == 2
