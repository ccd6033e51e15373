"""Alerts as SNMP notifications: syslogMsgNotification of SYSLOG-MSG-MIB (RFC 5676).

That is the standard notification with a severity and a text. Receivers need no MIB of ours.
"""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from appliance.plugins.alerts.trap_addresses import TrapReceiver

_ENGINE_PREFIX = bytes.fromhex("80004fb805")
"""RFC 3411 snmpEngineID: the enterprise of pysnmp, and octets that follow."""

STARTED = time.monotonic()
"""Of this process, for sysUpTime."""


class Notice(NamedTuple):
    """An alert that begins or ends, as text."""

    text: str
    severity: str
    is_over: bool


SendTraps = Callable[[Sequence[Notice]], None]


def trap_sender(receivers: Sequence[TrapReceiver]) -> SendTraps | None:
    """Return a function that sends notices to all receivers; None without any.

    It raises OSError when a name cannot be found. Whether a trap arrives, nobody learns.
    """
    if not receivers:
        return None

    def send(notices: Sequence[Notice]) -> None:
        from appliance.plugins.alerts.trap_messages import send_all

        send_all(receivers, notices)

    return send


def engine_id() -> bytes:
    """Return the snmpEngineID by which receivers know traps of version 3: always the same here."""
    machine = Path("/etc/machine-id")
    known = machine.read_bytes() if machine.is_file() else socket.gethostname().encode()
    return _ENGINE_PREFIX + hashlib.sha256(b"netflow-appliance" + known).digest()[:8]
