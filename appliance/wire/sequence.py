"""Sequence numbers: what was lost on the way, and when an exporter started again.

NetFlow v5 counts flows, v9 datagrams (RFC 3954 section 5.1), IPFIX Data Records (RFC 7011 section
3.1), each for every observation domain of a session. The number of a datagram is compared with
what its predecessors lead to expect; ahead of it means loss, a little behind means that datagrams
overtook each other, far behind, or an uptime that went back, means a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

UNKNOWN_UNITS = -1
"""The datagram held Sets that could not be counted, so nothing can be expected of the next."""

_MODULUS = 1 << 32
_UPTIME_SLACK_MS = 1000
_WRAP_ZONE_MS = 3_600_000

UNITS_PER_SECOND, GRACE_SECONDS = 1_000_000, 60
"""No domain sends faster; a number further ahead than that is another count, not a loss."""


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
    """

    expected: int | None = None
    last: int = 0
    uptime_ms: int = 0
    export_ms: int = 0
    lost: int = 0
    datagrams: int = 0
    restarts: int = 0
    late: int = 0


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
    following = None if units < 0 else (sequence + units) % _MODULUS
    new = replace(
        state,
        expected=following,
        last=sequence,
        uptime_ms=uptime_ms,
        export_ms=export_ms,
        datagrams=state.datagrams + 1,
    )
    if is_restart(state, sequence, header, window_units):
        return replace(new, restarts=state.restarts + 1)
    if state.datagrams and 0 < (state.last - sequence) % _MODULUS < _MODULUS // 2:
        # It was overtaken, and counted as lost when the later one came.
        found = min(max(units, 0), state.lost)
        return replace(
            state,
            datagrams=new.datagrams,
            late=state.late + 1,
            lost=state.lost - found,
        )
    if state.expected is None or state.expected == sequence:
        return new
    ahead = (sequence - state.expected) % _MODULUS
    if ahead < _MODULUS // 2:
        return replace(new, lost=state.lost + ahead)
    # It repeats a number, or part of what is already counted.
    return replace(new, late=state.late + 1)
