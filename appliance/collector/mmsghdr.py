"""Memory layout of the kernel's `struct mmsghdr`, and the C functions that take arrays of them.

Shared by `recvmmsg` and `sendmmsg`: one array of headers, each pointing at its own iovecs, built
once and used for every call. Layouts follow the platform's pointer size; see recvmmsg(2) and
recvmsg(2).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

CFunction = Callable[..., int]

MESSAGES_PER_CALL = 1024
"""UIO_MAXIOV: the kernel takes no more messages in one call."""

IOVEC = np.dtype([("base", np.uintp), ("length", np.uintp)], align=True)

_MSGHDR = np.dtype(
    [
        ("name", np.uintp),
        ("name_length", np.uint32),
        ("iovecs", np.uintp),
        ("n_iovecs", np.uintp),
        ("control", np.uintp),
        ("control_length", np.uintp),
        ("flags", np.int32),
    ],
    align=True,
)

MMSGHDR = np.dtype([("header", _MSGHDR), ("length", np.uint32)], align=True)


def c_function(name: str, *argument_types: Any) -> CFunction | None:
    """Look up a function of the C library; None where the platform lacks it."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError):
        return None
    function.argtypes = list(argument_types)
    function.restype = ctypes.c_int
    found: CFunction = function
    return found


def address_of(array: NDArray[Any], row: int = 0) -> int:
    """Return the memory address of a row."""
    return int(array.ctypes.data) + row * array.strides[0]


def message_headers(iovecs: NDArray[Any]) -> NDArray[Any]:
    """Build one header for each row of an iovec array of shape (n, iovecs a message)."""
    n, n_iovecs = iovecs.shape
    headers = np.zeros(n, MMSGHDR)
    first = address_of(iovecs)
    headers["header"]["iovecs"] = first + np.arange(n, dtype=np.uintp) * iovecs.strides[0]
    headers["header"]["n_iovecs"] = n_iovecs
    return headers
