"""The observation domains of a block: who sent which datagram, who restarted, what was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.counters import has_only_totals
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.headers import Headers
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.results import DecodeResult, DecoderState
from appliance.decoding.sequences.sequence_state import (
    GRACE_SECONDS,
    UNITS_PER_SECOND,
    SequenceState,
    advance,
    is_restart,
)
from appliance.decoding.templates.timeline import Senders, SessionDomain

Int = NDArray[np.int64]
_MODULUS = 1 << 32


@dataclass(frozen=True, slots=True)
class Traffic:
    """The datagrams of a block by scope.

    Attributes
    ----------
    scope_of
        int64, shape (n,): index of each datagram's scope, -1 for one that is refused.
    """

    scopes: Sequence[SessionDomain]
    scope_of: Int
    headers: Headers


def find_scopes(
    block: DatagramBlock, version: int, domain: Int, usable: NDArray[np.bool_]
) -> tuple[list[SessionDomain], Int]:
    """Number the scopes of a block of one version.

    Returns
    -------
    list, NDArray[int64]
        Scopes, and the index of each datagram's, shape (n,); -1 where `usable` is False.
    """
    n = len(block)
    if not n:
        return [], np.zeros(0, np.int64)
    hi, lo, port = block.address_hi, block.address_lo, block.port
    new = np.ones(n, np.bool_)
    new[1:] = (
        (hi[1:] != hi[:-1])
        | (lo[1:] != lo[:-1])
        | (port[1:] != port[:-1])
        | (domain[1:] != domain[:-1])
    )
    starts = np.flatnonzero(new)
    columns = (a[starts].tolist() for a in (hi, lo, port, domain))
    index: dict[tuple[int, int, int, int], int] = {}
    of_run = [index.setdefault(key, len(index)) for key in zip(*columns, strict=True)]
    scope_of = np.repeat(np.array(of_run, np.int64), np.diff(starts, append=n))
    scope_of[~usable] = -1
    return [SessionDomain(*key, version) for key in index], scope_of


def senders_of(block: DatagramBlock, scopes: Sequence[SessionDomain]) -> Senders:
    """Return the sessions of a block, and when its first datagram came."""
    time_ms = int(block.received_ms[0]) if len(block) else 0
    return Senders(frozenset(scope.session for scope in scopes), time_ms)


def tally(
    result: DecodeResult, groups: Iterable[tuple[RecordGroup, Int]], scopes: Sequence[SessionDomain]
) -> None:
    """Count the records of each scope, and those whose figures need an assumption; note rates.

    Parameters
    ----------
    groups
        Records, and int64, shape (n_sets,): the scope of each Set of theirs.
    """
    tallied: dict[str, list[tuple[Int, Int]]] = {}
    for group, scope_of_set in groups:
        for word, counts in _words_to_count(group):
            tallied.setdefault(word, []).append((scope_of_set, counts))
        if not group.plan.options:
            _note_rates(result, group, scope_of_set, scopes)
    for word, parts in tallied.items():
        scope_of_set, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        sums = np.bincount(scope_of_set, counts, len(scopes))
        for number in np.flatnonzero(sums).tolist():
            result.tallies[scopes[number], word] += int(sums[number])


def count_octets(result: DecodeResult, traffic: Traffic, octets: Int) -> None:
    """Count the octets of the messages of each scope.

    Parameters
    ----------
    octets
        shape (n,): of each message.
    """
    usable = traffic.scope_of >= 0
    sums = np.bincount(traffic.scope_of[usable], octets[usable], len(traffic.scopes))
    for scope, number in zip(traffic.scopes, sums.tolist(), strict=True):
        if number:
            result.message_octets[scope] += int(number)


def _note_rates(
    result: DecodeResult, group: RecordGroup, scope_of_set: Int, scopes: Sequence[SessionDomain]
) -> None:
    """Note the sampling rate of the last record of each scope in a group."""
    if len(scopes) == 1 and group.n_records:
        rate = 0.0 if group.sampling is None else float(group.sampling[-1])
        result.rates[scopes[0].session] = rate
        return
    places = np.flatnonzero(group.counts)
    if group.sampling is None:
        rates = np.zeros(len(places))
    else:
        rates = group.sampling[np.cumsum(group.counts)[places] - 1]
    last_rates = np.full(len(scopes), -1.0)
    last_rates[scope_of_set[places]] = rates
    for number in np.flatnonzero(last_rates >= 0).tolist():
        result.rates[scopes[number].session] = float(last_rates[number])


def _words_to_count(group: RecordGroup) -> Iterator[tuple[str, Int]]:
    if group.plan.options:
        yield "options_records", group.counts
        return
    yield "records", group.counts
    if group.plan.recall(has_only_totals):
        yield "total_counters", group.counts
    if group.carries_rate is not None:
        yield "sampling_in_records", _counts_of_sets(group, group.carries_rate)
    if group.sampling is None:
        yield "sampling_assumed", group.counts
    elif not group.sampling.all():
        yield "sampling_assumed", _counts_of_sets(group, group.sampling == 0)


def _counts_of_sets(group: RecordGroup, chosen: NDArray[np.bool_]) -> Int:
    """Count the chosen records of each Set."""
    if chosen.all():
        return group.counts
    of_record = np.repeat(np.arange(len(group.counts)), group.counts)
    return np.bincount(of_record[chosen], minlength=len(group.counts)).astype(np.int64)


def find_restarts(
    traffic: Traffic, state: DecoderState, window_units: int
) -> dict[SessionDomain, Int]:
    """Find the datagrams that show that their exporter restarted, by scope."""
    found: dict[SessionDomain, Int] = {}
    for number, rows in _suspects(traffic, state):
        scope = traffic.scopes[number]
        current, restarts = state.sequence(scope), []
        for row, sequence, header in _walk(traffic, rows):
            if is_restart(current, sequence, header, window_units):
                restarts.append(row)
            current = advance(current, sequence, 0, header, window_units)
        if restarts:
            found[scope] = np.array(restarts, np.int64)
    return found


def next_sequences(
    traffic: Traffic, units: Int, state: DecoderState, window_units: int
) -> dict[SessionDomain, SequenceState]:
    """Carry the sequence numbers of every scope of a block on.

    Parameters
    ----------
    units
        int64, shape (n,): what each datagram adds to its scope's number, or `UNKNOWN_UNITS`.
    """
    order, first, last, _ = _runs(traffic)
    if not len(order):
        return {}
    run = _Run(traffic.headers, order, units, window_units)
    found = {}
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        scope = traffic.scopes[traffic.scope_of[order[begin]]]
        found[scope] = run.carry(state.sequence(scope), begin, end)
    return found


def count_datagrams(traffic: Traffic, state: DecoderState) -> dict[SessionDomain, SequenceState]:
    """Count the datagrams of every scope of a block whose protocol has no sequence numbers."""
    order, _, last, counts = _runs(traffic)
    headers, found = traffic.headers, {}
    for row, number in zip(order[last].tolist(), counts.tolist(), strict=True):
        scope = traffic.scopes[traffic.scope_of[row]]
        before = state.sequence(scope)
        found[scope] = replace(
            before,
            uptime_ms=int(headers.uptime_ms[row]),
            export_ms=int(headers.export_ms[row]),
            datagrams=before.datagrams + number,
        )
    return found


class _Run:
    """The datagrams of a block sorted by scope, and where their numbers do not simply go on."""

    def __init__(self, headers: Headers, order: Int, units: Int, window_units: int) -> None:
        self.headers, self.order, self.units = headers, order, units
        self.window_units = window_units
        self.sequence = headers.sequence[order]
        self.expected = np.where(units[order] < 0, -1, (self.sequence + units[order]) % _MODULUS)
        uptime = headers.uptime_ms[order]
        odd = self.sequence[1:] != self.expected[:-1]
        odd |= uptime[1:] < uptime[:-1]
        self.breaks = np.append(np.flatnonzero(odd) + 1, len(order))

    def carry(self, state: SequenceState, begin: int, end: int) -> SequenceState:
        """Carry a state over the datagrams from `begin` to `end` of the sorted ones."""
        at = begin
        while at <= end:
            row = int(self.order[at])
            uptime_ms = int(self.headers.uptime_ms[row])
            if state.expected != self.sequence[at] or uptime_ms < state.uptime_ms:
                header = (uptime_ms, int(self.headers.export_ms[row]))
                sequence, units = int(self.sequence[at]), int(self.units[row])
                state = advance(state, sequence, units, header, self.window_units)
                at += 1
                continue
            following = int(self.breaks[np.searchsorted(self.breaks, at, "right")])
            stop = min(following, end + 1)
            state = self._jump(state, stop - 1, stop - at)
            at = stop
        return state

    def _jump(self, state: SequenceState, at: int, n: int) -> SequenceState:
        row, expected = int(self.order[at]), int(self.expected[at])
        return replace(
            state,
            expected=None if expected < 0 else expected,
            last=int(self.sequence[at]),
            uptime_ms=int(self.headers.uptime_ms[row]),
            export_ms=int(self.headers.export_ms[row]),
            datagrams=state.datagrams + n,
        )


def _walk(traffic: Traffic, rows: Int) -> list[tuple[int, int, tuple[int, int]]]:
    headers = traffic.headers
    pairs = zip(headers.uptime_ms[rows].tolist(), headers.export_ms[rows].tolist(), strict=True)
    return list(zip(rows.tolist(), headers.sequence[rows].tolist(), pairs, strict=True))


def _runs(traffic: Traffic) -> tuple[Int, Int, Int, Int]:
    """Sort datagrams by scope: their order, and first, last position and length of each run."""
    usable = np.flatnonzero(traffic.scope_of >= 0)
    order = usable[np.argsort(traffic.scope_of[usable], kind="stable")]
    scope = traffic.scope_of[order]
    first = np.flatnonzero(np.diff(scope, prepend=-1))
    counts = np.diff(first, append=len(order))
    return order, first, first + counts - 1, counts


def _suspects(traffic: Traffic, state: DecoderState) -> list[tuple[int, Int]]:
    """Return the scopes in which a number or an uptime goes back or leaps, and their datagrams."""
    order, first, last_of, _ = _runs(traffic)
    if not len(order):
        return []
    headers, scope = traffic.headers, traffic.scope_of[order]
    sequence, uptime = headers.sequence[order], headers.uptime_ms[order]
    before = [state.sequence(traffic.scopes[s]) for s in scope[first].tolist()]
    seen = np.array([b.datagrams > 0 for b in before])
    last, last_uptime = np.roll(sequence, 1), np.roll(uptime, 1)
    last[first] = np.where(seen, [b.last for b in before], sequence[first])
    last_uptime[first] = np.where(seen, [b.uptime_ms for b in before], uptime[first])
    behind = (last - sequence) % _MODULUS
    suspect = (behind > 0) & (behind < _MODULUS - GRACE_SECONDS * UNITS_PER_SECOND)
    suspect |= uptime < last_uptime
    runs = np.flatnonzero(np.logical_or.reduceat(suspect, first)).tolist()
    return [(int(scope[first[run]]), order[first[run] : last_of[run] + 1]) for run in runs]
