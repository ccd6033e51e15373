"""Questions about sums over flows, and what answers them.

All figures are scaled by sampling. Times are whole seconds since 1970, UTC; ranges are half open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

from appliance.flows import AnyArray

Dimension = Literal["total", "protocol", "application", "source", "destination", "port"]
"""What a row of a roll-up is about; its key is "", a protocol number, an application's name, an
address, or "protocol/port"."""

MeasureName = Literal["octets", "packets", "flows"]
MEASURES: tuple[MeasureName, ...] = ("octets", "packets", "flows")

OnMissing = Callable[[Sequence[str]], None]
"""Is told what did not answer, such as the shards of a database: a name each."""


class Direction(IntEnum):
    """Which way a flow went; every flow has one."""

    INGRESS = 0
    EGRESS = 1


class Measure(NamedTuple):
    """Sums over flows."""

    octets: int = 0
    packets: int = 0
    flows: int = 0


class KeyedMeasure(NamedTuple):
    """Sums over the flows of one key."""

    key: str
    octets: int
    packets: int
    flows: int


class InterfaceMeasure(NamedTuple):
    """Sums over the flows that came in (ingress) or went out (egress) by an interface.

    Attributes
    ----------
    exporter
        Its address.
    interface
        The ifIndex.
    """

    exporter: str
    interface: int
    direction: Direction
    octets: int
    packets: int
    flows: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which flows a question is about.

    Attributes
    ----------
    since, until
        Seconds UTC, half open; None: as far as anything is stored. The range begins at the whole
        bin that holds `since` and ends with the one that holds the end; `FlowStore.bin_at` tells
        which these are.
    exporter
        Identifier of an exporter; None: all.
    direction
        None: both.
    on_missing
        Accepts sums that lack the flows of what does not answer, and is told its names. None: a
        store raises StorageError then, as sums must not be too low.
    """

    since: int | None = None
    until: int | None = None
    exporter: int | None = None
    direction: Direction | None = None
    on_missing: OnMissing | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TopAnswer:
    """The largest keys, and what is known of the rest.

    Attributes
    ----------
    rows
        By the measure asked for, descending; never holds the rest as a key.
    other
        Everything that is not in `rows`: rows + other = total.
    error
        By how much each figure of a row can be too low at most, and by how much a key that is not
        there can exceed the last row at most, when keys were written last; zero where all of that
        is known.
    pending
        What `total` counts already and no row can have yet: of the last seconds, until the loader
        writes their keys.
    """

    rows: Sequence[KeyedMeasure]
    other: Measure
    total: Measure
    error: Measure
    pending: Measure = field(default_factory=Measure)


@dataclass(frozen=True, slots=True)
class ExporterRecord:
    """An exporter as the appliance knows it.

    Attributes
    ----------
    created, updated
        Seconds since 1970 with fraction, UTC.
    """

    id: int
    address: str
    name: str
    info: str
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class ColumnSums:
    """Exact sums over all flows received in a range, by columns of the flow log.

    Attributes
    ----------
    since, until
        The range, seconds UTC, half open: the whole bins in the range asked for. Before `oldest`
        there is nothing.
    columns
        By name: the columns grouped by, with 0 where a flow has no value, in their dtypes.
    octets, packets, flows
        int64, shape (n_rows,).
    """

    since: int
    until: int
    oldest: int
    columns: Mapping[str, AnyArray]
    octets: AnyArray
    packets: AnyArray
    flows: AnyArray


class SumsByColumns(Protocol):
    """The method `sums_by_columns` that a store may have beside those of `FlowQueries`."""

    def __call__(self, columns: Set[str], since: int, until: int, /) -> ColumnSums | None:
        """Return the sums by these columns at least, over the whole bins in a range.

        Parameters
        ----------
        columns
            Names of the flow log's columns; none for the sum of everything.
        since, until
            Seconds UTC, half open.

        Returns
        -------
        ColumnSums or None
            None where there are no such sums, or not of every flow in these bins.
        """
        ...


class SumsByInterface(Protocol):
    """The method `sums_by_interface` that a store may have beside those of `FlowQueries`."""

    def __call__(self, since: int, limit: int, /) -> Sequence[InterfaceMeasure]:
        """Return the interfaces with the most octets, over all exporters.

        Parameters
        ----------
        since
            Seconds UTC, the start of a day: all that is stored from then on counts.
        """
        ...


class MissingExporters(Protocol):
    """The method `missing_exporters` that a store may have beside those of `FlowQueries`."""

    def __call__(self) -> Sequence[str]:
        """Return what did not answer when `exporters` was asked last, a name each: exporters that
        only this has seen are not in the list.
        """
        ...


class FlowQueries(Protocol):
    """The read side of a store of flows; called by the API and by commands."""

    def totals(self, selection: Selection) -> Measure:
        """Return the sums of everything selected."""
        ...

    def totals_by_exporter(self, selection: Selection) -> Mapping[int, Measure]:
        """Return the sums for each exporter that sent something in the range."""
        ...

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName = "octets",
        limit: int | None = None,
    ) -> TopAnswer:
        """Return the largest keys of a dimension."""
        ...

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries (seconds UTC, ascending, whole minutes).

        Ranges older than the minutes that are kept need boundaries at whole quarters of an hour.
        """
        ...

    def bin_at(
        self, moment: int, dimension: Dimension = "total", exporter: int | None = None
    ) -> tuple[int, int]:
        """Return start and end of the smallest bin that a range can begin or end with.

        Parameters
        ----------
        moment
            Seconds UTC. Where nothing is stored before it, any range can begin there: the minute.
        """
        ...

    def columns(self) -> Mapping[str, Mapping[str, object]]:
        """Describe the columns of the flow table in use: default, type, length, nullable."""
        ...

    def exporters(self) -> list[ExporterRecord]:
        """Return every exporter that sent a flow record and was not forgotten, by identifier."""
        ...

    def change_exporter(
        self, exporter: int, *, name: str | None = None, info: str | None = None
    ) -> None:
        """Set an exporter's name or info.

        Raises
        ------
        KeyError
            There is no such exporter.
        """
        ...

    def forget_exporter(self, exporter: int) -> None:
        """Forget an exporter and what is stored of it alone; sums over all exporters stay.

        It is gone at once; the loader deletes its sums. When it sends again, it is a new exporter
        under a new identifier.

        Raises
        ------
        KeyError
            There is no such exporter.
        """
        ...

    def health(self) -> Mapping[str, object]:
        """Return what an operator wants to know: cursor, lag, rows, size, schema version."""
        ...
