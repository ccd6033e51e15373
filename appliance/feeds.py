"""Flows that another program has stored: what a feed is, which makes roll-ups of its tables.

A feed stands in the place of receiver and decoders: it yields flows bin by bin, the collector
writes them to the flow log together with the position, and everything behind the log is as always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from appliance.flows import AnyArray, FlowBatch

COUNTERS = ("octet_delta_count", "packet_delta_count")
"""What is counted of flows, besides their number."""


@dataclass(frozen=True, slots=True)
class FeedOrder:
    """Which table to read.

    Attributes
    ----------
    url
        Of the database, as in the settings; empty: the tables that the collector
        configuration in force fills.
    table
        Its name.
    """

    url: str = ""
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


def counted_flows(columns: dict[str, AnyArray], flows: AnyArray) -> list[FlowBatch]:
    """Return rows that each stand for several flows as so many flows.

    The first flow of a row has its octets and packets, the further ones have none: sums and
    number are both right.

    Parameters
    ----------
    columns
        Columns of the flow log, one row each.
    flows
        How many each row stands for; it is one for what is less.
    """
    batches = [FlowBatch(len(flows), columns)]
    further = np.maximum(flows, 1) - 1
    if further.any():
        same = {name: values for name, values in columns.items() if name not in COUNTERS}
        repeated = {name: _repeated(values, further) for name, values in same.items()}
        batches.append(FlowBatch(int(further.sum()), repeated))
    return batches


def _repeated(values: AnyArray, times: AnyArray) -> AnyArray:
    """Repeat each value; one that is the same everywhere takes no room."""
    if values.strides == (0,):
        return np.broadcast_to(values[:1], (int(times.sum()),))
    return np.repeat(values, times)
