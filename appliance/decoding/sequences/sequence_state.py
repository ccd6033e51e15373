"""Sequence numbers: what was lost on the way, and when an exporter started again.

NetFlow v5 counts flows, v9 datagrams (RFC 3954 section 5.1), IPFIX Data Records (RFC 7011 section
3.1), each for every observation domain of a session. The number of a datagram is compared with
what its predecessors lead to expect; ahead of it means loss, a little behind means that datagrams
overtook each other, far behind, or an uptime that went back, means a restart. Two habits are known
besides: two counters in one session (their header's uptime tells that nothing restarted), and a
number that already counts its own message (softflowd 1.1.0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

UNKNOWN_UNITS = -1
"""The datagram held Sets that could not be counted, so nothing can be expected of the next."""

_MODULUS = 1 << 32
_UPTIME_SLACK_MS = 1000
_WRAP_ZONE_MS = 3_600_000

_OTHER_COUNTER_ALONE = 16
"""After so many datagrams of the other counter in a row it is the only one."""

_SURE = 3
"""So many messages in a row whose number only fits when it counts them, and none that does not."""

UNITS_PER_SECOND, GRACE_SECONDS = 1_000_000, 60
"""No domain sends faster; a number further ahead than that is another count, not a loss."""


class OtherCounter(NamedTuple):
    """A counter beside the one that is followed.

    Attributes
    ----------
    expected
        Its next number.
    alone
        Its datagrams since the last one of the counter that is followed.
    leap
        What was taken for lost when the counter that is followed leapt ahead of it.
    """

    expected: int
    alone: int = 0
    leap: int = 0


@dataclass(frozen=True, slots=True)
class SequenceState:
    """Where the numbers of one observation domain stand.

    Attributes
    ----------
    expected
        Next sequence number; None when it cannot be known.
    last
        The last sequence number seen.
    uptime_ms
        Exporter's uptime in the last header; 0 in IPFIX.
    export_ms
        Export time of the last header, milliseconds UTC.
    lost
        Flows (v5), messages (v9) or records (IPFIX) lost so far, late arrivals taken off again.
    datagrams, restarts, late
        Datagrams seen, restarts recognised, datagrams that came after a later one.
    other
        A second counter in the session, or where one may go on.
    includes_itself, lost_before
        Messages in a row whose number only fits when it counts them, and what was lost before.
    """

    expected: int | None = None
    last: int = 0
    uptime_ms: int = 0
    export_ms: int = 0
    lost: int = 0
    datagrams: int = 0
    restarts: int = 0
    late: int = 0
    other: OtherCounter | None = None
    includes_itself: int = 0
    lost_before: int = 0

    @property
    def counts_itself(self) -> bool:
        """Whether a number is known to count its own message too."""
        return self.includes_itself >= _SURE


def is_restart(
    state: SequenceState, sequence: int, header: tuple[int, int], window_units: int
) -> bool:
    """Tell whether a header shows that the exporter started again since `state`.

    Parameters
    ----------
    header
        Uptime and export time, milliseconds.
    window_units
        How far behind a datagram that was merely overtaken can be.

    Notes
    -----
    What is exported later cannot have been overtaken. sysUptime wraps after 49.7 days: a step from
    its very end to its beginning is no restart.
    """
    if state.datagrams == 0:
        return False
    uptime_ms, export_ms = header
    wrapped = state.uptime_ms > _MODULUS - _WRAP_ZONE_MS and uptime_ms < _WRAP_ZONE_MS
    if uptime_ms + _UPTIME_SLACK_MS < state.uptime_ms and export_ms >= state.export_ms:
        return not wrapped
    if uptime_ms and state.uptime_ms:
        return (
            False  # It has been up all the time: another counter, or the counter alone restarted.
        )
    behind = (state.last - sequence) % _MODULUS
    if not 0 < behind < _MODULUS // 2:
        seconds = max(export_ms - state.export_ms, 0) // 1000 + GRACE_SECONDS
        return -behind % _MODULUS > seconds * UNITS_PER_SECOND
    return export_ms > state.export_ms or behind > window_units


def advance(
    state: SequenceState,
    sequence: int,
    units: int,
    header: tuple[int, int],
    window_units: int,
) -> SequenceState:
    """Return the state after one more datagram.

    Parameters
    ----------
    units
        What the datagram adds to the next sequence number, or `UNKNOWN_UNITS`.
    header
        Its uptime and its export time, milliseconds.
    """
    uptime_ms, export_ms = header
    restarted = is_restart(state, sequence, header, window_units)
    state = _learn_habit(state, sequence, units)
    if state.counts_itself and units >= 0:
        sequence = (sequence - units) % _MODULUS
    new = replace(
        state,
        expected=None if units < 0 else (sequence + units) % _MODULUS,
        last=sequence,
        uptime_ms=uptime_ms,
        export_ms=export_ms,
        datagrams=state.datagrams + 1,
    )
    if restarted:
        return replace(new, restarts=state.restarts + 1, other=None)
    if state.datagrams == 0 or state.expected == sequence:
        return new if state.other is None else replace(new, other=state.other._replace(alone=0))
    if uptime_ms and state.other is not None and state.other.expected == sequence:
        return _of_other_counter(new, state)
    behind = (state.last - sequence) % _MODULUS
    if 0 < behind < _MODULUS // 2:
        if uptime_ms and behind > window_units and units >= 0:
            other = OtherCounter((sequence + units) % _MODULUS)
            return replace(state, datagrams=new.datagrams, other=other)
        # It was overtaken, and counted as lost when the later one came.
        found = min(max(units, 0), state.lost)
        return replace(state, datagrams=new.datagrams, late=state.late + 1, lost=state.lost - found)
    return _ahead(new, state, sequence, window_units)


def _learn_habit(state: SequenceState, sequence: int, units: int) -> SequenceState:
    """Find out whether numbers count their own message: some only fit so, others only otherwise."""
    if not state.datagrams or units <= 0 or state.counts_itself or state.expected is None:
        return state
    fits, fits_itself = sequence == state.expected, sequence == (state.last + units) % _MODULUS
    if fits == fits_itself:
        return state
    if fits:
        return replace(state, includes_itself=0) if state.includes_itself else state
    lost_before = state.lost_before if state.includes_itself else state.lost
    state = replace(state, includes_itself=state.includes_itself + 1, lost_before=lost_before)
    if not state.counts_itself:
        return state
    # What seemed lost was not: the message before ended where its own number says.
    return replace(state, lost=lost_before, expected=state.last)


def _of_other_counter(new: SequenceState, state: SequenceState) -> SequenceState:
    """Go on with the second counter of a session; alone for long, it becomes the only one."""
    other = state.other
    if other is None or new.expected is None:
        return new
    lost = max(state.lost - other.leap, 0)
    if other.alone + 1 >= _OTHER_COUNTER_ALONE:
        return replace(new, lost=lost, restarts=state.restarts + 1, other=None)
    other = OtherCounter(new.expected, other.alone + 1)
    return replace(state, datagrams=new.datagrams, lost=lost, other=other)


def _ahead(
    new: SequenceState, state: SequenceState, sequence: int, window_units: int
) -> SequenceState:
    """Count what is missing before a number that is ahead of what was expected."""
    if state.expected is None:
        return new
    ahead = (sequence - state.expected) % _MODULUS
    if ahead >= _MODULUS // 2:
        # It repeats a number, or part of what is already counted.
        return replace(new, late=state.late + 1)
    if ahead > window_units and state.uptime_ms:
        # Or a second counter begins here, and the first one will go on where it was.
        return replace(new, lost=state.lost + ahead, other=OtherCounter(state.expected, 0, ahead))
    return replace(new, lost=state.lost + ahead)
