"""The lower priority of what works beside the collector."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NICENESS = 5


def give_way() -> None:
    """Lower the priority, also of the group that Linux puts each session into (sched(7))."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))
