"""Exporters whose flows a query source has: each gets an identifier when it is first seen there, as
the loader gives one to those that send to this collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from appliance.contracts import Measure, Selection
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS
from appliance.plugins.rollups.exporter_records import Exporters
from appliance.plugins.rollups.source_questions import Address, SourceQuestions

_LOOK_AGAIN_SECONDS = 30.0
_OVERLAP_SECONDS = 3600
"""A collector whose store was away may write what it received long before."""


class SourceExporters:
    """Makes identifiers for exporters that others receive from.

    One that was forgotten gets a new one when it has sent again.

    Attributes
    ----------
    missing
        What did not answer when they were looked for last.
    """

    def __init__(
        self, questions: SourceQuestions, exporters: Exporters, clock: Callable[[], float]
    ) -> None:
        self._questions, self._exporters, self._clock = questions, exporters, clock
        self._lock = threading.Lock()
        self._look_at, self._looked_until = 0.0, 0
        self.missing: tuple[str, ...] = ()

    def refresh(self) -> tuple[str, ...]:
        """Look for exporters that are not known yet, at most every half a minute; return what did
        not answer. While something does not, the next call looks again.

        Raises
        ------
        StorageError
            The source, or the appliance database, is away.
        """
        with self._lock:
            if time.monotonic() < self._look_at:
                return self.missing
            now, missing = self._clock(), dict[str, None]()
            self._look_at = time.monotonic() + _LOOK_AGAIN_SECONDS
            since = max(self._looked_until - _OVERLAP_SECONDS, 0)
            sums = self._sums_since(since, missing)
            numbers = self._exporters.ids(sums, now, make=False)
            identified = zip(sums, numbers, strict=True)
            unknown = [address for address, number in identified if number == ALL_EXPORTERS]
            if unknown:
                forgotten = self._exporters.forgotten()
                newcomers = [
                    address
                    for address in unknown
                    if self._has_sent_since(address, forgotten.get(address), missing)
                ]
                self._exporters.ids(sorted(newcomers), now)
            self.missing = tuple(missing)
            if missing:
                # Those that only this part has seen are looked for as soon as it answers.
                self._look_at = 0.0
            else:
                self._looked_until = int(now)
            return self.missing

    def identified(self, sums: Mapping[Address, Measure]) -> dict[int, Measure]:
        """Return sums by identifier; those of unknown exporters are left out."""
        numbers = self._exporters.ids(sums, self._clock(), make=False)
        pairs = zip(numbers, sums.values(), strict=True)
        return {number: measure for number, measure in sorted(pairs) if number and measure.flows}

    def _sums_since(self, since: int, missing: dict[str, None]) -> dict[Address, Measure]:
        def note(names: Sequence[str]) -> None:
            missing.update(dict.fromkeys(names))

        return self._questions.totals_by_address(Selection(since=since, on_missing=note))

    def _has_sent_since(
        self, address: Address, moment: float | None, missing: dict[str, None]
    ) -> bool:
        if moment is None:
            return True
        next_minute = int(moment) // 60 * 60 + 60
        return address in self._sums_since(next_minute, missing)
