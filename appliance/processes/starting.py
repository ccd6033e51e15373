"""How `appliance` subcommands are started as processes of their own.

A new interpreter imports everything anew: a second of CPU, and memory of its own for the same code.
`appliance run` and the collector therefore start their children the first time as copies of
themselves (fork). Whatever starts later is a new interpreter, with the code that is installed by
then.

A process that is to have threads prepares the copy before these are there, and lets it begin later.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from setproctitle import getproctitle, setproctitle, setthreadtitle

from appliance.known_plugins import installed_plugins

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HARMLESS_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads that come with Arrow: jemalloc takes its locks before a fork and frees them after it."""

# It finds the place of the arguments beside the environment, and later that may be another.
getproctitle()


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return what it ended with, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the same; raise `subprocess.TimeoutExpired`."""
        ...

    def terminate(self) -> None:
        """Ask it to stop."""
        ...

    def kill(self) -> None:
        """Make it stop."""
        ...


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return program and arguments of a subcommand."""
    return [sys.executable, "-m", "appliance", *arguments]


def start_process(command: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start a program in a session of its own, so that signals from a terminal do not reach it.

    Raises
    ------
    OSError
        It cannot be run.
    """
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, env=dict(environment)
    )


def start_copy(arguments: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start a subcommand in a copy of this process where that is safe, else in a new one.

    A copy has none of the other threads, and what they had locked stays locked. It has what plugins
    opened when they were imported; of the built-in ones that is nothing, of others nobody knows.
    """
    copy = prepare_copy(arguments)
    if copy is None:
        return start_process(command_line(arguments), environment)
    copy.begin(environment)
    return copy


def prepare_copy(arguments: Sequence[str]) -> Copy | None:
    """Copy this process for a subcommand that begins later; None where that is not safe.

    The copy ends by itself when this process does before `Copy.begin`.
    """
    if _has_threads() or installed_plugins():
        return None
    return Copy(arguments)


def _has_threads() -> bool:
    """Tell whether there are threads that a copy would miss."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sum(name not in _HARMLESS_THREADS for name in names) > 1


class Copy:
    """A copy of this process, which waits until it is told to begin."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self._exit_code: int | None = None
        _flush_streams()
        _keep_objects_shared()
        reader, self._writer = os.pipe()
        # A signal for the copy waits until it has its own ways to take them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.pid = os.fork()
            if not self.pid:
                _run_as_copy(self._arguments, reader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(reader)

    def begin(self, environment: Mapping[str, str]) -> None:
        """Let it run its subcommand, in an environment of its own."""
        with contextlib.suppress(BrokenPipeError), open(self._writer, "wb") as order:  # it ended
            order.write(json.dumps(dict(environment)).encode())

    def poll(self) -> int | None:
        """Return what it ended with, as `Process`."""
        if self._exit_code is None:
            self._take_end(os.WNOHANG)
        return self._exit_code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, as `Process`."""
        ended = self.poll()
        if ended is None:
            self._await_end(timeout)
            ended = self._take_end(0)
        return ended

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Make it stop."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _take_end(self, options: int) -> int:
        try:
            ended, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            # Where SIGCHLD is ignored, nobody learns it; subprocess says 0, too.
            ended, status = self.pid, 0
        code = os.waitstatus_to_exitcode(status)
        self._exit_code = code if ended else None
        return code

    def _await_end(self, timeout: float | None) -> None:
        descriptor = os.pidfd_open(self.pid)
        try:
            if not select.select([descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._arguments, timeout or 0.0)
        finally:
            os.close(descriptor)


def _keep_objects_shared() -> None:
    """Leave all objects out of searches for garbage, here and in copies: a search writes to each,
    and memory is only shared until then."""
    gc.collect()
    gc.freeze()
    # As libraries print what Python does not free at its end.
    atexit.unregister(gc.unfreeze)
    atexit.register(gc.unfreeze)


def _run_as_copy(arguments: Sequence[str], reader: int) -> NoReturn:
    """Be what a new interpreter would be for a subcommand, and end as it would.

    The frames of the copied process stay where they are: they hold its files, and returning into
    them would run its ends, so the process is left without.
    """
    code = 1
    try:
        _become_new(reader)
        _take_name(arguments)
        with open(reader, "rb") as orders:
            order = orders.read()
        # Without an order, whoever was to give it has ended.
        code = _run(arguments, json.loads(order)) if order else 0
    # An interpreter does the same with what nobody catches.
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _become_new(reader: int) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != reader:
            with contextlib.suppress(OSError):
                os.close(int(name))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    logging.getLogger().handlers.clear()


def _take_name(arguments: Sequence[str]) -> None:
    """Let lists of processes show the subcommand."""
    # Spaces over the rest of the former command line: with zeros there, psutil sees one word.
    former = sum(len(os.fsencode(word)) + 1 for word in sys.orig_argv)
    setproctitle(" ".join(("appliance", *arguments)).ljust(former))
    setthreadtitle("appliance")


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    os.environ.clear()
    os.environ.update(environment)
    from appliance.cli.main import group
    from appliance.cli.options import run_command_line

    try:
        return run_command_line(group, arguments)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        # As an interpreter ends: threads first, then what is registered for the end.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        _flush_streams()


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None is one that was closed before the start
            with contextlib.suppress(OSError):
                stream.flush()
