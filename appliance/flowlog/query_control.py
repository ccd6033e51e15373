"""Says how far a question is, and cancels it; importable without DuckDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from appliance.errors import QueryCancelledError


class Running(Protocol):
    """What runs and can be stopped, as a connection of DuckDB."""

    def interrupt(self) -> None:
        """Stop it; it may be called again and again, and must not wait."""
        ...

    def query_progress(self) -> float:
        """Return how much is done, 0 to 100; negative where that is not known."""
        ...


class QueryControl:
    """Says how far a question is, and cancels it; for other threads than the one that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._share = 0.0
        self.is_cancelled = False

    @property
    def share(self) -> float:
        """How much of what is to be read has been read, from 0 to 1; never less than before."""
        with self._lock:
            if self._connection is not None:
                self._share = max(self._share, self._connection.query_progress() / 100)
            return min(self._share, 1.0)

    def cancel(self) -> None:
        """Interrupt what runs, and all that begins from now on.

        Once may not suffice, as it may come between two steps: to be called until the question has
        ended.
        """
        with self._lock:
            self.is_cancelled = True
            if self._connection is not None:
                self._connection.interrupt()

    @contextmanager
    def of(self, connection: Any) -> Iterator[None]:
        """Control a connection.

        Raises
        ------
        QueryCancelledError
            The question was cancelled before.
        """
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        # Else it says how far it is after two seconds only.
        connection.execute("SET progress_bar_time = 0")
        with self.watch(connection):
            yield

    @contextmanager
    def watch(self, running: Running) -> Iterator[None]:
        """Control what runs elsewhere, such as on a server.

        Raises
        ------
        QueryCancelledError
            The question was cancelled before.
        """
        with self._lock:
            if self.is_cancelled:
                raise QueryCancelledError("the question was cancelled")
            self._connection = running
        try:
            yield
        finally:
            with self._lock:
                self._connection = None
