"""How memory comes from the kernel and goes back to it.

Arrays of some hundred kilobytes come and go with each block. glibc maps such memory anew each time
and the kernel clears it page by page, which on virtual machines took a third of the time of
decoding (`python -m tests.benchmarks decode` with and without). Arrays of several megabytes get
huge pages where numpy or Arrow ask for them: two megabytes are cleared for the first octet that is
touched, which was a quarter of the time of sealing (`python -m tests.benchmarks whole`).

Python's search for unreachable cycles looks at each object of each library again and again; objects
from before the work begins are left out of it. It took a twentieth of the time of both processes.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_PR_SET_THP_DISABLE = 41
_LARGEST_REUSED_OCTETS = 32 << 20
_KEPT_OCTETS = 128 << 20
_NEW_OBJECTS = 20_000
"""So many more than were freed start a search among the new ones; Python's default is 700."""


def return_freed_memory() -> None:
    """Give freed arrays back to the kernel, where the C library is glibc; takes milliseconds."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_freed_memory() -> bool:
    """Let freed arrays be used again; returns False where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_REUSED_OCTETS)
        and mallopt(_M_TRIM_THRESHOLD, _KEPT_OCTETS)
    )


def refuse_huge_pages() -> bool:
    """Have this process and its children get pages of the usual size only; prctl(2).

    Returns
    -------
    bool
        Whether the kernel knows how.
    """
    if not sys.platform.startswith("linux"):
        return False
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0


@contextmanager
def few_cycle_searches() -> Iterator[None]:
    """Leave all objects that there are now out of the garbage collector's searches, which become
    rare; for a process that has started, while it works."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        # Libraries print what Python does not free at its end.
        gc.unfreeze()
        gc.set_threshold(*before)
