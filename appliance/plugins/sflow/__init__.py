"""sFlow version 5 (sflow.org, July 2004): sampled packets, as flows of one packet each.

A datagram holds samples of packets and of counters, each with records of their own. `walking` finds
both in whole blocks of datagrams, `samples` reads what a sample says, and this module makes records
of it that a NetFlow or IPFIX exporter could have sent, so that columns are filled as for those.

Octets are those of the IP packet, as NetFlow counts them; where the header of a packet is not of
IP, those of the frame. Of counter samples `counters` takes the generic ones of interfaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance import (
    DatagramBlock,
    DecodeOptions,
    Decoder,
    DecodeResult,
    DecoderState,
    Settings,
    decode_options,
    hookimpl,
)
from appliance.decoding.columns.identity import first_known
from appliance.decoding.columns.mapping import compact, flow_columns, header_columns
from appliance.decoding.records.fixed_records import FixedRecords
from appliance.decoding.records.groups import Arrivals, RecordGroup
from appliance.decoding.results import ExporterTrust
from appliance.decoding.sampling.rates import fill_rates
from appliance.decoding.sequences.session_domains import (
    Traffic,
    count_octets,
    find_restarts,
    find_scopes,
    next_sequences,
    tally,
)
from appliance.decoding.templates.timeline import SessionDomain
from appliance.export_protocols import SFLOW
from appliance.flows import FlowBatch
from appliance.plugins.sflow.counters import Halves, read_counters
from appliance.plugins.sflow.datagrams import Datagrams, read_datagrams
from appliance.plugins.sflow.records import packet_records
from appliance.plugins.sflow.samples import COUNTER_FORMATS, FLOW_FORMATS, Samples, read_samples
from appliance.plugins.sflow.walking import Int, walk

WINDOW_DATAGRAMS = 100
"""How many datagrams one that was merely overtaken can be behind."""


@dataclass(frozen=True)
class SflowDecoder:
    """Decodes datagrams whose first two octets are 0: sFlow's version has four."""

    options: DecodeOptions
    version: int = 0
    name: str = "sFlow v5"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block of datagrams; what they sampled becomes flows of one packet each."""
        datagrams = read_datagrams(block)
        headers = datagrams.headers
        arrivals = Arrivals.of(block, headers)
        scopes, scope_of = find_scopes(block, SFLOW, headers.domain, headers.end > 0)
        traffic = Traffic(scopes, scope_of, headers)
        result = DecodeResult(faults=headers.faults, arrivals=arrivals)
        count_octets(result, traffic, block.lengths)
        result.restarted = list(find_restarts(traffic, state, WINDOW_DATAGRAMS))
        one = np.ones(len(block), np.int64)
        result.sequences = next_sequences(traffic, one, state, WINDOW_DATAGRAMS)
        pieces = walk(datagrams.words, datagrams.start, datagrams.end, datagrams.n_samples)
        is_flow, is_counter = (
            np.isin(pieces.formats, of) for of in (FLOW_FORMATS, COUNTER_FORMATS)
        )
        samples, faults = read_samples(datagrams, pieces.take(is_flow))
        result.faults += [*pieces.faults, *faults]
        result.counts += Counter(
            sflow_counter_samples=int(np.count_nonzero(is_counter)),
            sflow_samples_of_unknown_format=int(np.count_nonzero(~is_flow & ~is_counter)),
        )
        if is_counter.any():
            exporters = self._exporters(datagrams, arrivals)
            read_counters(datagrams, pieces.take(is_counter), exporters, result)
            _tally_counters(result, scope_of, scopes)
        for rows, records in packet_records(samples):
            group = self._group(samples, rows, records, arrivals, datagrams)
            of_header = header_columns(group, self.options.header_columns)
            columns = compact({**flow_columns(group).forward, **of_header})
            result.batches.append(FlowBatch(len(rows), columns, datagrams=group.arrival))
            result.groups.append(group)
        tally(result, [(group, scope_of[group.arrival]) for group in result.groups], scopes)
        without_packet = len(samples) - sum(group.n_records for group in result.groups)
        result.counts += Counter(sflow_samples_without_packet=without_packet)
        return result

    def _group(
        self,
        samples: Samples,
        rows: Int,
        records: FixedRecords,
        arrivals: Arrivals,
        datagrams: Datagrams,
    ) -> RecordGroup:
        arrival = samples.datagram[rows]
        sender = arrivals.address_hi[arrival], arrivals.address_lo[arrival]
        exporters = None
        if self._trusts_agents:
            agents = datagrams.agents
            exporters = first_known((agents[0][arrival], agents[1][arrival]), sender)
        rates = samples.rate[rows].astype(np.float64)
        told = rates > 0
        fill_rates(rates, sender, self.options)
        return RecordGroup(
            *(records.plan, records, arrivals, arrival, np.ones_like(arrival)),
            template_ids=np.zeros_like(arrival),
            offsets=samples.offset[rows],
            sampling=rates,
            carries_rate=told,
            exporters=exporters,
            as_sent=False,
        )

    def _exporters(self, datagrams: Datagrams, arrivals: Arrivals) -> Halves:
        """Return the address of the device that each datagram speaks of."""
        senders = arrivals.address_hi, arrivals.address_lo
        return first_known(datagrams.agents, senders) if self._trusts_agents else senders

    @property
    def _trusts_agents(self) -> bool:
        return self.options.trust_exporter_address is not ExporterTrust.OFF


def _tally_counters(result: DecodeResult, scope_of: Int, scopes: Sequence[SessionDomain]) -> None:
    """Count the readings of interfaces of each scope."""
    told = result.interface_counters
    if told is None:
        return
    numbers = np.bincount(scope_of[told.datagram], minlength=len(scopes)).tolist()
    for scope, number in zip(scopes, numbers, strict=True):
        if number:
            result.tallies[scope, "interface_counters"] += number


@hookimpl
def register_decoders(settings: Settings) -> list[Decoder]:
    """Register the decoder."""
    return [SflowDecoder(decode_options(settings))]
