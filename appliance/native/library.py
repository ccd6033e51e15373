"""Loads the library of kernels, if there is one.

The kernels know nothing of Python: setup.py builds them with a compiler alone, without Python's
headers, so one library serves every version of Python. numpy is imported for the types of
kernels only: `appliance --version` and `appliance check` ask here whether there are any.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("kernels.so")
SWITCH = "APPLIANCE_NATIVE"
"""Environment variable; 0 leaves the library out."""

INTERFACE = 5
"""Of `kernels_interface()`: another number is a library of other sources."""

HASH_SEED = secrets.randbits(64)
"""Of this process: who sends flows cannot choose values that meet in one place of a table."""


def load(path: Path = PATH) -> ctypes.CDLL | None:
    """Load the library; None where it is missing, of other sources, or switched off."""
    library = _library_or_reason(path)
    return None if isinstance(library, str) else library


def why_unavailable(path: Path = PATH) -> str:
    """Say in a few words why the library is not used; empty where it is."""
    reason = _library_or_reason(path)
    return reason if isinstance(reason, str) else ""


def _library_or_reason(path: Path) -> ctypes.CDLL | str:
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}=0"
    if not path.exists():
        return "not built when this was installed, as without a C compiler"
    if sys.byteorder != "little":
        return "they are for little-endian processors"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return f"cannot be loaded: {error}"
    interface = getattr(library, "kernels_interface", None)
    if interface is None or interface() != INTERFACE:
        return f"{path} is of other sources, install again"
    return library


LIBRARY = load()
IS_AVAILABLE = LIBRARY is not None


def array_of(dtype: Any) -> Any:
    """Return the type of a parameter that takes the address of a contiguous array."""
    import numpy as np

    return np.ctypeslib.ndpointer(dtype, flags="C_CONTIGUOUS")


def with_strides(columns: Iterable[Any]) -> list[Any]:
    """Return each column, one number for each row or one of all, and its stride for a kernel: 1, or
    0 for one of all."""
    import numpy as np

    parts: list[Any] = []
    for column in columns:
        is_one = column.strides in ((), (0,))
        parts += [
            np.ascontiguousarray(column.reshape(-1)[:1] if is_one else column),
            int(not is_one),
        ]
    return parts


def kernel(name: str, result: Any, *parameters: Any) -> Any:
    """Return a function of the library, which lets other threads run meanwhile.

    Parameters
    ----------
    name
        In C.
    result, parameters
        Types of ctypes, or what `array_of` returns. Without a library calling it fails: callers
        ask `IS_AVAILABLE` first.
    """
    if LIBRARY is None:
        return None
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, parameters
    return function
