"""Commands with a time limit, and helpers that die with the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

IN_VIRTUAL_MACHINE = os.environ.get("APPLIANCE_BOX", "") == "vm"
"""Set by `make test-vm`: the box is a virtual machine, which is many times slower."""

SECONDS = 600.0 if IN_VIRTUAL_MACHINE else 60.0


class Failed(AssertionError):
    """A command ended with another code than 0; the text has all that it said."""


def run(command: Sequence[str | Path], seconds: float = SECONDS, **more: Any) -> str:
    """Run a command and return its output."""
    done = attempt(command, seconds, **more)
    if done.returncode:
        said = f"{done.stdout or ''}{done.stderr or ''}"
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}\n{said}")
    return str(done.stdout or "")


def attempt(
    command: Sequence[str | Path], seconds: float = SECONDS, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    streams = {"capture_output": True, "stdin": subprocess.DEVNULL} | more
    if "input" in streams:
        del streams["stdin"]
    if "stdout" in streams:
        del streams["capture_output"]
    return subprocess.run(command, text=True, timeout=seconds, check=False, **streams)


def started(command: Sequence[str | Path], log: Path, **more: Any) -> subprocess.Popen[bytes]:
    """Start a command that is killed when the thread that started it is gone."""
    with log.open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more,
        )


def stopped(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Stop a process by its number, and wait for its end."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def eventually(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Ask again and again until the answer is true; return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"within {seconds:.0f} s not {what}"
        time.sleep(0.2)
    return found
