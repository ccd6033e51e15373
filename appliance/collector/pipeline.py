"""From a block of datagrams to the flow log: decode, commit, enrich, append.

The receiver's block is split by protocol version, each part goes to its registered decoder, and
what comes back is committed to the exporters' states before the next block is touched. Of a block
that costs too much a part waits (`fair_share`), and is decoded when there is time. Plugins stand in
guards (`appliance.guard`): one that fails is counted and logged, and everything else goes on.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.collector.counter_table import CounterTable
from appliance.collector.exporters import ExporterStates
from appliance.collector.fair_share import FairShare
from appliance.collector.plausibility import with_implausible_marked
from appliance.collector.senders import add_origin, sender_text, with_senders
from appliance.decoding.costs import BlockTooCostly, Seconds
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault, MalformedMessage
from appliance.decoding.messages.headers import versions
from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import DecodeResult, Exporter
from appliance.decoding.templates.announcements import TEMPLATE_REDEFINED
from appliance.decoding.templates.timeline import Session
from appliance.flows import COLLECTION_TIME, FlowBatch, RecordKind
from appliance.guard import GuardedDecoder, GuardedEnricher, GuardedRedactor, PluginError
from appliance.guard.values import nothing
from appliance.ratelimit import RateLimited

log = logging.getLogger(__name__)

MAX_OCTETS_TOGETHER = 4_000_000
"""Octets that are decoded in one step, so that what one step makes of them stays bounded."""

FASTEST_BITS_PER_SECOND = 1.6e12
"""The fastest interface there is: Ethernet of 1.6 Tbit/s."""

MAX_STEP_SECONDS = 0.3
"""After so long the rest of a block waits, so that the collector looks after its other work."""

PutOff = Callable[[DatagramBlock, Seconds], DatagramBlock]
"""Lets the costly part of a block wait and returns the rest of it."""

DURATIONS_OF_BATCH, LARGE_BATCH, LARGE_BATCH_TURN = 256, 4096, 4
"""Flows of a batch whose duration is looked at; of large batches, one of four is."""

_DAY_MS = 86_400_000
_KNOWN_VERSIONS = frozenset(range(256))


class BatchSink(Protocol):
    """Where batches go: the flow log's writer."""

    def append(self, batch: FlowBatch) -> None:
        """Take a batch over; its arrays do not change any more."""
        ...


class Pipeline:
    """Decodes blocks and hands the batches on.

    Attributes
    ----------
    enrichers
        What each batch goes through, redactors last: a batch that one of these fails on is lost.
    share
        Whose datagrams wait when a block costs too much; None: nobody else's are held up, so all
        are decoded in their order.
    counters
        Takes what exporters send of their interfaces' counters; None: nobody wants it.
    not_understood
        Connections of which nothing can be understood any more, for the caller to close and clear.
    counts
        Datagrams by version, those of versions without a decoder, those lost to failing plugins.
    """

    def __init__(
        self,
        decoders: Sequence[GuardedDecoder],
        states: ExporterStates,
        sink: BatchSink,
        enrichers: Sequence[GuardedEnricher | GuardedRedactor] = (),
        share: FairShare | None = None,
        fastest_bits_per_second: float = FASTEST_BITS_PER_SECOND,
    ) -> None:
        self.decoders = {decoder.version: decoder for decoder in decoders}
        self.states, self.sink, self.enrichers = states, sink, enrichers
        self.counts: Counter[str] = Counter()
        self.counters: CounterTable | None = None
        self.appeared: list[tuple[Exporter, int]] = []
        self.not_understood: list[Session] = []
        self.share, self.fastest_bits_per_second = share, fastest_bits_per_second
        self._log = RateLimited(log)
        self._duration_turn = 0

    def take(self, block: DatagramBlock, now_ms: int) -> None:
        """Decode a block and append its batches to the sink; what costs too much waits."""
        share = self.share
        until = time.monotonic() + MAX_STEP_SECONDS
        for part in _parts_of_bounded_size(block):
            if share is None:
                self._take_part(part, now_ms, None)
            elif time.monotonic() < until:
                self._take_part(share.admit(part), now_ms, share.divide)
            else:
                share.postpone(part)

    def take_waiting(self, now_ms: int, until: float) -> None:
        """Decode what waits, fairly, until a time of the monotonic clock; one turn at least."""
        share = self.share
        while share is not None and (block := share.next_block()) is not None:
            self._take_part(block, now_ms, share.put_back)
            if time.monotonic() >= until:
                return

    def _take_part(self, block: DatagramBlock, now_ms: int, put_off: PutOff | None) -> None:
        for version, of_version in _by_version(block):
            self._take_version(of_version, version, now_ms, put_off)

    def _take_version(
        self, block: DatagramBlock, version: int, now_ms: int, put_off: PutOff | None
    ) -> None:
        decoder = self.decoders.get(version)
        if decoder is None:
            self.counts["datagrams_unsupported_version"] += len(block)
            known = f"version {version}" if version in _KNOWN_VERSIONS else "an unknown version"
            self._log.warning("datagrams of %s, which no decoder takes", known)
            return
        while len(block):
            try:
                results = list(self._decode(decoder, block, now_ms))
            except BlockTooCostly as refusal:
                if put_off is not None:
                    block = put_off(block, refusal.seconds)
                    continue
                half = len(block) // 2
                self._take_version(block.take(slice(half)), version, now_ms, None)
                block = block.take(slice(half, None))
                continue
            self.counts[f"datagrams_v{version}"] += len(block)
            for part, result in results:
                self._keep(result, part, decoder, now_ms)
            return

    def _decode(
        self, decoder: GuardedDecoder, block: DatagramBlock, now_ms: int
    ) -> Iterator[tuple[DatagramBlock, DecodeResult]]:
        """Decode a block; when that fails, its halves, so that only the culprit is lost.

        Each result comes with the part of the block that it is of.
        """
        try:
            result = decoder.decode(block, self.states, now_ms)
        except (PluginError, MalformedMessage) as error:
            if len(block) > 1:
                half = len(block) // 2
                for rows in (slice(half), slice(half, None)):
                    yield from self._decode(decoder, block.take(rows), now_ms)
            elif isinstance(error, MalformedMessage):
                yield block, DecodeResult(faults=[Fault(0, error.reason, error.detail)])
            else:
                self.counts["datagrams_lost_to_failures"] += 1
            return
        yield block, result

    def _keep(
        self, result: DecodeResult, block: DatagramBlock, decoder: GuardedDecoder, now_ms: int
    ) -> None:
        """Commit the result of a block and hand its batches on.

        In the decoder's guard: that all of it fits together is not checked before.
        """
        guard = decoder.guard

        def commit() -> None:
            complete = with_senders(result, block, decoder.version, self.states)
            self.states.commit(complete, now_ms)
            told, arrivals = complete.interface_counters, complete.arrivals
            if self.counters is not None and told is not None and arrivals is not None:
                self.counters.take(told, arrivals)

        with contextlib.suppress(PluginError):
            guard.call(commit, nothing)
        if self.states.appeared:
            self.appeared += [(exporter, decoder.version) for exporter in self.states.appeared]
            self.states.appeared.clear()
        for batch in result.batches:
            try:
                guard.call(partial(self._keep_batch, batch, result.arrivals, now_ms), nothing)
            except PluginError:
                self.counts["records_lost_to_failures"] += batch.n_records
        for fault in result.faults:
            sender = sender_text(result.arrivals, fault.datagram)
            self._log.info("malformed: %s: %s, from %s", fault.reason, fault.detail, sender)
            if fault.reason == TEMPLATE_REDEFINED and result.arrivals is not None:
                session = result.arrivals.session(fault.datagram)
                # What it told before does not count any more, also for what waits of it.
                self.states.end_session(session)
                self.not_understood.append(session)

    def _keep_batch(self, batch: FlowBatch, arrivals: Arrivals | None, now_ms: int) -> None:
        add_origin(batch, arrivals, now_ms)
        self._note_skew(batch, arrivals)
        self._note_durations(batch, arrivals)
        batch = self._plausible(batch, arrivals)
        for enricher in self.enrichers:
            batch = enricher(batch)
        self.counts["options_records" if batch.options else "records"] += batch.n_records
        self.sink.append(batch)

    def _note_skew(self, batch: FlowBatch, arrivals: Arrivals | None) -> None:
        """Count flows that ended more than a day from when we heard of them."""
        if batch.options:
            return
        ended = batch.column("flow_end_milliseconds")
        apart = np.abs(ended - batch.column(COLLECTION_TIME)) > _DAY_MS
        if not apart.any():
            return
        self.counts["records_with_skewed_time"] += int(np.count_nonzero(apart))
        self._count_rows("skewed_times", batch, apart, arrivals)

    def _note_durations(self, batch: FlowBatch, arrivals: Arrivals | None) -> None:
        """Let sessions know how long some of their flows lasted, wherever these are in a batch."""
        if batch.options or arrivals is None or batch.datagrams is None:
            return
        self._duration_turn += 1
        if batch.n_records >= LARGE_BATCH and self._duration_turn % LARGE_BATCH_TURN:
            return
        step = -(-batch.n_records // DURATIONS_OF_BATCH)
        chosen = slice(self._duration_turn % step, None, step)
        ends = batch.column("flow_end_milliseconds")[chosen]
        durations = ends - batch.column("flow_start_milliseconds")[chosen]
        rows = batch.datagrams[chosen]
        of = np.stack([arrivals.address_hi[rows], arrivals.address_lo[rows], arrivals.port[rows]])
        if (of == of[:, :1]).all():
            self.states.note_durations(tuple(of[:, 0].tolist()), durations)
            return
        sessions, places = np.unique(of, axis=1, return_inverse=True)
        for number, session in enumerate(sessions.T.tolist()):
            self.states.note_durations(tuple(session), durations[places.ravel() == number])

    def _plausible(self, batch: FlowBatch, arrivals: Arrivals | None) -> FlowBatch:
        """Mark the flows that claim more than any interface carries, and count them."""
        marked = with_implausible_marked(batch, self.fastest_bits_per_second)
        if marked is not batch:
            rows = marked.column("record_kind") == RecordKind.IMPLAUSIBLE
            self.counts["records_implausible"] += int(np.count_nonzero(rows))
            self._count_rows("implausible", batch, rows, arrivals)
        return marked

    def _count_rows(
        self, word: str, batch: FlowBatch, chosen: NDArray[np.bool_], arrivals: Arrivals | None
    ) -> None:
        """Count rows of a batch for those who sent them, whoever a relay says it speaks for."""
        if arrivals is None or batch.datagrams is None:
            return
        rows = batch.datagrams[chosen]
        hi, lo = arrivals.address_hi[rows], arrivals.address_lo[rows]
        pairs = np.unique(np.stack([hi, lo]), axis=1, return_counts=True)
        for exporter, number in zip(pairs[0].T.tolist(), pairs[1].tolist(), strict=True):
            self.states.count(tuple(exporter), word, number)


def _by_version(block: DatagramBlock) -> Iterator[tuple[int, DatagramBlock]]:
    """Split a block by the version that its datagrams say."""
    if not len(block):
        return
    of_row = versions(block)
    if (of_row == of_row[0]).all():
        yield int(of_row[0]), block
        return
    for version in np.unique(of_row).tolist():
        yield version, block.take(np.flatnonzero(of_row == version))


def _parts_of_bounded_size(block: DatagramBlock) -> Iterator[DatagramBlock]:
    total = int(block.lengths.sum())
    if total <= MAX_OCTETS_TOGETHER:
        yield block
        return
    steps = np.cumsum(block.lengths) // MAX_OCTETS_TOGETHER
    starts = np.flatnonzero(np.diff(steps, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
        yield block.take(slice(start, end))
