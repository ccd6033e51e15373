"""The collector in the background, and the file with its process number."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import StorageError
from appliance.settings.file import Settings

SUPERVISED_BY = ("NOTIFY_SOCKET", "APPLIANCE_RUN", "APPLIANCE_PARENT")
"""Whoever starts the collector with one of these waits for it itself."""


def goes_to_background(settings: Settings, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the collector is to leave the terminal: as configured, unless supervised."""
    is_supervised = any(environment.get(name) for name in SUPERVISED_BY)
    return bool(settings["collector.background"]) and not is_supervised


def detach() -> Callable[[], None]:
    """Go on in a process of its own; the one that was started ends when that has started.

    Call it before threads, sockets and locks are there.

    Returns
    -------
    callable
        Says that it has started: the starter ends with 0, and the terminal is let go. When the
        process ends before, the starter ends with its exit code.
    """
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        if os.read(reader, 1):
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1)
    os.close(reader)
    os.setsid()

    def started() -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        os.write(writer, b"1")
        os.close(writer)

    return started


@contextmanager
def process_file(path: Path | None) -> Iterator[None]:
    """Keep the process number in a file, where one is named, while the body runs.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    if path is None:
        yield
        return
    _write(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path) -> None:
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise StorageError(f"process file {path}: {problem}") from error
