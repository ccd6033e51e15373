"""A DuckDB of its own for each question: bounded in memory, threads and time, and cancelled when
nobody wants the answer any more."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import duckdb

from appliance.errors import QueryCancelledError, QueryError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.macros import MACROS

INTERRUPT_SECONDS = 0.05


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
        with self._lock:
            if self.is_cancelled:
                raise QueryCancelledError("the question was cancelled")
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None


@contextmanager
def open_connection(limits: QueryLimits, control: QueryControl | None = None) -> Iterator[Any]:
    """Open a DuckDB with the limits of a question; it is interrupted when its time is over.

    Raises
    ------
    QueryError
        It ran into a limit.
    QueryCancelledError
        It was cancelled.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{limits.memory_octets}B",
            "threads": limits.threads,
            "temp_directory": "",
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        connection.execute(MACROS)
        controlled = nullcontext() if control is None else control.of(connection)
        with controlled, _timer(connection, limits.seconds):
            yield connection
    except duckdb.InterruptException as error:
        if control is not None and control.is_cancelled:
            raise QueryCancelledError("the question was cancelled") from error
        raise QueryError(
            f"the question took longer than {limits.seconds:g} s: shorten the time range"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(
            f"the question needs more than {limits.memory_octets} octets of memory: shorten the"
            " time range or ask for fewer rows"
        ) from error
    finally:
        connection.close()


@contextmanager
def _timer(connection: Any, seconds: float) -> Iterator[None]:
    """Interrupt a question when its time is up, again and again: one may come between two steps."""
    if math.isinf(seconds):
        yield
        return
    over = threading.Event()

    def interrupt() -> None:
        pause = seconds
        while not over.wait(pause):
            connection.interrupt()
            pause = INTERRUPT_SECONDS

    timer = threading.Thread(target=interrupt, daemon=True)
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.join()
