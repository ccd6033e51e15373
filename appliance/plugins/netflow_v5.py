"""NetFlow v5 (Cisco, "NetFlow Export Datagram Format"): a fixed layout, so one built-in template.

Octets 36 and 46 to 47 of a record are padding. The header's sampling field holds two bits of mode
and 14 of interval; Juniper leaves the mode at zero, so only the interval counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns import compact, flow_columns, header_columns
from appliance.decoding.groups import Arrivals, RecordGroup, spread
from appliance.decoding.options import decode_options
from appliance.decoding.results import DecodeOptions, DecodeResult, DecoderState
from appliance.decoding.scopes import Traffic, find_restarts, find_scopes, next_sequences, tally
from appliance.flows import FlowBatch
from appliance.hookspecs import hookimpl
from appliance.settings import Settings
from appliance.wire.block import DatagramBlock
from appliance.wire.fixed import fixed_records
from appliance.wire.message import V5_HEADER, V5_RECORD, Headers, v5_headers
from appliance.wire.plan import plan_of
from appliance.wire.template import FieldSpecifier

_LAYOUT = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
    (210, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2),
)  # fmt: skip
PLAN = plan_of(5, tuple(FieldSpecifier(*field) for field in _LAYOUT), 0, False)

_WINDOW_FLOWS = 3000
_SAMPLING_OFFSET = 22
_INTERVAL_BITS = 0x3FFF


@dataclass(frozen=True)
class NetflowV5Decoder:
    """Decodes export datagrams of version 5."""

    options: DecodeOptions
    version: int = 5
    name: str = "NetFlow v5"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block of version 5."""
        headers = v5_headers(block)
        usable = headers.end > 0
        scopes, scope_of = find_scopes(block, self.version, headers.domain, usable)
        traffic = Traffic(scopes, scope_of, headers)
        counts = np.maximum(headers.end - V5_HEADER, 0) // V5_RECORD
        result = DecodeResult(faults=headers.faults)
        result.restarted = list(find_restarts(traffic, state, _WINDOW_FLOWS))
        result.sequences = next_sequences(traffic, counts, state, _WINDOW_FLOWS)
        unit_ms = self.options.v5_uptime_unit_ms
        group = replace(_group(block, headers, np.flatnonzero(counts)), uptime_unit_ms=unit_ms)
        result.arrivals = group.arrivals
        if group.n_records:
            group = self._with_sampling(block, group)
            tally(result, [(group, scope_of[group.arrival])], scopes)
            of_header = header_columns(group, self.options.header_columns)
            columns = compact({**flow_columns(group).forward, **of_header})
            datagrams = np.repeat(group.arrival, group.counts)
            result.batches.append(FlowBatch(group.n_records, columns, datagrams=datagrams))
            result.groups.append(group)
        return result

    def _with_sampling(self, block: DatagramBlock, group: RecordGroup) -> RecordGroup:
        rates = _header_rates(block, group.arrival)
        untold = np.flatnonzero(rates == 0) if self._has_settings else ()
        if len(untold):
            hi, lo = group.per_set("address_hi")[untold], group.per_set("address_lo")[untold]
            told, default = self.options.rates, self.options.default_rate
            exporters = zip(hi.tolist(), lo.tolist(), strict=True)
            rates[untold] = [told.get(exporter, default) for exporter in exporters]
        if not rates.any():
            return group
        sampling = spread(rates, group.counts, group.n_records)
        return replace(group, sampling=sampling)

    @property
    def _has_settings(self) -> bool:
        return bool(self.options.rates or self.options.default_rate)


def _group(block: DatagramBlock, headers: Headers, rows: NDArray[np.intp]) -> RecordGroup:
    flat, stride = block.octets.reshape(-1), block.octets.shape[1]
    lengths = headers.end[rows] - V5_HEADER
    records, counts = fixed_records(PLAN, flat, rows * stride + V5_HEADER, lengths)
    arrivals = Arrivals.of(block, headers)
    offsets = np.full_like(counts, V5_HEADER)
    return RecordGroup(PLAN, records, arrivals, rows, counts, np.zeros_like(counts), offsets)


def _header_rates(block: DatagramBlock, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    high = block.octets[rows, _SAMPLING_OFFSET].astype(np.int64)
    low = block.octets[rows, _SAMPLING_OFFSET + 1]
    interval: NDArray[np.int64] = (high << 8 | low) & _INTERVAL_BITS
    return interval.astype(np.float64)


@hookimpl
def register_decoders(settings: Settings) -> list[NetflowV5Decoder]:
    """Register the decoder."""
    return [NetflowV5Decoder(decode_options(settings))]
