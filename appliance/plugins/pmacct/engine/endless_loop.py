"""Notices a program that only computes: no system call, no wait, for half a minute.

A datagram can send nfacctd 1.7.7 into an endless loop (a template whose records have no octet). It
then looks busy and takes nothing any more. A program that is merely busy receives and writes, which
shows as system time and as voluntary switches.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import psutil

ENDLESS_SECONDS = 30.0
_INTERVAL_SECONDS = 2.0
_COMPUTES, _CALLS = 0.1, 0.01
"""Parts of the time between two looks: more than the first in the program, less in the kernel."""


class Times(NamedTuple):
    """Processor seconds of a process, and how often it waited for something."""

    at: float
    user: float
    system: float
    waits: int


class EndlessLoopWatch:
    """Looks at one process now and then."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._last = self._first = self._times(time.monotonic())

    def is_endless(self) -> bool:
        """Tell whether the process has only computed for `ENDLESS_SECONDS`; call it often."""
        now = time.monotonic()
        if now - self._last.at < _INTERVAL_SECONDS:
            return False
        try:
            times = self._times(now)
        except psutil.Error:
            return False
        if not only_computes(self._last, times):
            self._first = times
        self._last = times
        return times.at - self._first.at >= ENDLESS_SECONDS

    def _times(self, at: float) -> Times:
        cpu = self._process.cpu_times()
        return Times(at, cpu.user, cpu.system, self._process.num_ctx_switches().voluntary)


def only_computes(before: Times, after: Times) -> bool:
    """Tell whether a process neither called the kernel nor waited between two looks."""
    seconds = after.at - before.at
    return (
        after.waits == before.waits
        and after.system - before.system <= _CALLS * seconds
        and after.user - before.user >= _COMPUTES * seconds
    )
