"""A DuckDB of its own for each question: bounded in memory, threads and time, and cancelled when
nobody wants the answer any more."""

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
    with _spill_folder(limits.spill) as spill:
        yield from _connections(limits, control, spill)


def _connections(
    limits: QueryLimits, control: QueryControl | None, spill: Mapping[str, str]
) -> Iterator[Any]:
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
    try:
        connection.execute(macros())
        controlled = nullcontext() if control is None else control.of(connection)
        with controlled, _timer(connection, limits.seconds):
            yield connection
    except duckdb.Error as error:
        # An interrupt may look like too little memory.
        if control is not None and control.is_cancelled:
            raise QueryCancelledError("the question was cancelled") from error
        if isinstance(error, duckdb.InterruptException):
            raise QueryError(
                f"the question took longer than {limits.seconds:g} s: shorten the time range"
            ) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise QueryError(
                f"the question needs more than {limits.memory_octets} octets of memory: shorten the"
                " time range or ask for fewer rows"
            ) from error
        raise
    finally:
        connection.close()


@contextmanager
def _spill_folder(parent: Path | None) -> Iterator[Mapping[str, str]]:
    """Make a folder for what does not fit into memory, and say so in DuckDB's settings."""
    if parent is None:
        yield {"temp_directory": ""}
        return
    parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder:
        most = shutil.disk_usage(folder).free // 2
        yield {"temp_directory": folder, "max_temp_directory_size": f"{most}B"}


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
