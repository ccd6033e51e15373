"""A protocol of fixed records that tells nothing but its version: any octets, and what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.decoding.fixed_protocol import FixedProtocol, decode_fixed, plain_headers
from appliance.decoding.messages.block import block_of
from appliance.decoding.results import DecodeOptions, DecodeResult
from appliance.flows import address_halves
from appliance.guard.batches import checked_result
from tests.decoding.building import EXPORTER, RECEIVED_MS, datagram

PROTOCOL = FixedProtocol(250, 4, ((7, 2), (11, 2), (1, 4)), lambda block: plain_headers(block, 4))


def decoded(
    *payloads: bytes, options: DecodeOptions | None = None, protocol: FixedProtocol = PROTOCOL
) -> DecodeResult:
    states = ExporterStates(ExporterLimits())
    block = block_of([datagram(payload) for payload in payloads])
    return decode_fixed(block, protocol, states, options or DecodeOptions())


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_fixed_records_when_any_octets_then_whole_records_and_a_fault_for_each_cut_header(
    payloads: list[bytes],
) -> None:
    result = checked_result(decoded(*payloads))
    expected = sum(max(len(payload) - 4, 0) // 8 for payload in payloads)
    assert sum(batch.n_records for batch in result.batches) == expected
    cut = [row for row, payload in enumerate(payloads) if len(payload) < 4]
    assert [fault.datagram for fault in result.faults] == cut
    assert sum(result.tallies.values()) == 2 * expected  # and as many whose rate is not known


def test_fixed_records_when_headers_tell_no_time_then_that_of_receipt_and_no_losses() -> None:
    result = decoded(bytes(4) + bytes([0, 1, 0, 2, 0, 0, 0, 9]))
    (batch,) = result.batches
    assert batch.column("flow_end_milliseconds").tolist() == [RECEIVED_MS]
    assert batch.column("collection_time_milliseconds").tolist() == [RECEIVED_MS]
    assert batch.column("octet_delta_count").tolist() == [9]
    assert batch.column("exporter_address_lo").tolist() == [address_halves(EXPORTER)[1]]
    assert batch.column("export_protocol_version").tolist() == [250]
    [sequence] = result.sequences.values()
    assert (sequence.datagrams, sequence.lost) == (1, 0)


def test_sampling_when_the_settings_know_it_then_records_have_it() -> None:
    result = decoded(bytes(20), options=DecodeOptions(rates={address_halves(EXPORTER): 8.0}))
    assert result.batches[0].column("sampling_rate").tolist() == [8.0, 8.0]


def test_sampling_when_the_header_tells_it_then_the_settings_do_not_matter() -> None:
    protocol = replace(PROTOCOL, read_rates=lambda _, rows: np.full(len(rows), 3.0))
    result = decoded(bytes(12), options=DecodeOptions(default_rate=8.0), protocol=protocol)
    assert result.batches[0].column("sampling_rate").tolist() == [3.0]


def test_version_when_of_more_than_an_octet_then_unknown() -> None:
    result = decoded(bytes(12), protocol=replace(PROTOCOL, version=300))
    assert result.batches[0].column("export_protocol_version").tolist() == [0]
