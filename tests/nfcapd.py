"""nfdump's collector, as tests run it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def nfcapd(folder: Path, port: int) -> Iterator[None]:
    """Run nfcapd, which writes what it receives into a folder."""
    process = subprocess.Popen(
        ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", str(folder), "-t", "3600"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_port(port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_port(port: int) -> None:
    """Wait until somebody listens: until then the kernel says that nobody does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        for _ in range(200):
            try:
                probe.send(b"")
                time.sleep(0.02)
                probe.send(b"")
            except ConnectionRefusedError:
                continue
            return
    raise AssertionError(f"nobody listens on {port}")
