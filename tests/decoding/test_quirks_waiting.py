"""Templates that come late, over restarts, or are taken back; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct

import pytest

from appliance.collector.saved_state import load_states, save_states
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    RECEIVED_MS,
    V9,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    ipfix_options,
    number,
    template,
    v9,
)
from tests.decoding.protocols import both, in_both_modes, one_option, with_template


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
    from appliance.collector.exporter_state import ExporterLimits
    from appliance.collector.exporters import ExporterStates

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
    found = decode(
        protocol.message(one_option(protocol, (34, number(1000, 4))), domain=256),
        protocol.message(with_template(protocol, BASIC, basic()), domain=1),
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


@in_both_modes
def test_quirk_10_what_waits_when_only_the_uptime_shows_a_restart_then_given_up(
    one_by_one: bool,
) -> None:
    found = decode(
        v9(a_set(300, basic()), sequence=7, uptime=5_000_000),
        v9(sequence=8, uptime=9000),
        v9(a_set(0, template(300, *BASIC)), sequence=9, uptime=9500),
        one_by_one=one_by_one,
    )
    assert not found.rows
    assert found.counts["waiting_sets_given_up"] == 1
