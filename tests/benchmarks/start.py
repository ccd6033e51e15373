"""What a start takes: the help text, a question to an empty flow log, and the whole appliance."""

from __future__ import annotations

import contextlib
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import memory_octets, run_and_wait, udp_port
from tests.collector.running import RunningCollector

TURNS = 5
REST_SECONDS = 10.0
"""So long after its start the appliance has nothing left to do."""

_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.01


def start(folder: Path) -> dict[str, Any]:
    """Return CPU seconds of commands, seconds from `appliance run` to a bound collector and to an
    open API, and its proportional memory without traffic; medians of several turns, of which the
    first is left out: it compiles and reads what the others find.
    """
    turns = [_turn(folder / str(number)) for number in range(TURNS + 1)][1:]
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def _turn(folder: Path) -> dict[str, float]:
    configured = RunningCollector(folder, command="run")
    appliance = [sys.executable, "-m", "appliance", "-confPath", f"{configured.conf}/"]
    return {
        "help_cpu_seconds": run_and_wait([*appliance, "--help"], _PATIENCE_SECONDS),
        **_run([*appliance, "run"], configured.port, configured.api_port),
        "top_cpu_seconds": run_and_wait([*appliance, "top"], _PATIENCE_SECONDS),
    }


def _run(command: list[str], port: int, api: int) -> dict[str, float]:
    began = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        collector = _seconds_until(lambda: udp_port(port) is not None, began)
        opened = _seconds_until(lambda: _answers(api), began)
        time.sleep(REST_SECONDS)
        return {
            "collector_seconds": collector,
            "api_seconds": opened,
            "memory_octets": memory_octets(running.pid),
        }
    finally:
        running.send_signal(signal.SIGINT)
        running.wait()


def _seconds_until(is_so: Callable[[], bool], began: float) -> float:
    while not is_so():
        if time.monotonic() - began > _PATIENCE_SECONDS:
            raise TimeoutError("the appliance does not start")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
