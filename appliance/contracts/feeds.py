"""Flows that another program has stored: what a feed is, which makes roll-ups of its tables.

A feed stands in the place of receiver and decoders: it yields flows bin by bin, the collector
writes them to the flow log together with the position, and everything behind the log is as always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from appliance.flows import FlowBatch

COUNTERS = ("octet_delta_count", "packet_delta_count")
"""What is counted of flows, besides their number (`delta_flow_count`)."""


@dataclass(frozen=True, slots=True)
class FeedOrder:
    """Which table to read.

    Attributes
    ----------
    url
        Of the database, as in the settings.
    table
        Its name.
    """

    url: str
    table: str = "acct"


@dataclass(frozen=True, slots=True)
class FeedBin:
    """The flows of one bin.

    Attributes
    ----------
    position
        What to continue behind, for `FlowFeed.bins`.
    start_ms, end_ms
        When it begins and ends, milliseconds UTC; the first is the collection time of its flows.
    """

    position: str
    start_ms: int
    end_ms: int
    batches: list[FlowBatch]


class FlowFeed(Protocol):
    """A table of flows.

    Attributes
    ----------
    source
        What is read, in a word without secrets that never changes.
    """

    @property
    def source(self) -> str:
        """Name the table."""
        ...

    def check(self) -> list[str]:
        """Look at the table; return sentences on what the answers will lack, and why.

        Raises
        ------
        SettingsError
            It cannot be used, whatever comes.
        StorageError
            The database is away.
        """
        ...

    def bins(self, position: str, now: float) -> Iterator[FeedBin]:
        """Yield every bin behind a position that is complete now; in order, each once.

        Raises
        ------
        StorageError
            The database is away; what was yielded stays so.
        """
        ...

    def bin(self, position: str) -> FeedBin | None:
        """Return a bin once more; None when it is gone.

        Raises
        ------
        StorageError
            The database is away.
        """
        ...

    def names(self, now: float) -> FlowBatch | None:
        """Return the applications' names as options records, when there are new ones.

        Raises
        ------
        StorageError
            The database is away.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
