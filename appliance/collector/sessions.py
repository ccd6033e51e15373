"""The sessions of one address, and which of them may lend what it told to another.

Templates and options facts belong to the session that told them (RFC 7011 section 8): two exporters
behind one address differ by their port alone. An exporter that restarts gets another port as well,
and may take long to announce itself again; what is known of its old session then serves the new
one. The two cases look alike at first. They are told apart by silence: a session lends only
when it sent nothing for a while, and nothing since the other one was first heard. The while is
short where the borrower repeated the lender's templates word for word: what it has not repeated yet
will be the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from appliance.collector.flow_durations import FlowDurations

SILENCE_MS = 300_000
"""A session that lends sent nothing for so long: most exporters send something every minute."""

TWIN_SILENCE_MS = 10_000
"""The same of one whose templates the borrower has repeated."""

MAX_OFFERS = 16
"""Sessions of one address that are considered as lenders: those that told something last."""

_RATE_SECONDS = 60.0
_RATE_EVERY_MS = 1000

T = TypeVar("T")
Names = dict[tuple[str, int], tuple[str, str]]


@dataclass(slots=True)
class SessionState:
    """What is known of one session beside its templates, sampling and sequence numbers.

    Attributes
    ----------
    first_ms, last_ms
        When it was heard first and last, milliseconds UTC.
    version
        Of its last message.
    names
        By kind and number: name and description of an application or interface.
    counts
        What happened since the collector started, by fixed words.
    restart_ms
        When it last started again, milliseconds UTC; 0: not since the collector started.
    clock_skew_ms
        By how much its clock was ahead of ours in its last message.
    sampling_rate
        Of one of its last flows; 0: not known.
    durations
        How long its flows last; None before the first.
    is_over
        Whether it was a connection that has ended.
    restored_ms
        When it was read from a file; silence before that is not known.
    flows_per_second
        Over about the last minute.
    """

    first_ms: int
    last_ms: int
    version: int = 0
    names: Names = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    restart_ms: int = 0
    clock_skew_ms: int = 0
    sampling_rate: float = 0.0
    durations: FlowDurations | None = None
    is_over: bool = False
    restored_ms: int = 0
    flows_per_second: float = 0.0
    _rated_ms: int = 0
    _rated_records: int = 0

    def rate(self, now_ms: int) -> float:
        """Bring `flows_per_second` up to now and return it."""
        elapsed = (now_ms - self._rated_ms) / 1000
        if elapsed * 1000 < _RATE_EVERY_MS:
            return self.flows_per_second
        records = self.counts["records"]
        if self._rated_ms:
            recent = (records - self._rated_records) / elapsed
            share = 1 - math.exp(-elapsed / _RATE_SECONDS)
            self.flows_per_second += share * (recent - self.flows_per_second)
        else:
            # Nothing to compare with yet: the time since it was first heard counts.
            self.flows_per_second = records / max((now_ms - self.first_ms) / 1000, _RATE_SECONDS)
        self._rated_ms, self._rated_records = now_ms, records
        return self.flows_per_second


@dataclass(frozen=True, slots=True)
class Offer(Generic[T]):
    """What a session told, and when it was heard first and last (milliseconds UTC).

    Attributes
    ----------
    silent_ms
        Since when it is known to be silent.
    repeated
        Whether the borrower announced templates, and each as this session had it.
    """

    value: T
    first_ms: int
    last_ms: int
    silent_ms: int
    repeated: bool = False

    def is_silent(self, since_ms: int, now_ms: int) -> bool:
        """Tell whether it was silent for long enough, and since a moment."""
        silence_ms = TWIN_SILENCE_MS if self.repeated else SILENCE_MS
        return self.last_ms < since_ms and self.silent_ms + silence_ms <= now_ms


def borrow_value(offers: Sequence[Offer[T]], since_ms: int, now_ms: int) -> T | None:
    """Return what other sessions of an address lend to one of it; None when they lend nothing.

    Parameters
    ----------
    offers
        Of the other sessions, the newest first.
    since_ms
        When the borrower was heard first.

    Notes
    -----
    Where sessions told different things, all of them but the lender must have ended before the
    lender began: only sessions that follow each other are those of one exporter.
    """
    lender = next((offer for offer in offers if offer.is_silent(since_ms, now_ms)), None)
    if lender is None:
        return None
    rivals = (o for o in offers if o.value != lender.value and o.last_ms >= lender.first_ms)
    return None if any(True for _ in rivals) else lender.value
