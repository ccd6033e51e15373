"""What a process tree uses of processor and memory, and what the kernel says of a port."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 1.0


def tree(pid: int) -> list[int]:
    """Return a process and its descendants that are alive."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [pid, *(child.pid for child in children)]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a tree, children that have ended included."""
    ticks = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            # After the name in brackets: state is field 0, utime to cstime are 11 to 14.
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(fields[i]) for i in range(11, 15))
    return ticks / TICKS_PER_SECOND


def memory_octets(pid: int) -> int:
    """Return the proportional set size of a tree: shared pages count once."""
    octets = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    octets += int(line.split()[1]) * 1024
    return octets


@dataclass(frozen=True)
class Port:
    """What the kernel says of a UDP socket."""

    waiting_octets: int
    drops: int
    inode: int


def udp_port(port: int) -> Port | None:
    """Look a bound IPv4 socket up in /proc/net/udp."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].partition(":")[2], 16) == port:
            waiting = int(columns[4].partition(":")[2], 16)
            return Port(waiting, int(columns[12]), int(columns[9]))
    return None


def receive_buffer_octets(port: int) -> int | None:
    """Return the receive buffer as granted, in the measure that programs ask for, with `ss`."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        told = subprocess.run(
            ["ss", "-H", "-uanm", f"sport = :{port}"], capture_output=True, text=True, check=False
        ).stdout
        return int(told.partition(",rb")[2].partition(",")[0]) // 2
    return None


@dataclass
class Memory:
    """Samples of a tree's memory."""

    octets: list[int] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """The largest sample."""
        return max(self.octets, default=0)

    @property
    def growth(self) -> float:
        """Mean of the last third over the mean of the second; flat is 1."""
        third = len(self.octets) // 3
        if not third:
            return 1.0
        middle, last = self.octets[third : 2 * third], self.octets[-third:]
        return (sum(last) / len(last)) / (sum(middle) / len(middle))


@contextmanager
def sampled_memory(pid: int) -> Iterator[Memory]:
    """Take a sample each second while the body runs."""
    memory, done = Memory(), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            memory.octets.append(memory_octets(pid))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def run_and_wait(command: Sequence[str], timeout_seconds: float) -> float:
    """Run a command to its end; return its CPU seconds, children included.

    Raises
    ------
    RuntimeError
        It failed; the text is the end of its standard error.
    """
    before = os.times()
    done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
    after = os.times()
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-2000:])
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


def wait_until_idle(pid: int, timeout_seconds: float) -> None:
    """Wait until a tree uses less than a twentieth of a processor."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(1.0)
        if cpu_seconds(pid) - before < 0.05:
            return
