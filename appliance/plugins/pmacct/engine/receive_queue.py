"""Notices a program that takes nothing from its UDP sockets although datagrams wait there.

`/proc/net/udp` shows what waits in a socket. The queue of a program that receives, however busy, is
shorter for a moment whenever it takes something; that of a stuck one never is: it grows until it is
full and the kernel drops what comes. That holds for loops with system calls, for waits without end
and for stopped programs alike, which `endless_loop` cannot tell from work.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from appliance.plugins.pmacct.engine import endless_loop

_INTERVAL_SECONDS = 0.5
_LEAST_INTERVALS = 10
_LOOKS = 20
"""In a row, at each interval: in an overload the queue is full most of the time, but not always."""

_TABLES = ("udp", "udp6")
_LOCAL, _QUEUES, _INODE = 1, 4, 9
"""Columns of /proc/net/udp (Linux, net/ipv4/udp.c, udp4_format_sock)."""


class ReceiveQueueWatch:
    """Looks now and then at what waits for one process at one UDP port.

    Parameters
    ----------
    port
        Sockets of other ports, such as those it only sends from, may hold something for ever.
    """

    def __init__(self, pid: int, port: int) -> None:
        self._process, self._port = Path(f"/proc/{pid}"), port
        self._octets = 0
        self._looked_at = self._taken_at = float("-inf")
        self._intervals = 0

    def is_stuck(self) -> bool:
        """Tell whether nothing was taken for `ENDLESS_SECONDS`; call it often."""
        now = time.monotonic()
        if now - self._looked_at < _INTERVAL_SECONDS:
            return False
        self._looked_at = now
        if self._takes_something():
            self._taken_at, self._intervals = now, 0
        else:
            self._intervals += 1
        # A caller that was held up itself has seen too little to say so.
        return (
            now - self._taken_at >= endless_loop.ENDLESS_SECONDS
            and self._intervals >= _LEAST_INTERVALS
        )

    def _takes_something(self) -> bool:
        """Look until the queue is empty or shorter than the last time, or often enough."""
        for _ in range(_LOOKS):
            before, self._octets = self._octets, self._waiting_octets()
            if not self._octets or self._octets < before:
                return True
        return False

    def _waiting_octets(self) -> int:
        try:
            return waiting_octets(self._process, self._port)
        except OSError:
            return 0  # It is gone, or belongs to somebody else.


def waiting_octets(process: Path, port: int) -> int:
    """Return what waits in a process's sockets of one port, in octets of the kernel's memory.

    Parameters
    ----------
    process
        Its folder in /proc.

    Raises
    ------
    OSError
        It is gone, or may not be looked at.
    """
    inodes = _socket_inodes(process)
    octets = 0
    for table in _TABLES:
        for row in (process / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
            columns = row.split()
            if columns[_INODE] in inodes and int(columns[_LOCAL].rpartition(":")[2], 16) == port:
                octets += int(columns[_QUEUES].rpartition(":")[2], 16)
    return octets


def _socket_inodes(process: Path) -> set[str]:
    inodes = set()
    for entry in (process / "fd").iterdir():
        # A file that is closed meanwhile is none of its sockets for long.
        with suppress(FileNotFoundError):
            kind, _, number = str(entry.readlink()).partition(":")
            if kind == "socket":
                inodes.add(number.strip("[]"))
    return inodes
