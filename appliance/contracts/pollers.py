"""What asks exporters something on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.contracts.queries import ExporterRecord


@dataclass(slots=True)
class PollReport:
    """What one round of a poller met.

    Attributes
    ----------
    answered
        How many exporters answered.
    silent
        Addresses of those that were asked and gave no usable answer.
    warnings
        Sentences for the log.
    """

    answered: int = 0
    silent: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Poller(Protocol):
    """Asks exporters something on a schedule.

    Attributes
    ----------
    name
        For people, in the log and in `/api/v1/health`.
    interval_seconds
        From the start of one round to the start of the next.
    """

    @property
    def name(self) -> str:
        """What is asked for."""
        ...

    @property
    def interval_seconds(self) -> float:
        """From the start of one round to the start of the next."""
        ...

    def poll(self, exporters: Sequence[ExporterRecord], now: float) -> PollReport:
        """Ask every exporter once, and keep what they answer.

        Raises
        ------
        StorageError
            It cannot be kept; the next round tries again.
        """
        ...
