"""Templates of connections (RFC 7011 section 8.1): withdrawn, never borrowed, never redefined."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.sequences import sequence_changes
from appliance.decoding.messages.block import Datagram
from appliance.decoding.messages.session_numbers import (
    Transport,
    connection_number,
    is_connection,
    port_of,
    transport_of,
)
from appliance.flows import address_halves
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    RECEIVED_MS,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    template,
)

PORT = 50_000
FIRST = connection_number(1, Transport.TCP, PORT)
SECOND = connection_number(2, Transport.TCP, PORT)
TEMPLATE = a_set(2, template(256, *BASIC))
SWAPPED = a_set(2, template(256, BASIC[1], BASIC[0], *BASIC[2:]))
WITHDRAWAL = a_set(2, struct.pack(">HH", 256, 0))
ALL_WITHDRAWN = a_set(2, struct.pack(">HH", 2, 0))
ALL_OPTIONS_WITHDRAWN = a_set(3, struct.pack(">HH", 3, 0))
DATA = a_set(256, basic())


def message(*sets: bytes, session: int = FIRST, sequence: int = 0) -> Datagram:
    return datagram(ipfix(*sets, sequence=sequence), port=session)


def new_states() -> ExporterStates:
    return ExporterStates(ExporterLimits())


@given(st.integers(0, 1 << 39), st.sampled_from(Transport), st.integers(0, 65535))
def test_session_number_when_made_of_a_connection_then_says_port_and_transport(
    serial: int, transport: Transport, port: int
):
    number = connection_number(serial + 1, transport, port)
    assert is_connection(number)
    assert (port_of(number), transport_of(number)) == (port, transport)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_data_when_over_a_connection_then_decoded_with_the_exporters_own_port(one_by_one: bool):
    decoded = decode(message(TEMPLATE), message(DATA), one_by_one=one_by_one)
    assert decoded.row["exporter_transport_port"] == PORT
    assert decoded.row["exporter_address"] == EXPORTER


@pytest.mark.parametrize("one_by_one", [False, True])
def test_template_when_told_on_another_connection_then_never_lent(one_by_one: bool):
    decoded = decode(
        message(TEMPLATE, DATA),
        datagram(ipfix(TEMPLATE), port=PORT),
        message(DATA, session=SECOND),
        one_by_one=one_by_one,
    )
    assert len(decoded.rows) == 1
    assert decoded.counts["sets_without_template_on_connections"] == 1
    assert not decoded.exporter().waiting_octets


def test_template_when_told_on_a_connection_then_not_lent_to_datagrams():
    states = new_states()
    decode(message(TEMPLATE, DATA), states=states)
    later = Datagram(ipfix(DATA), *address_halves(EXPORTER), PORT, 1 << 42)
    decoded = decode(later, states=states)
    assert not decoded.rows
    assert decoded.exporter().waiting_octets


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("withdrawal", [WITHDRAWAL, ALL_WITHDRAWN])
def test_template_when_withdrawn_then_data_before_count_and_data_after_do_not(
    withdrawal: bytes, one_by_one: bool
):
    decoded = decode(
        message(TEMPLATE),
        message(DATA),
        message(withdrawal),
        message(DATA),
        message(SWAPPED),
        message(DATA),
        one_by_one=one_by_one,
    )
    assert decoded.column("source_address") == ["10.0.0.1", "10.0.0.2"]
    assert decoded.counts["templates_withdrawn"] == 1
    assert decoded.counts["sets_without_template_on_connections"] == 1
    assert not decoded.faults


@pytest.mark.parametrize("one_by_one", [False, True])
def test_template_when_known_before_the_block_then_withdrawn_in_it(one_by_one: bool):
    for withdrawal in (WITHDRAWAL, ALL_WITHDRAWN):
        states = new_states()
        decode(message(TEMPLATE), states=states)
        decoded = decode(
            message(DATA, withdrawal, DATA, SWAPPED, DATA), states=states, one_by_one=one_by_one
        )
        assert decoded.column("source_address") == ["10.0.0.1", "10.0.0.2"]


def test_templates_when_all_options_templates_are_withdrawn_then_stay():
    decoded = decode(message(TEMPLATE), message(ALL_OPTIONS_WITHDRAWN), message(DATA))
    assert len(decoded.rows) == 1


def test_withdrawal_when_of_an_unknown_template_then_ignored_and_counted():
    decoded = decode(message(WITHDRAWAL, TEMPLATE, DATA))
    assert len(decoded.rows) == 1
    assert decoded.counts["template_withdrawal_unknown"] == 1


def test_withdrawal_when_over_udp_then_ignored_and_counted():
    decoded = decode(ipfix(TEMPLATE, WITHDRAWAL, ALL_WITHDRAWN), ipfix(DATA))
    assert len(decoded.rows) == 1
    assert decoded.counts["template_withdrawal_ignored"] == 2


@pytest.mark.parametrize("one_by_one", [False, True])
def test_template_when_redefined_without_withdrawal_then_nothing_of_the_connection_counts(
    one_by_one: bool,
):
    decoded = decode(
        message(TEMPLATE, DATA),
        message(SWAPPED, DATA),
        message(DATA),
        message(TEMPLATE, DATA, session=SECOND),
        one_by_one=one_by_one,
    )
    assert decoded.column("source_address") == ["10.0.0.1", "10.0.0.1"]
    assert decoded.reasons == ["template_redefined"]


def test_template_when_redefined_over_udp_then_replaced():
    decoded = decode(ipfix(TEMPLATE, DATA), ipfix(SWAPPED, DATA))
    assert decoded.column("source_address") == ["10.0.0.1", "10.0.0.2"]
    assert not decoded.faults


def test_template_when_repeated_on_a_connection_then_no_fault():
    decoded = decode(message(TEMPLATE, DATA), message(TEMPLATE, DATA))
    assert len(decoded.rows) == 2
    assert not decoded.faults


def test_session_when_over_then_its_templates_and_sequence_numbers_are_forgotten():
    states = new_states()
    decode(message(TEMPLATE, DATA), states=states)
    before = states.octets
    states.end_session((*address_halves(EXPORTER), FIRST))
    assert states.octets < before
    state = states.exporters[address_halves(EXPORTER)]
    assert not state.templates
    assert not state.sequences
    assert not decode(message(DATA), states=states).rows


def test_sequence_numbers_when_of_another_connection_then_begin_anew():
    decoded = decode(
        message(TEMPLATE, DATA, sequence=1_000_000), message(TEMPLATE, DATA, session=SECOND)
    )
    assert not decoded.exporter().counts["lost"]
    assert not decoded.exporter().counts["restarts"]


SETS = [
    TEMPLATE,
    SWAPPED,
    WITHDRAWAL,
    ALL_WITHDRAWN,
    ALL_OPTIONS_WITHDRAWN,
    DATA,
    a_set(3, struct.pack(">HHHHHHH", 300, 2, 1, 149, 4, 34, 4)),
    a_set(2, template(300, *BASIC)),
    a_set(300, basic("10.9.9.9") + basic("10.8.8.8")),
    a_set(2, struct.pack(">HH", 2, 0) + template(256, *BASIC) + struct.pack(">HH", 256, 0)),
]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(SETS), min_size=1, max_size=4), min_size=1, max_size=12))
def test_messages_when_decoded_as_a_block_then_as_one_by_one(messages: list[list[bytes]]):
    given_messages = [message(*sets) for sets in messages]
    block = decode(*given_messages)
    single = decode(*given_messages, one_by_one=True)
    if "template_redefined" in block.reasons:
        # One by one, nobody closed the connection in between.
        assert len(block.rows) <= len(single.rows)
        return
    assert sorted(map(str, block.rows)) == sorted(map(str, single.rows))
    assert block.faults == single.faults


def test_template_when_told_by_datagrams_long_ago_then_a_connection_does_not_borrow_it():
    states = new_states()
    decode(datagram(ipfix(TEMPLATE, DATA), port=PORT), states=states)
    later = Datagram(ipfix(DATA), *address_halves(EXPORTER), FIRST, RECEIVED_MS + 86_400_000)
    assert not decode(later, states=states).rows
    # Another port, which is silent as long, borrows it: only the connection is left out.
    other = Datagram(ipfix(DATA), *address_halves(EXPORTER), PORT + 1, RECEIVED_MS + 86_400_000)
    assert len(decode(other, states=states).rows) == 1


def test_sequence_numbers_when_of_a_connection_then_not_kept_for_the_next_start():
    states = new_states()
    decode(message(TEMPLATE, DATA), datagram(ipfix(TEMPLATE, DATA), port=PORT), states=states)
    (key,) = sequence_changes(states)
    assert f" {PORT} " in key
    states.end_session((*address_halves(EXPORTER), FIRST))
    assert not sequence_changes(states)
