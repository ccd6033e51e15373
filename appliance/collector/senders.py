"""Who sent what, and when, where a decoder does not say it: a plugin need not know of sessions."""

from __future__ import annotations

import numpy as np

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.headers import Headers
from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import DecodeResult, DecoderState
from appliance.decoding.sequences.session_domains import Traffic, count_datagrams, find_scopes
from appliance.flows import COLLECTION_TIME, FlowBatch, address_text, constant

_EXPORTER = {"exporter_address_hi", "exporter_address_lo"}
_OF_ARRIVALS = {
    "exporter_address_hi": "address_hi",
    "exporter_address_lo": "address_lo",
    "exporter_transport_port": "transport_port",
    COLLECTION_TIME: "received_ms",
}
_TIMES = ("flow_start_milliseconds", "flow_end_milliseconds")


def with_senders(
    result: DecodeResult, block: DatagramBlock, version: int, state: DecoderState
) -> DecodeResult:
    """Return a result with the senders of the block, unless it tells its arrivals itself.

    Without sequence numbers the senders of its records are counted as sessions without any.
    """
    if result.arrivals is not None:
        return result
    rows = [batch.datagrams for batch in result.batches if batch.datagrams is not None]
    named = np.concatenate([*rows, [fault.datagram for fault in result.faults]]).astype(np.int64)
    if ((named < 0) | (named >= len(block))).any():
        return result
    none = np.zeros(len(block), np.int64)
    headers = Headers(none, none, block.received_ms.copy(), none, block.lengths, none, [])
    result.arrivals = Arrivals.of(block, headers)
    if rows and not result.sequences:
        records = np.bincount(np.concatenate(rows), minlength=len(block))
        scopes, scope_of = find_scopes(block, version, none, records > 0)
        result.sequences = count_datagrams(Traffic(scopes, scope_of, headers), state)
        sums = np.bincount(scope_of[records > 0], records[records > 0], len(scopes))
        for scope, number in zip(scopes, sums.tolist(), strict=True):
            result.tallies[scope, "records"] += int(number)
    return result


def add_origin(batch: FlowBatch, arrivals: Arrivals | None, now_ms: int) -> None:
    """Fill exporter and times of a batch whose decoder filled none of them.

    Without a time the rows would be of 1970; a flow that tells none was when it was received.
    """
    columns, n = batch.columns, batch.n_records
    if arrivals is not None and batch.datagrams is not None and not _EXPORTER & columns.keys():
        for name, field in _OF_ARRIVALS.items():
            columns.setdefault(name, getattr(arrivals, field)[batch.datagrams])
    if COLLECTION_TIME not in columns:
        columns[COLLECTION_TIME] = constant(np.array([now_ms]), n)
    if not batch.options and not columns.keys() & set(_TIMES):
        columns |= dict.fromkeys(_TIMES, columns[COLLECTION_TIME])


def sender_text(arrivals: Arrivals | None, row: int) -> str:
    """Return the address that a datagram came from, for people."""
    if arrivals is None or not 0 <= row < len(arrivals.address_hi):
        return "somebody"
    return address_text(int(arrivals.address_hi[row]), int(arrivals.address_lo[row]))
