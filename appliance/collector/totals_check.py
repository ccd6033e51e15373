"""What an exporter says that it has sent, compared with what came of it.

An exporter counts from its own start, the collector from when it first heard the exporter's
figures: both are compared from that moment on. An exporter that starts again, or whose figures go
back, is compared anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.decoding.export_totals import ExportTotals, TotalsReport

_WRAP_BITS = 32
"""Many exporters count with so many bits."""

Numbers = tuple[int, int, int]


@dataclass(slots=True)
class TotalsCheck:
    """The figures of one scope; each triple is octets, messages and flow records.

    Attributes
    ----------
    since_ms, reported_ms
        When it reported figures first and last, milliseconds UTC.
    sent
        What it says that it sent between the two; None where it does not say.
    received
        What came between the two.
    """

    totals: ExportTotals
    since_ms: int
    reported_ms: int
    sent: list[int | None] = field(default_factory=lambda: [None, None, None])
    received: Numbers = (0, 0, 0)
    _arrived: Numbers = (0, 0, 0)

    @classmethod
    def begin(cls, report: TotalsReport, now_ms: int) -> TotalsCheck:
        """Compare from this report on."""
        # The figures count neither what came before them nor the message that carries them.
        octets, messages, records = report.before
        sent: list[int | None] = [None if n is None else 0 for n in report.totals]
        return cls(report.totals, now_ms, now_ms, sent, (0, 0, 0), (-octets, -messages, -records))

    def note(self, report: TotalsReport, now_ms: int) -> bool:
        """Take a later report in; return False when its figures are not those of the same count."""
        steps = [_step(old, new) for old, new in zip(self.totals, report.totals, strict=True)]
        if any(step is not None and step < 0 for step in steps):
            return False
        self.sent = [
            None if step is None else (before or 0) + step
            for before, step in zip(self.sent, steps, strict=True)
        ]
        self.totals, self.reported_ms = report.totals, now_ms
        self.received = _sums(self._arrived, report.before)
        return True

    def arrive(self, octets: int, messages: int, records: int) -> None:
        """Count what came in a block; reports of the same block are noted before."""
        self._arrived = _sums(self._arrived, (octets, messages, records))


def _step(old: int | None, new: int | None) -> int | None:
    """Return by how much a figure grew, over the wrap of 32 bits; negative when it went back."""
    if old is None or new is None:
        return None
    is_wrap = new < old < 1 << _WRAP_BITS and old - new > 1 << (_WRAP_BITS - 1)
    return new - old + (1 << _WRAP_BITS if is_wrap else 0)


def _sums(some: Sequence[int], others: Sequence[int]) -> Numbers:
    octets, messages, records = (a + b for a, b in zip(some, others, strict=True))
    return octets, messages, records
