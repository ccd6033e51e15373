"""Figures of the machine, with the keys and units of the published API."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Mapping
from typing import Any

import psutil

_MEGABYTE = 2**20


def system() -> dict[str, Any]:
    """Return what machine this is; `uptime` in seconds."""
    runtime = platform.python_version()
    return {
        "hostname": socket.gethostname(),
        "os": platform.system(),
        "kernel": platform.release(),
        # The published key names another runtime; clients read it.
        "nodeVersion": runtime,
        "pythonVersion": runtime,
        "uptime": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
    }


def cpu_load() -> dict[str, list[float]]:
    """Return the load of one, five and fifteen minutes."""
    return {"cpuLoad": [round(load, 4) for load in os.getloadavg()]}


def storage() -> dict[str, int]:
    """Return the space of `/` in whole MB (2^20 octets).

    Total, used and available are those of `df`. What is not used is free, as documented, though
    some of it (reserved blocks, a quota) may not be had: `availableStorage` is what can be written.
    """
    usage = psutil.disk_usage("/")
    total, used = usage.total // _MEGABYTE, usage.used // _MEGABYTE
    return _sums("Storage", total, total - used) | {"availableStorage": usage.free // _MEGABYTE}


def memory() -> dict[str, int]:
    """Return the memory in octets; free is what programs can have."""
    memory = psutil.virtual_memory()
    return _sums("Memory", memory.total, memory.available)


def everything() -> Mapping[str, Any]:
    """Return all of it."""
    return {**system(), **cpu_load(), **storage(), **memory()}


def _sums(what: str, total: int, free: int) -> dict[str, int]:
    return {f"free{what}": free, f"used{what}": total - free, f"total{what}": total}
