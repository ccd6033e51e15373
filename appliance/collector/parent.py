"""How a child process knows that the process that started it is gone.

The parent writes its number into the child's environment: a child that looked at its parent itself
could look too late, when a parent that was killed has already been replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

VARIABLE = "APPLIANCE_PARENT"


def environment_of_child() -> dict[str, str]:
    """Return the environment in which to start a child of this process."""
    return {**os.environ, VARIABLE: str(os.getpid())}


def parent_watch(environment: Mapping[str, str] = os.environ) -> Callable[[], bool]:
    """Return what tells whether the parent is still there.

    A process that was not started as a child, by a person for instance, watches whoever started it.
    """
    told = environment.get(VARIABLE, "")
    parent = int(told) if told.isdigit() else os.getppid()
    return lambda: os.getppid() == parent
