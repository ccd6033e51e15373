"""Protocols whose messages are a header and records of one fixed layout, such as NetFlow v5.

A protocol says what it is (`FixedProtocol`); `decode_fixed` makes columns of a block of its
messages, with sampling, losses and restarts, in the same steps as of template-based ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.mapping import compact, flow_columns, header_columns
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault
from appliance.decoding.messages.headers import Headers, read_header_octets
from appliance.decoding.records.fixed_records import fixed_records
from appliance.decoding.records.groups import Arrivals, RecordGroup, spread
from appliance.decoding.results import DecodeOptions, DecodeResult, DecoderState
from appliance.decoding.sampling.rates import fill_rates
from appliance.decoding.sequences.session_domains import (
    Traffic,
    count_datagrams,
    count_octets,
    find_restarts,
    find_scopes,
    next_sequences,
    tally,
)
from appliance.decoding.templates.decode_plan import DecodePlan, plan_of
from appliance.decoding.templates.template import FieldSpecifier
from appliance.flows import FlowBatch

Int = NDArray[np.int64]
Rates = NDArray[np.float64]


@dataclass(frozen=True)
class FixedProtocol:
    """A protocol of fixed records.

    Attributes
    ----------
    version
        The first two octets of a message.
    header_octets
        Where the records begin.
    layout
        The fields of a record in their order: information element (IANA) and octets. 210 is
        padding (paddingOctets).
    read_headers
        Reads the headers of a block.
    window_units
        How many records a datagram that was merely overtaken can be behind. None: messages have no
        sequence numbers, so neither losses nor restarts are known.
    read_rates
        Takes a block and rows of it, shape (n,), and returns their sampling rates, float64, shape
        (n,); 0 where a header tells none. None: no header does.
    """

    version: int
    header_octets: int
    layout: tuple[tuple[int, int], ...]
    read_headers: Callable[[DatagramBlock], Headers]
    window_units: int | None = None
    read_rates: Callable[[DatagramBlock, Int], Rates] | None = None

    @cached_property
    def plan(self) -> DecodePlan:
        """The plan of its records."""
        fields = tuple(FieldSpecifier(element, octets) for element, octets in self.layout)
        return plan_of(self.version, fields, 0, False)


def decode_fixed(
    block: DatagramBlock,
    protocol: FixedProtocol,
    state: DecoderState,
    options: DecodeOptions,
    uptime_unit_ms: int = 1,
) -> DecodeResult:
    """Decode a block of messages of one such protocol; octets after the last record are padding.

    Parameters
    ----------
    uptime_unit_ms
        What the uptimes of headers and records count, milliseconds.
    """
    headers = protocol.read_headers(block)
    usable = headers.end > 0
    scopes, scope_of = find_scopes(block, protocol.version, headers.domain, usable)
    result = DecodeResult(faults=headers.faults)
    room = np.maximum(headers.end - protocol.header_octets, 0)
    counts = room // protocol.plan.minimum_length
    traffic = Traffic(scopes, scope_of, headers)
    count_octets(result, traffic, block.lengths)
    if (window := protocol.window_units) is None:
        result.sequences = count_datagrams(traffic, state)
    else:
        result.restarted = list(find_restarts(traffic, state, window))
        result.sequences = next_sequences(traffic, counts, state, window)
    rows = np.flatnonzero(counts)
    arrivals = result.arrivals = Arrivals.of(block, headers)
    if len(rows):
        group = _group(block, protocol, arrivals, rows, room[rows])
        sampling, carries_rate = _sampling(block, protocol, options, group)
        group = replace(
            group,
            sampling=sampling,
            carries_rate=carries_rate,
            uptime_unit_ms=uptime_unit_ms,
        )
        tally(result, [(group, scope_of[rows])], scopes)
        of_header = header_columns(group, options.header_columns)
        columns = compact({**flow_columns(group).forward, **of_header})
        datagrams = np.repeat(rows, group.counts)
        result.batches.append(FlowBatch(group.n_records, columns, datagrams=datagrams))
        result.groups.append(group)
    return result


@dataclass(frozen=True)
class FixedDecoder:
    """Decodes the datagrams of one such protocol; see `decode_fixed`.

    Attributes
    ----------
    name
        For people.
    """

    protocol: FixedProtocol
    options: DecodeOptions
    name: str

    @property
    def version(self) -> int:
        """The first two octets of a datagram."""
        return self.protocol.version

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Turn all flows of a block into one batch of columns."""
        return decode_fixed(block, self.protocol, state, self.options)


def plain_headers(block: DatagramBlock, header_octets: int) -> Headers:
    """Return headers of messages that tell nothing of themselves: sent when they were received."""
    _, faults, whole = read_header_octets(block, header_octets)
    nothing = np.zeros(len(block), np.int64)
    return Headers(
        domain=nothing,
        sequence=nothing,
        export_ms=block.received_ms.copy(),
        uptime_ms=nothing,
        end=np.where(whole, block.lengths, 0),
        count=nothing,
        faults=faults,
    )


def headers_with_count(
    block: DatagramBlock, header_octets: int, count_offset: int, record_octets: int
) -> Headers:
    """Return `plain_headers` with the number of records, two octets at an offset of the header.

    Octets behind the last of them are padding. Where there are fewer records than announced, those
    that are there are read, and the datagram is a fault (`count_too_large`).
    """
    plain = plain_headers(block, header_octets)
    octets, _, _ = read_header_octets(block, header_octets)
    count = octets[:, count_offset].astype(np.int64) << 8 | octets[:, count_offset + 1]
    present = np.maximum(plain.end - header_octets, 0) // record_octets
    lies = np.flatnonzero((plain.end > 0) & (count > present)).tolist()
    faults = [
        Fault(row, "count_too_large", f"{count[row]} records announced, {present[row]} present")
        for row in lies
    ]
    end = np.where(plain.end > 0, header_octets + np.minimum(count, present) * record_octets, 0)
    return replace(plain, end=end, count=count, faults=[*plain.faults, *faults])


def _group(
    block: DatagramBlock,
    protocol: FixedProtocol,
    arrivals: Arrivals,
    rows: Int,
    lengths: Int,
) -> RecordGroup:
    flat, stride = block.octets.reshape(-1), block.octets.shape[1]
    start = protocol.header_octets
    records, counts = fixed_records(protocol.plan, flat, rows * stride + start, lengths)
    return RecordGroup(
        *(protocol.plan, records, arrivals, rows, counts),
        template_ids=np.zeros_like(counts),
        offsets=np.full_like(counts, start),
    )


def _sampling(
    block: DatagramBlock, protocol: FixedProtocol, options: DecodeOptions, group: RecordGroup
) -> tuple[Rates | None, NDArray[np.bool_] | None]:
    """Return the rate of each record, of its header or else of the settings (None: of none), and
    whether its header told it (None: no header did).
    """
    rows = group.arrival
    rates = (
        protocol.read_rates(block, rows)
        if protocol.read_rates is not None
        else np.zeros(len(rows), np.float64)
    )
    carries_rate = None
    if rates.any():
        carries_rate = spread(rates > 0, group.counts, group.n_records)
    fill_rates(rates, (block.address_hi[rows], block.address_lo[rows]), options)
    known = spread(rates, group.counts, group.n_records) if rates.any() else None
    return known, carries_rate
