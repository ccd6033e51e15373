"""Lines as messages of syslog: RFC 5424, and its framing for streams, RFC 6587 section 3.4.1."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from datetime import UTC, datetime

LOCAL0, INFORMATIONAL = 16, 6
"""Facility and severity, RFC 5424 section 6.2.1."""

APPLICATION, MESSAGE_ID = "netflow-appliance", "flow"
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_LONGEST_HOSTNAME = 255


def messages(lines: Iterable[bytes], host: str, now: float) -> list[bytes]:
    """Return each line as the message of an own syslog header.

    Parameters
    ----------
    host
        Who sends; empty: the name of this machine.
    now
        Seconds UTC.

    Notes
    -----
    The message is not begun with a BOM (MSG-ANY of RFC 5424 section 6.4): readers of JSON trip
    over it.
    """
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    name = _NOT_PRINTABLE.sub("-", host or socket.gethostname())[:_LONGEST_HOSTNAME] or "-"
    header = f"<{LOCAL0 * 8 + INFORMATIONAL}>1 {time} {name} {APPLICATION} - {MESSAGE_ID} - "
    octets = header.encode()
    return [octets + line for line in lines]


def counted(messages: Iterable[bytes]) -> list[bytes]:
    """Return messages with their length before them, as they go by TCP and TLS."""
    return [b"%d %s" % (len(message), message) for message in messages]
