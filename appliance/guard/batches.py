"""Decoders and enrichers in their guards: what they return is checked before anybody relies on it.

A check looks at names, types, dtypes and lengths, never at single records (texts and octets of
odd length excepted, which cost a Python object each anyway), so it costs some microseconds a batch.
"""

from __future__ import annotations

from itertools import chain

import numpy as np

from appliance.contracts import Decoder, Enricher, Redactor, StreamFraming
from appliance.decoding.costs import BlockTooCostly
from appliance.decoding.export_totals import ExportTotals, TotalsReport
from appliance.decoding.interface_counters import InterfaceCounters
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault, MalformedMessage
from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import DecodeResult, DecoderState, NameFact, WaitingSet
from appliance.decoding.sampling.knowledge import Sampling
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.timeline import SessionDomain, TemplateChange
from appliance.flows import COLUMN, AnyArray, FlowBatch, is_constant
from appliance.guard.failures import PluginError, PluginFailures
from appliance.guard.guards import Guard
from appliance.guard.values import all_exactly, of_type, whole

_PASSES = (BlockTooCostly, MalformedMessage)
_COUNTER_DTYPES = {
    **dict.fromkeys(("datagram", "if_index"), "int64"),
    **dict.fromkeys(("exporter_hi", "exporter_lo", "speed", "in_octets", "out_octets"), "uint64"),
    "state": "int8",
}


class GuardedDecoder:
    """Stands for a plugin's decoder.

    Attributes
    ----------
    version, name
        As the decoder said at start.
    decoder
        The plugin's own.
    """

    def __init__(self, plugin: str, decoder: Decoder, failures: PluginFailures) -> None:
        self.version, self.name = decoder.version, decoder.name
        self.framing: StreamFraming | None = getattr(decoder, "framing", None)
        self.guard = Guard(plugin, "decoder", failures)
        self.decoder = decoder

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block.

        Raises
        ------
        PluginError
            The decoder failed, or returned what cannot be used; already counted.
        BlockTooCostly, MalformedMessage
            As the decoder says.
        """
        return self.guard.call(
            lambda: self.decoder.decode(block, state, now_ms), checked_result, _PASSES
        )


class GuardedEnricher:
    """Stands for a plugin's enricher; the batch goes on without it when it fails."""

    def __init__(self, plugin: str, enricher: Enricher, failures: PluginFailures) -> None:
        self.guard = Guard(plugin, "enricher", failures)
        self._enricher = enricher

    def __call__(self, batch: FlowBatch) -> FlowBatch:
        """Return the batch with what the enricher added, or as it was."""
        try:
            return self.guard.call(
                lambda: self._enricher(_read_only(batch)),
                lambda value: _check_enriched(batch, value),
            )
        except PluginError:
            return batch


class GuardedRedactor:
    """Stands for a plugin's redactor."""

    def __init__(self, plugin: str, redactor: Redactor, failures: PluginFailures) -> None:
        self.guard = Guard(plugin, "redactor", failures)
        self._redactor = redactor

    def __call__(self, batch: FlowBatch) -> FlowBatch:
        """Return the batch without what must not be kept.

        Raises
        ------
        PluginError
            The redactor failed, so that nothing of the batch may be kept; already counted.
        """
        return self.guard.call(
            lambda: self._redactor(_read_only(batch)), lambda value: _check_redacted(batch, value)
        )


def checked_result(value: object) -> DecodeResult:
    """Return what a decoder returned.

    Raises
    ------
    TypeError, ValueError
        It could not be committed, stored or counted.
    """
    result = of_type(value, DecodeResult)
    arrivals = result.arrivals
    if arrivals is not None:
        of_type(arrivals, Arrivals)
    for batch in of_type(result.batches, list):
        checked_batch(batch)
    _check_lists(result)
    _check_tables(result)
    if result.interface_counters is not None:
        _check_counters(of_type(result.interface_counters, InterfaceCounters), arrivals)
    if result.faults and arrivals is not None:
        rows = [fault.datagram for fault in result.faults]
        if min(rows) < 0 or max(rows) >= len(arrivals.address_hi):
            raise ValueError("a fault of a datagram that is not in the block")
    return result


def _check_lists(result: DecodeResult) -> None:
    for values, expected in (
        (result.faults, Fault),
        (result.templates, TemplateChange),
        (result.waiting, WaitingSet),
        (result.released, WaitingSet),
        (result.names, NameFact),
        (result.restarted, SessionDomain),
    ):
        if of_type(values, list):
            all_exactly(values, expected)
    all_exactly(chain.from_iterable(result.restarted), int, "in a SessionDomain, ")
    for fault in result.faults:
        whole(fault.datagram)
        of_type(fault.reason, str)
    scopes = [
        *(change.scope for change in result.templates),
        *(waiting.scope for waiting in (*result.waiting, *result.released)),
    ]
    all_exactly(scopes, SessionDomain)
    all_exactly(chain.from_iterable(scopes), int, "in a SessionDomain, ")


def _check_tables(result: DecodeResult) -> None:
    """Check keys and values: they end up in files of JSON, which know no number of numpy."""
    if of_type(result.sequences, dict):
        all_exactly(result.sequences, SessionDomain)
        all_exactly(chain.from_iterable(result.sequences), int, "in a SessionDomain, ")
        all_exactly(result.sequences.values(), SequenceState)
    if of_type(result.sampling, dict):
        all_exactly(result.sampling.values(), Sampling)
        for session, version in result.sampling:
            all_exactly((*session, version), int, "in a session, ")
    if of_type(result.counts, dict):
        all_exactly(result.counts, str)
        all_exactly(result.counts.values(), int)
    if of_type(result.tallies, dict):
        all_exactly(result.tallies.values(), int)
        for scope, word in result.tallies:
            all_exactly(of_type(scope, SessionDomain), int, "in a SessionDomain, ")
            of_type(word, str)
    _check_figures(result)
    if of_type(result.unknown_elements, dict):
        all_exactly(chain.from_iterable(result.unknown_elements), int)
        all_exactly(result.unknown_elements.values(), int)


def _check_figures(result: DecodeResult) -> None:
    if of_type(result.message_octets, dict):
        all_exactly(result.message_octets, SessionDomain)
        all_exactly(chain.from_iterable(result.message_octets), int, "in a SessionDomain, ")
        all_exactly(result.message_octets.values(), int)
    if of_type(result.rates, dict):
        all_exactly(chain.from_iterable(result.rates), int, "in a session, ")
        all_exactly(result.rates.values(), float)
    all_exactly(of_type(result.totals, list), TotalsReport)
    for report in result.totals:
        all_exactly(of_type(report.scope, SessionDomain), int, "in a SessionDomain, ")
        all_exactly(report.before, int)
        all_exactly([n for n in of_type(report.totals, ExportTotals) if n is not None], int)


def _check_counters(counters: InterfaceCounters, arrivals: Arrivals | None) -> None:
    whole(counters.version)
    n = len(of_type(counters.datagram, np.ndarray))
    for name, dtype in _COUNTER_DTYPES.items():
        values = getattr(counters, name)
        _check_array(name, values, n)
        if values.dtype != dtype:
            raise TypeError(f"column {name}: expected dtype {dtype}, found {values.dtype}")
    rows = counters.datagram
    if n and (rows.min() < 0 or (arrivals is not None and rows.max() >= len(arrivals.address_hi))):
        raise ValueError("counters of a datagram that is not in the block")


def checked_batch(value: object) -> FlowBatch:
    """Return a batch whose columns are as `appliance.flows.COLUMNS` says.

    Raises
    ------
    TypeError, ValueError
        A name that is not there, another dtype, another length, or a text that is none.
    """
    batch = of_type(value, FlowBatch)
    n_records = whole(batch.n_records)
    of_type(batch.options, bool)
    for name, column in of_type(batch.columns, dict).items():
        if name not in COLUMN:
            raise ValueError(f"there is no column {name}")
        _check_array(name, column, n_records)
        if column.dtype != COLUMN[name].dtype:
            expected = COLUMN[name].dtype
            raise TypeError(f"column {name}: expected dtype {expected}, found {column.dtype}")
        if column.dtype.kind in "Of":
            _check_values(name, column)
    for name, octets in of_type(batch.octets, dict).items():
        _check_array(of_type(name, str), octets, n_records)
        if octets.dtype.kind == "O":
            all_exactly(octets.tolist(), bytes, f"{name}: ")
        elif octets.dtype.kind != "V":
            raise TypeError(f"{name}: expected dtype V or object, found {octets.dtype}")
    if batch.datagrams is not None:
        _check_array("datagrams", batch.datagrams, n_records)
        if batch.datagrams.dtype.kind != "i":
            raise TypeError(f"datagrams: expected int64, found {batch.datagrams.dtype}")
    return batch


def _check_array(name: str, column: object, n_records: int) -> None:
    if not isinstance(column, np.ndarray):
        raise TypeError(f"column {name}: expected an array, found {type(column).__name__}")
    if column.shape != (n_records,):
        raise ValueError(f"column {name}: expected shape ({n_records},), found {column.shape}")


def _check_values(name: str, column: AnyArray) -> None:
    """Check texts, which must have an encoding, and numbers with fraction, which must be sums."""
    values = column[:1] if is_constant(column) else column
    if column.dtype.kind == "O":
        all_exactly(values.tolist(), str, f"column {name}: ")
        "".join(values.tolist()).encode()
    elif not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"column {name}: expected finite numbers from 0")


def _read_only(batch: FlowBatch) -> FlowBatch:
    """Return a batch of the same columns, in which an enricher can change nothing of ours."""
    return FlowBatch(
        batch.n_records,
        {name: _lock(column) for name, column in batch.columns.items()},
        {name: _lock(octets) for name, octets in batch.octets.items()},
        batch.options,
        batch.datagrams,
        batch.origin,
    )


def _lock(column: AnyArray) -> AnyArray:
    view = column.view()
    view.flags.writeable = False
    return view


def _check_redacted(before: FlowBatch, value: object) -> FlowBatch:
    after = checked_batch(value)
    if after.n_records != before.n_records or after.options != before.options:
        raise ValueError(f"expected the {before.n_records} records given, found {after.n_records}")
    after.datagrams, after.origin = before.datagrams, before.origin
    return after


def _check_enriched(before: FlowBatch, value: object) -> FlowBatch:
    if value is None:
        return before
    after = _check_redacted(before, value)
    missing = (before.columns.keys() - after.columns) | (before.octets.keys() - after.octets)
    if missing:
        raise ValueError(f"left out {', '.join(sorted(missing))}")
    return after
