"""Message headers and the Sets of whole blocks of datagrams, as arrays.

Documents: Cisco's NetFlow v5 export format, RFC 3954 section 5, RFC 7011 section 3. One row is one
datagram (`Headers`) or one Set (`Sets`); faults are returned by reason, the datagram they concern
beside them. No loop runs over datagrams: Sets are walked in step, first all first Sets, then all
second ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault

Int = NDArray[np.int64]

V9_HEADER = 20
IPFIX_HEADER = 16
SET_HEADER = 4

MAX_SETS = 2048
"""Sets of one message; a datagram with more ends there with a fault."""

_STEPS_TOGETHER = 64
"""Sets of a datagram that are walked in step with others; one with more is walked by itself."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Message headers of a block; every array has shape (n,) and dtype int64.

    Attributes
    ----------
    domain
        Observation domain: v9 source ID, v5 engine type and ID.
    export_ms
        Export time, milliseconds UTC.
    uptime_ms
        sysUptime of v5 and v9, milliseconds; 0 in IPFIX, which has none.
    end
        Where the message ends in its datagram; 0 for a datagram that is refused.
    count
        Records that the header announces; for IPFIX 0.
    faults
        Datagrams that were refused or that contradict themselves.
    """

    domain: Int
    sequence: Int
    export_ms: Int
    uptime_ms: Int
    end: Int
    count: Int
    faults: list[Fault]


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """The layout of a NetFlow header before templates: version, count (2 octets each), uptime in
    milliseconds, seconds, nanoseconds (4 each), then what is told here.

    Attributes
    ----------
    octets, record_octets
        Of the header, and of each record.
    most_records
        Of a datagram as Cisco sends it.
    sequence_offset, domain_offset
        Where 4 octets of sequence number and 2 of engine type and ID are; None: nowhere.
    """

    version: int
    octets: int
    record_octets: int
    most_records: int
    sequence_offset: int | None = None
    domain_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of a block in the order in which they arrived; arrays of shape (n_sets,), int64.

    Attributes
    ----------
    datagram
        Row of the datagram.
    set_id, offset, length
        Identifier; start of the body in the datagram and its octets, the Set's header excluded.
    faults
        Where a Set header was no Set header; the Sets before it are in the arrays.
    """

    datagram: Int
    set_id: Int
    offset: Int
    length: Int
    faults: list[Fault]


def versions(block: DatagramBlock) -> Int:
    """Read the version number of each datagram; -1 where there are fewer than two octets."""
    if block.octets.shape[1] < 2:
        return np.full(len(block), -1, np.int64)
    found = _u16(block.octets, 0)
    found[block.lengths < 2] = -1
    return found


def fixed_headers(block: DatagramBlock, layout: FixedHeader) -> Headers:
    """Read headers of NetFlow v1, v5 or v7; `end` is bounded by the record count and by the octets
    received."""
    octets, faults, whole = read_header_octets(block, layout.octets)
    count = _u16(octets, 2)
    present = (block.lengths - layout.octets) // layout.record_octets
    fitting = layout.octets + count * layout.record_octets
    # More records than Cisco's datagrams hold are believed only when the length says so too.
    too_many = whole & (count > layout.most_records) & (block.lengths != fitting)
    for row in np.flatnonzero(too_many).tolist():
        whole[row] = False
        detail = f"{count[row]} records announced, datagram of {block.lengths[row]} octets"
        faults.append(Fault(row, f"count_not_of_v{layout.version}", detail))
    taken = np.where(whole, np.minimum(count, present), 0)
    for row in np.flatnonzero(whole & (count > present)).tolist():
        detail = f"{count[row]} records announced, {present[row]} present"
        faults.append(Fault(row, "count_too_large", detail))
    none = np.zeros(len(block), np.int64)
    return Headers(
        domain=none if layout.domain_offset is None else _u16(octets, layout.domain_offset),
        sequence=none if layout.sequence_offset is None else _u32(octets, layout.sequence_offset),
        export_ms=_u32(octets, 8) * 1000 + _u32(octets, 12) // 1_000_000,
        uptime_ms=_u32(octets, 4),
        end=np.where(whole, layout.octets + taken * layout.record_octets, 0),
        count=count,
        faults=faults,
    )


def v9_headers(block: DatagramBlock) -> Headers:
    """Read NetFlow v9 headers (RFC 3954 section 5.1); `end` is the end of the datagram."""
    octets, faults, whole = read_header_octets(block, V9_HEADER)
    return Headers(
        domain=_u32(octets, 16),
        sequence=_u32(octets, 12),
        export_ms=_u32(octets, 8) * 1000,
        uptime_ms=_u32(octets, 4),
        end=np.where(whole, block.lengths, 0),
        count=_u16(octets, 2),
        faults=faults,
    )


def ipfix_headers(block: DatagramBlock) -> Headers:
    """Read IPFIX headers (RFC 7011 section 3.1); a message beyond its datagram is refused."""
    octets, faults, whole = read_header_octets(block, IPFIX_HEADER)
    length = _u16(octets, 2)
    for row in np.flatnonzero(
        whole & ((length < IPFIX_HEADER) | (length > block.lengths))
    ).tolist():
        whole[row] = False
        detail = f"message length {length[row]}, datagram of {block.lengths[row]} octets"
        faults.append(Fault(row, "message_length", detail))
    none = np.zeros(len(block), np.int64)
    return Headers(
        domain=_u32(octets, 12),
        sequence=_u32(octets, 8),
        export_ms=_u32(octets, 4) * 1000,
        uptime_ms=none,
        end=np.where(whole, length, 0),
        count=none,
        faults=faults,
    )


def walk_sets(block: DatagramBlock, start: int, end: Int, *, zero_set_ends: bool) -> Sets:
    """Find the Sets between `start` and `end` of each datagram.

    Parameters
    ----------
    start
        Octets of the message header.
    end
        shape (n,); a value up to `start` means that the datagram has no Sets.
    zero_set_ends
        A Set header of four zero octets ends the message (zero-filled v9 datagrams) instead of
        being a fault.

    Notes
    -----
    A Set shorter than its header or longer than the message is a fault and ends the datagram; up
    to three octets at the end are padding.
    """
    flat, stride = block.octets.reshape(-1), block.octets.shape[1]
    rows = np.flatnonzero(end >= start + SET_HEADER)
    position = np.full(len(rows), start, np.int64)
    steps: list[tuple[Int, Int, Int, Int]] = []
    faults: list[Fault] = []
    while len(rows):
        if len(steps) >= MAX_SETS:
            faults.extend(Fault(row, *_TOO_MANY) for row in rows.tolist())
            break
        if len(steps) >= _STEPS_TOGETHER and len(rows) < _STEPS_TOGETHER:
            room = MAX_SETS - len(steps)
            for row, at in zip(rows.tolist(), position.tolist(), strict=True):
                span = range(at, int(end[row]))
                found, fault = _walk_alone(block.payload(row), span, room, zero_set_ends)
                faults += [Fault(row, *fault)] if fault is not None else []
                columns = np.array(found, np.int64).reshape(-1, 3)
                steps.append((np.full(len(found), row, np.int64), *columns.T))
            break
        at = rows * stride + position
        set_id = flat[at].astype(np.int64) << 8 | flat[at + 1]
        length = flat[at + 2].astype(np.int64) << 8 | flat[at + 3]
        sound = (length >= SET_HEADER) & (position + length <= end[rows])
        if not sound.all():
            ended = (set_id == 0) & (length == 0) & zero_set_ends
            for i in np.flatnonzero(~sound & ~ended).tolist():
                left = int(end[rows[i]] - position[i])
                told = _set_fault(int(set_id[i]), int(length[i]), left)
                faults.append(Fault(int(rows[i]), *told))
            rows, position, set_id, length = (a[sound] for a in (rows, position, set_id, length))
        steps.append((rows, set_id, position + SET_HEADER, length - SET_HEADER))
        position = position + length
        more = position + SET_HEADER <= end[rows]
        rows, position = rows[more], position[more]
    return _in_order(steps, faults)


def _set_fault(set_id: int, length: int, left: int) -> tuple[str, str]:
    """Say what is wrong with a Set header."""
    return "set_length", f"set {set_id}: length {length}, {left} octets left"


_TOO_MANY = ("too_many_sets", f"more than {MAX_SETS} sets in one message")


def _in_order(steps: Sequence[tuple[Int, Int, Int, Int]], faults: list[Fault]) -> Sets:
    if not steps:
        none = np.zeros(0, np.int64)
        return Sets(none, none, none, none, faults)
    if len(steps) == 1:
        return Sets(*steps[0], faults)
    columns = [np.concatenate([step[i] for step in steps]) for i in range(4)]
    order = np.lexsort((columns[2], columns[0]))
    return Sets(columns[0][order], columns[1][order], columns[2][order], columns[3][order], faults)


def _walk_alone(
    octets: bytes, span: range, room: int, zero_set_ends: bool
) -> tuple[list[tuple[int, int, int]], tuple[str, str] | None]:
    """Find up to `room` Sets (identifier, body's offset and length) of one datagram."""
    found: list[tuple[int, int, int]] = []
    at, end = span.start, span.stop
    while at + SET_HEADER <= end:
        if len(found) >= room:
            return found, _TOO_MANY
        set_id, length = octets[at] << 8 | octets[at + 1], octets[at + 2] << 8 | octets[at + 3]
        if length < SET_HEADER or at + length > end:
            ended = zero_set_ends and set_id == 0 and length == 0
            return found, None if ended else _set_fault(set_id, length, end - at)
        found.append((set_id, at + SET_HEADER, length - SET_HEADER))
        at += length
    return found, None


def read_header_octets(
    block: DatagramBlock, header: int
) -> tuple[NDArray[np.uint8], list[Fault], NDArray[np.bool_]]:
    """Look which datagrams hold a header of so many octets.

    Returns
    -------
    tuple
        The octets of the headers, uint8, shape (n, header); a fault for each datagram that is too
        short; and which are not, bool, shape (n,).
    """
    whole = block.lengths >= header
    faults = [
        Fault(row, "header_cut", f"{block.lengths[row]} octets, the header has {header}")
        for row in np.flatnonzero(~whole).tolist()
    ]
    octets = block.octets[:, :header]
    if octets.shape[1] < header:
        octets = np.pad(octets, ((0, 0), (0, header - octets.shape[1])))
    return octets, faults, whole


def _u16(octets: NDArray[np.uint8], at: int) -> Int:
    return octets[:, at].astype(np.int64) << 8 | octets[:, at + 1]


def _u32(octets: NDArray[np.uint8], at: int) -> Int:
    return _u16(octets, at) << 16 | _u16(octets, at + 2)
