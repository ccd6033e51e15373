"""Starts the sender in a process of its own, built up before the clock starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.collectors import REPOSITORY

EXTRA_SECONDS = 120.0


class Sender:
    """One `tests.benchmarks.load` that is ready to send."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self._process, self._seconds = process, seconds

    def send(self) -> dict[str, Any]:
        """Send, and return what was sent."""
        out, _ = self._process.communicate("\n", timeout=self._seconds + EXTRA_SECONDS)
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return report


@contextmanager
def sender(
    port: int, protocol: str, rate: float | None, seconds: float, *, tcp: bool = False
) -> Iterator[Sender]:
    """Build the datagrams; the body sends them."""
    command = [sys.executable, "-m", "tests.benchmarks.load", "--to", f"127.0.0.1:{port}"]
    command += ["--protocol", protocol, "--seconds", str(seconds)]
    command += [] if rate is None else ["--rate", str(rate)]
    command += ["--tcp"] if tcp else []
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the sender does not start")
        yield Sender(process, seconds)
    finally:
        process.kill()
        process.communicate()
