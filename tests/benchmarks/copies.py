"""Receives copies of datagrams and counts them: the other collector of a measurement.

    python -m tests.benchmarks.copies PORT

Prints `ready`, and after a line on standard input how many there were, as JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from appliance.collector.receiver import Receiver
from appliance.settings.types import ListenAddress
from tests.benchmarks.collectors import BUFFER_OCTETS, REPOSITORY

IDLE_SECONDS = 1.0


class Copies:
    """The process that counts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def count(self) -> dict[str, int]:
        """Return what came, once nothing comes any more."""
        out, _ = self._process.communicate("\n", timeout=60)
        counts: dict[str, int] = json.loads(out.splitlines()[-1])
        return counts


@contextmanager
def counting(port: int) -> Iterator[Copies]:
    """Start the process; the body sends."""
    command = [sys.executable, "-m", "tests.benchmarks.copies", str(port)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=REPOSITORY, **pipes)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("nobody counts the copies")
        yield Copies(process)
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Count until a line comes and nothing else does any more."""
    receiver = Receiver(
        [ListenAddress("127.0.0.1", int(sys.argv[1]))],
        receive_buffer_octets=BUFFER_OCTETS,
        block_datagrams=4096,
        gather_seconds=0.05,
    )
    receiver.start()
    print("ready", flush=True)
    is_asked = False
    while True:
        block = receiver.receive(IDLE_SECONDS)
        if block is None and is_asked:
            break
        is_asked = is_asked or bool(select.select([sys.stdin], [], [], 0)[0])
    counters = receiver.counters
    receiver.stop_receiving()
    counts = {"datagrams": counters.datagrams, "kernel_drops": counters.kernel_drops}
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
