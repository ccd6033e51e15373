"""How long the flow records of a session last: what shows its active timeout.

A flow that goes on longer than the active timeout is told in pieces of that length, so the longest
durations that occur again and again are the timeout, whatever an exporter's settings say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_RECORDS = 100
"""Before so many nothing is said."""

_BINS_PER_OCTAVE, _BINS = 4, 72
"""From a second to three days."""

_USUAL_SHARE = 1000
"""One record of so many is as long, and three at least: a single wrong time shows nothing."""

_LEAST_USUAL = 3
_MOST_RECORDS = 50_000
"""Then the older half of the weight is forgotten, so that a changed timeout is seen."""


class FlowDurations:
    """Counts durations in bins that grow by a fifth, with the longest duration in each."""

    __slots__ = ("_counts", "_longest_ms")

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.uint32)
        self._longest_ms = np.zeros(_BINS, np.int32)

    def add(self, durations_ms: NDArray[np.int64]) -> None:
        """Take the durations of some records, milliseconds, shape (n,)."""
        seconds = np.maximum(durations_ms, 1000) / 1000
        bins = np.minimum(np.log2(seconds) * _BINS_PER_OCTAVE, _BINS - 1).astype(np.intp)
        self._counts += np.bincount(bins, minlength=_BINS).astype(np.uint32)
        np.maximum.at(self._longest_ms, bins, np.clip(durations_ms, 0, 1 << 30).astype(np.int32))
        if self._counts.sum() > _MOST_RECORDS:
            self._counts //= 2
            self._longest_ms[self._counts == 0] = 0

    @property
    def longest_usual_ms(self) -> int | None:
        """The longest duration that is usual, milliseconds; None before there are enough."""
        total = int(self._counts.sum())
        if total < LEAST_RECORDS:
            return None
        as_long = np.cumsum(self._counts[::-1])[::-1]
        usual = np.flatnonzero(as_long >= max(_LEAST_USUAL, total // _USUAL_SHARE))
        return int(self._longest_ms[usual[-1]])
