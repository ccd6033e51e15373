"""Start and end of flows, from every encoding that exporters use, as milliseconds UTC.

Documents: RFC 7011 section 6.1.7 to 6.1.10 (dateTime types: the two finer ones are 64-bit NTP
timestamps), RFC 5102 (elements 21, 22 and 158 to 162 count from another time), RFC 3954 section
5.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup

Int = NDArray[np.int64]

NTP_TO_UNIX_SECONDS = 2_208_988_800
"""Seconds from 1900 to 1970."""

_DAY_MS = 86_400_000
_START = (("ms", 152), ("ntp_us", 154), ("ntp_ns", 156), ("s", 150))
_END = (("ms", 153), ("ntp_us", 155), ("ntp_ns", 157), ("s", 151))
_OBSERVED = (("ms", 323), ("ntp_us", 324), ("ntp_ns", 325), ("s", 322))
_ABSOLUTE = frozenset(element for _, element in (*_START, *_END, *_OBSERVED))
_UPTIME_START, _UPTIME_END = 22, 21
_BEFORE_EXPORT_START, _BEFORE_EXPORT_END = 158, 159
_DURATION_MS, _DURATION_US = 161, 162
_UPTIME_BITS = 0xFFFF_FFFF
_EPOCH_MS_FROM = 1 << 40
"""An "uptime" of more than 34 years is a time of day in milliseconds (NX-OS)."""


def time_columns(group: RecordGroup) -> dict[str, NDArray[Any]]:
    """Fill both time columns; a record that tells no time happened when it was exported."""
    start, end = _absolute(group, _START), _absolute(group, _END)
    if start is None and end is None:
        start, end = _uptimes(group)
    if start is None and end is None:
        start = _before_export(group, _BEFORE_EXPORT_START)
        end = _before_export(group, _BEFORE_EXPORT_END)
    start, end = _complete_times(group, start, end)
    swapped = start > end
    if swapped.any():
        start, end = np.where(swapped, end, start), np.where(swapped, start, end)
    return {"flow_start_milliseconds": start, "flow_end_milliseconds": end}


def milliseconds(values: NDArray[Any], encoding: str) -> Int:
    """Convert absolute times to milliseconds since 1970, rounded down.

    Parameters
    ----------
    values
        Unsigned integers of the element.
    encoding
        `s`, `ms`, or `ntp_us` and `ntp_ns`: 64-bit NTP timestamps, which some exporters fill with
        plain micro- or nanoseconds since 1970 instead (told by their magnitude).
    """
    wide = values.astype(np.uint64, copy=False)
    if encoding == "ms":
        return wide.astype(np.int64)
    if encoding == "s":
        in_ms = wide >= np.uint64(1 << 36)
        found = np.where(in_ms, wide, wide * np.uint64(1000))
        return found.astype(np.int64)
    seconds, fraction = wide >> np.uint64(32), wide & np.uint64(0xFFFF_FFFF)
    ntp = (seconds.astype(np.int64) - NTP_TO_UNIX_SECONDS) * 1000
    ntp += (fraction * np.uint64(1000) >> np.uint64(32)).astype(np.int64)
    plain = wide // np.uint64(1000 if encoding == "ntp_us" else 1_000_000)
    return np.where(ntp < 0, plain.astype(np.int64), ntp)


def from_uptime(uptime_at: Int, header_uptime: Int, export_ms: Int, unit_ms: int = 1) -> Int:
    """Convert a sysUptime to a time of day, over the wrap of its 32 bits (after 49.7 days).

    An uptime of up to half the range ahead of the header's is after the export.

    Parameters
    ----------
    unit_ms
        What uptimes count, milliseconds.
    """
    behind = (header_uptime.astype(np.uint32) - uptime_at.astype(np.uint32)).view(np.int32)
    return export_ms - (behind if unit_ms == 1 else behind.astype(np.int64) * unit_ms)


def _absolute(group: RecordGroup, choices: tuple[tuple[str, int], ...]) -> Int | None:
    for encoding, element in choices if group.has_any(_ABSOLUTE) else ():
        values = group.unsigned(element)
        if values is not None:
            return milliseconds(values, encoding)
    return None


def _uptimes(group: RecordGroup) -> tuple[Int | None, Int | None]:
    start, end = group.unsigned(_UPTIME_START), group.unsigned(_UPTIME_END)
    last = start if end is None else end
    if last is None:
        return None, None
    export_ms = group.per_record("export_ms")
    uptimes = _header_uptimes(group, last, export_ms)
    both = [
        None if values is None else _one_uptime(group, values, uptimes, export_ms)
        for values in (start, end)
    ]
    both_zero = [v == 0 for v in (start, end) if v is not None]
    nothing = np.logical_and.reduce(both_zero) if both_zero[0].any() else both_zero[0]
    for number, times in enumerate(both):
        if times is None:
            continue
        # No uptime is of tomorrow, and zero in both is none when the exporter has been up for
        # more than a day.
        wrong = times - export_ms > _DAY_MS
        if nothing.any():
            wrong |= nothing & (export_ms - times > _DAY_MS)
        both[number] = np.where(wrong, export_ms, times) if wrong.any() else times
    return both[0], both[1]


def _one_uptime(group: RecordGroup, values: NDArray[Any], uptimes: Int, export_ms: Int) -> Int:
    times: Int = from_uptime(values, uptimes, export_ms, group.uptime_unit_ms)
    if values.dtype.itemsize > 4:
        # Of more than 32 bits an uptime does not wrap; so large a number is a time of day.
        wide = values.astype(np.int64)
        times = np.where(values > _UPTIME_BITS, export_ms - (uptimes - wide), times)
        times = np.where(values >= _EPOCH_MS_FROM, wide, times)
    return times


def _header_uptimes(group: RecordGroup, last: NDArray[Any], export_ms: Int) -> Int:
    """Return, for each record, the uptime of its exporter when the message was sent.

    RFC 5102 section 5.11: IPFIX headers have none, uptimes count from `systemInitTimeMilliseconds`.
    Where that is not told either, the last uptime in the Data Set is taken as that of the export:
    durations and distances are right then.

    Parameters
    ----------
    last
        shape (n_records,): the uptime at which each flow ended.
    """
    if group.plan.version != 10:
        return group.per_record("uptime_ms")
    init = group.unsigned(160)
    if init is not None:
        return export_ms - init.astype(np.int64)
    latest = _latest_in_set(group, last)
    if group.init_ms is None:
        return latest
    return np.where(group.init_ms >= 0, export_ms - group.init_ms, latest)


def _latest_in_set(group: RecordGroup, uptimes: NDArray[Any]) -> Int:
    """Return the latest of the uptimes in each record's Data Set, over the wrap of 32 bits."""
    wide = uptimes.astype(np.int64)
    filled = group.counts > 0
    starts = (np.cumsum(group.counts) - group.counts)[filled]
    if not len(starts):
        return wide
    counts = group.counts[filled]
    first = wide[starts]
    ahead = wide - np.repeat(first, counts)
    if uptimes.dtype.itemsize <= 4:
        ahead = ahead.astype(np.int32).astype(np.int64)
    latest: Int = first + np.maximum.reduceat(ahead, starts)
    return np.repeat(latest, counts)


def _before_export(group: RecordGroup, element: int) -> Int | None:
    values = group.unsigned(element)
    if values is None:
        return None
    # Microseconds before the export time of the message.
    return group.per_record("export_ms") - -(-values.astype(np.int64) // 1000)


def _complete_times(group: RecordGroup, start: Int | None, end: Int | None) -> tuple[Int, Int]:
    if start is not None and end is not None:
        return start, end
    duration = group.unsigned(_DURATION_MS)
    if duration is None:
        fine = group.unsigned(_DURATION_US)
        duration = None if fine is None else fine.astype(np.uint64) // 1000
    observed = _absolute(group, _OBSERVED)
    if start is not None and duration is None and observed is not None:
        # What was observed when a flow that began earlier ended (ASA's teardown).
        return start, observed
    span = np.int64(0) if duration is None else duration.astype(np.int64)
    if start is not None:
        return start, start + span
    if end is None:
        end = group.per_record("export_ms") if observed is None else observed
    return end - span, end
