"""Loads the library of kernels, if there is one.

The kernels know nothing of Python: setup.py builds them with a compiler alone, without Python's
headers, so one library serves every version of Python.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).with_name("kernels.so")
SWITCH = "APPLIANCE_NATIVE"
"""Environment variable; 0 leaves the library out."""

INTERFACE = 1
"""Of `kernels_interface()`: another number is a library of other sources."""

HASH_SEED = secrets.randbits(64)
"""Of this process: who sends flows cannot choose values that meet in one place of a table."""


def load(path: Path = PATH) -> ctypes.CDLL | None:
    """Load the library; None where it is missing, of other sources, or switched off."""
    if os.environ.get(SWITCH) == "0" or sys.byteorder != "little":
        return None
    try:
        library = ctypes.CDLL(str(path))
        return library if library.kernels_interface() == INTERFACE else None
    except (OSError, AttributeError):
        return None


LIBRARY = load()
IS_AVAILABLE = LIBRARY is not None


def array_of(dtype: Any) -> Any:
    """Return the type of a parameter that takes the address of a contiguous array."""
    return np.ctypeslib.ndpointer(dtype, flags="C_CONTIGUOUS")


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
