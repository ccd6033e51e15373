"""What nfacctd does when it starts as a daemon: `daemonize` and `pidfile`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import StorageError
from appliance.nfacctd.effective import EffectiveConfig

SUPERVISED_BY = ("NOTIFY_SOCKET", "APPLIANCE_RUN", "APPLIANCE_PARENT")
"""Whoever starts the collector with one of these waits for it itself."""


def goes_to_background(
    config: EffectiveConfig | None, environment: Mapping[str, str] = os.environ
) -> bool:
    """Tell whether the collector is to leave the terminal: as configured, unless supervised."""
    if config is None or not config.flag("daemonize"):
        return False
    return not any(environment.get(name) for name in SUPERVISED_BY)


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
def pidfile(config: EffectiveConfig | None) -> Iterator[None]:
    """Keep the process number where the configuration says, while the body runs.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    path = config.file("pidfile") if config is not None else None
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
        raise StorageError(f"pidfile {path}: {problem}") from error
