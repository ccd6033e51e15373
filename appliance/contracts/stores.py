"""What a store of flows is, how it is filled, and what else follows the flow log.

A store plugin registers a factory for its URL scheme (`register_stores`). The loader process calls
the write side, the API the read side; they are different processes and meet in the database only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from appliance.contracts.queries import FlowQueries
from appliance.settings.file import Settings


@dataclass(slots=True)
class LoadReport:
    """What one step of the loader did.

    Attributes
    ----------
    busy
        There is more to do: call again at once.
    """

    rows: int = 0
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


class FlowStore(FlowQueries, Protocol):
    """A database of roll-ups."""

    # The loader process alone calls these.

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

    def close(self) -> None:
        """Close the connection of this thread; those of others go on with theirs."""
        ...


StoreFactory = Callable[[str, Settings], FlowStore]
"""Opens a store of flows: called with its URL and the settings."""
