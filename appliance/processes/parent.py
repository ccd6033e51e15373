"""How a child process knows that the process that started it is gone.

The parent writes its number into the child's environment: a child that looked at its parent itself
could look too late, when a parent that was killed has already been replaced.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping

VARIABLE = "APPLIANCE_PARENT"
RUN_VARIABLE = "APPLIANCE_RUN"
"""The process of `appliance run`: what is started under it ends with it, whoever started it."""

_NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def environment_of_child() -> dict[str, str]:
    """Return the environment in which to start a child of this process."""
    own = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}
    return {**own, VARIABLE: str(os.getpid())}


def parent_watch(environment: Mapping[str, str] = os.environ) -> Callable[[], bool]:
    """Return what tells whether the parent is still there.

    A process that was not started as a child, by a person for instance, watches whoever started it.
    """
    told = environment.get(VARIABLE, "")
    parent = int(told) if told.isdigit() else os.getppid()
    return lambda: os.getppid() == parent


def find_run(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the process of the `appliance run` under which this one is; None under none."""
    told = environment.get(RUN_VARIABLE, "")
    return int(told) if told.isdigit() else None


def run_watch(environment: Mapping[str, str] = os.environ) -> Callable[[], bool]:
    """Return what tells whether the `appliance run` is still there under which this process is.

    A process that is not under one is told that it is.
    """
    told = find_run(environment)
    if told is None:
        return lambda: True
    try:
        descriptor = os.pidfd_open(told)
    except OSError:
        return lambda: False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: not poll.poll(0)
