"""Readiness in systemd's protocol (sd_notify): datagrams of `NAME=value` lines to a UNIX socket.

The collector sends them to whoever started it, `NOTIFY_SOCKET` in its environment: systemd, or the
listener here. Without that variable nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping

VARIABLE = "NOTIFY_SOCKET"
OWN_ADDRESS = "@netflow-appliance-"
"""How addresses of `NotificationListener` begin."""

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"
_MAX_OCTETS = 4096


def notify(*lines: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell the starter, if there is one; return whether it listens."""
    address = environment.get(VARIABLE, "")
    if address[:1] not in ("/", "@"):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), _datagram_socket() as sender:
        sender.sendto("\n".join(lines).encode()[:_MAX_OCTETS], address)
        return True
    return False


def notify_problem(sentence: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell the starter why this process ends; return whether that says it to people.

    Our own listeners do, while they listen; systemd keeps it beside what this process writes. A
    script that a part of the appliance runs inherits the address, but its problem is no part's.
    """
    address = environment.get(VARIABLE, "")
    is_own = address.startswith(OWN_ADDRESS)
    if is_own and not address.startswith(f"{OWN_ADDRESS}{os.getppid()}-"):
        return False
    return notify(status_line(sentence), environment=environment) and is_own


def status_line(text: str) -> str:
    """Return the line that carries a sentence for people."""
    return f"STATUS={' '.join(text.split())}"


class NotificationListener:
    """Hears what a child tells; the socket has a name that only lives as long as it.

    Attributes
    ----------
    address
        For the child's environment.
    ready
        It said that it is ready.
    status
        Its last sentence.
    """

    def __init__(self) -> None:
        self._socket = _datagram_socket()
        self.address = f"{OWN_ADDRESS}{os.getpid()}-{secrets.token_hex(8)}"
        self._socket.bind("\0" + self.address[1:])
        self.ready = False
        self.status = ""

    def hear(self, timeout_seconds: float) -> None:
        """Wait for one message, and take all that are there."""
        self._socket.settimeout(timeout_seconds)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                self._take(self._socket.recv(_MAX_OCTETS).decode(errors="replace"))
                self._socket.settimeout(0)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _take(self, message: str) -> None:
        for line in message.splitlines():
            if line == READY:
                self.ready = True
            elif line.startswith("STATUS="):
                self.status = line.removeprefix("STATUS=")


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
