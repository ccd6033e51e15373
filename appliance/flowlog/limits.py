"""Limits of the flow log and positions in it: plain values, importable without pyarrow or
DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class FlowLogLimits:
    """What bounds the flow log on disk and in memory.

    Attributes
    ----------
    segment_rows, segment_seconds
        A journal is closed when either is reached.
    flush_seconds
        Longest time that rows wait in memory.
    seal_seconds
        How long a closed journal may wait for others, to be sealed together.
    retention_seconds, retention_octets
        The oldest files go when they, or all files together, exceed these; an age of 0 is
        no limit.
    minimum_free_octets
        Writing pauses, counted, while the file system has less room than this.
    """

    segment_rows: int = 1_000_000
    segment_seconds: float = 60.0
    flush_seconds: float = 1.0
    retention_seconds: float = 30 * 86400
    retention_octets: int = 20 * 10**9
    minimum_free_octets: int = 256 * 10**6
    seal_seconds: float = 10.0


class Cursor(NamedTuple):
    """A position in the log: rows consumed of a segment. (0, 0) is before the oldest row.

    Rows keep their order when segments are sealed and merged, so a cursor stays good.
    """

    segment: int = 0
    row: int = 0


@dataclass(frozen=True)
class QueryLimits:
    """What one question may use; infinite seconds are no limit.

    Attributes
    ----------
    spill
        Where it may write what does not fit into memory, half of what is free there at most; None
        where it must fit.
    """

    memory_octets: int = 256 * 10**6
    threads: int = 2
    seconds: float = 60.0
    spill: Path | None = None
