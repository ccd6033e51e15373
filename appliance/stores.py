"""What a store of roll-ups answers and how it is filled: where loader, routes and plugins meet.

A store plugin registers a factory for its URL scheme (`register_stores`). The loader process calls
the write side, the API the read side; they are different processes and meet in the database only.
All figures are scaled by sampling. Times are whole seconds since 1970, UTC; ranges are half open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol

from appliance.errors import SettingsError
from appliance.settings import Settings

Dimension = Literal["total", "protocol", "application", "source", "destination", "port"]
"""What a row of a roll-up is about; its key is "", a protocol number, an application's name, an
address, or "protocol/port"."""

MeasureName = Literal["octets", "packets", "flows"]
MEASURES: tuple[MeasureName, ...] = ("octets", "packets", "flows")


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
    """

    since: int | None = None
    until: int | None = None
    exporter: int | None = None
    direction: Direction | None = None


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


@dataclass(slots=True)
class LoadReport:
    """What one step of the loader did.

    Attributes
    ----------
    lag_seconds
        How far the newest loaded record is behind the log's newest; 0 when nothing is left.
    busy
        There is more to do: call again at once.
    """

    rows: int = 0
    lag_seconds: float = 0.0
    busy: bool = False
    warnings: list[str] = field(default_factory=list)


class LogLoader(Protocol):
    """Follows the flow log into something else than the store of roll-ups.

    Attributes
    ----------
    name
        For people, in the log.
    """

    @property
    def name(self) -> str:
        """What is filled."""
        ...

    def load_once(self, now: float) -> LoadReport:
        """Take over what is new; see `FlowStore.load_once`."""
        ...

    def finish(self, now: float) -> list[str]:
        """Write what waits, because the loader process ends; return sentences for its log.

        Raises
        ------
        StorageError
            It cannot be written; the flow log has it.
        """
        ...

    def cursor(self) -> tuple[int, int] | None:
        """Return the position up to which the flow log is not needed; None: not known yet."""
        ...

    def expire(self, now: float) -> int:
        """Delete what is past its time; return the number of rows."""
        ...


class FlowStore(Protocol):
    """A database of roll-ups."""

    # Write side, called by the loader process only.

    def load_once(self, now: float) -> LoadReport:
        """Take over what is new in the flow log, in transactions that hold the cursor as well.

        Raises
        ------
        StorageError
            The database is away; nothing is lost, call again later.
        """
        ...

    def cursor(self) -> tuple[int, int] | None:
        """Return the position in the flow log up to which rows are stored, for its retention."""
        ...

    def expire(self, now: float) -> int:
        """Delete bins past their time and forget exporters that sent next to nothing; return the
        number of rows."""
        ...

    # Read side.

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

    def columns(self) -> Mapping[str, Mapping[str, Any]]:
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

    def health(self) -> Mapping[str, Any]:
        """Return what an operator wants to know: cursor, lag, rows, size, schema version."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


DATABASE_SETTING = "flows.database"


def store_factory(
    factories: Mapping[str, Callable[[str, Settings], FlowStore]], settings: Settings
) -> Callable[[], FlowStore] | None:
    """Return what opens the store that `flows.database` names; None when no plugin has that
    setting.

    Raises
    ------
    SettingsError
        No plugin opens URLs of that scheme.
    """
    if DATABASE_SETTING not in settings:
        return None
    url = str(settings[DATABASE_SETTING])
    scheme = url.partition(":")[0]
    if scheme not in factories:
        known = ", ".join(f"{name}:" for name in factories) or "none, no plugin opens any"
        raise SettingsError(
            f"no plugin opens {scheme}: databases, expected {known}",
            file=settings.file,
            key=DATABASE_SETTING,
        )
    return lambda: factories[scheme](url, settings)
