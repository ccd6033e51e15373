"""A DuckDB of its own for each question: bounded in memory, threads and time, and cancelled when
nobody wants the answer any more.

Opening one takes longer than many an answer. A question of ours leaves it as it was, so the next
with the same limits gets it."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from appliance.errors import QueryCancelledError, QueryError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.macros import macros
from appliance.flowlog.query_control import QueryControl

INTERRUPT_SECONDS = 0.05
MOST_IDLE = 4
_NO_SPILL = {"temp_directory": ""}
RELATIONS = ("journal_rows_0", "journal_rows_1", "sums")
"""What our questions register; an idle connection holds none of their rows."""

_idle: list[tuple[QueryLimits, str, Any]] = []
"""With the limits and the functions of each."""

_idle_lock = threading.Lock()


@contextmanager
def open_connection(
    limits: QueryLimits, control: QueryControl | None = None, *, is_own: bool = True
) -> Iterator[Any]:
    """Open a DuckDB with the limits of a question; it is interrupted when its time is over.

    Parameters
    ----------
    is_own
        Nobody had it before, and nobody gets it afterwards: the question may change it.

    Raises
    ------
    QueryError
        It ran into a limit.
    QueryCancelledError
        It was cancelled.
    """
    functions = macros()
    if is_own or control is not None or limits.spill is not None:
        with _spill_folder(limits.spill) as spill:
            connection = _connect(limits, spill, functions)
            try:
                yield from _questions(connection, limits, control)
            finally:
                connection.close()
        return
    connection = _take_idle(limits, functions) or _connect(limits, _NO_SPILL, functions)
    try:
        yield from _questions(connection, limits, None)
    except BaseException:
        connection.close()
        raise
    _put_idle(limits, functions, connection)


def _take_idle(limits: QueryLimits, functions: str) -> Any:
    with _idle_lock:
        for place, (*of, connection) in enumerate(_idle):
            if of == [limits, functions]:
                del _idle[place]
                return connection
    return None


def _put_idle(limits: QueryLimits, functions: str, connection: Any) -> None:
    for name in RELATIONS:
        connection.unregister(name)
    with _idle_lock:
        _idle.append((limits, functions, connection))
        oldest = _idle.pop(0)[-1] if len(_idle) > MOST_IDLE else None
    if oldest is not None:
        oldest.close()


def _connect(limits: QueryLimits, spill: Mapping[str, str], functions: str) -> Any:
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{limits.memory_octets}B",
            "threads": limits.threads,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **spill,
        },
    )
    connection.execute(functions)
    return connection


def _questions(connection: Any, limits: QueryLimits, control: QueryControl | None) -> Iterator[Any]:
    """Yield a connection for as long as a question may take; say in our words what it ran into."""
    is_late = threading.Event()
    try:
        controlled = nullcontext() if control is None else control.of(connection)
        with controlled, _timer(connection, limits.seconds, is_late):
            yield connection
    except duckdb.Error as error:
        # An interrupt may look like too little memory, or come through Arrow as any error.
        if control is not None and control.is_cancelled:
            raise QueryCancelledError("the question was cancelled") from error
        if is_late.is_set() or isinstance(error, duckdb.InterruptException):
            raise QueryError(
                f"the question took longer than {limits.seconds:g} s: shorten the time range"
            ) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise QueryError(
                f"the question needs more than {limits.memory_octets} octets of memory: shorten the"
                " time range or ask for fewer rows"
            ) from error
        raise


@contextmanager
def _spill_folder(parent: Path | None) -> Iterator[Mapping[str, str]]:
    """Make a folder for what does not fit into memory, and say so in DuckDB's settings."""
    if parent is None:
        yield _NO_SPILL
        return
    parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder:
        most = shutil.disk_usage(folder).free // 2
        yield {"temp_directory": folder, "max_temp_directory_size": f"{most}B"}


@contextmanager
def _timer(connection: Any, seconds: float, is_late: threading.Event) -> Iterator[None]:
    """Interrupt a question when its time is up, again and again: one may come between two steps.

    Parameters
    ----------
    is_late
        Is set before the first.
    """
    if math.isinf(seconds):
        yield
        return
    over = threading.Event()

    def interrupt() -> None:
        pause = seconds
        while not over.wait(pause):
            is_late.set()
            connection.interrupt()
            pause = INTERRUPT_SECONDS

    timer = threading.Thread(target=interrupt, daemon=True)
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.join()
