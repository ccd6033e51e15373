"""The privileged helper's requests: octets of a stranger in, one of a few known acts out.

A request is one JSON object on one line, every value text: `{"act": "reboot"}`. The answer is one
JSON object on one line, with `ok` and, when that is false, `status` and `error`.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from appliance.privileged.addressing import PARAMETERS

COLLECTOR_UNIT = "appliance-collector.service"
"""The one unit that the helper starts and stops."""

MAX_OCTETS = 4096
REQUEST_SECONDS = 5.0
ACTS: dict[str, frozenset[str]] = {
    "network_change": frozenset({"interface", "rollback_seconds", *PARAMETERS}),
    "network_confirm": frozenset(),
    "network_status": frozenset(),
    "reboot": frozenset(),
    "power_off": frozenset(),
    "collector_start": frozenset(),
    "collector_stop": frozenset(),
    "collector_forget": frozenset(),
}
"""All that the helper can do, with the values that each act may have."""

_CREDENTIALS = struct.Struct("3i")
"""`struct ucred`: process, user, group."""


class BadRequest(ValueError):  # noqa: N818 - it says what is the case
    """The octets are no request; the text says what is wrong."""


def user_of(connection: socket.socket) -> int:
    """Return the user who is at the other end, as the kernel knows it."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(octets)[1])


def receive_request(connection: socket.socket, seconds: float = REQUEST_SECONDS) -> bytes:
    """Return the first line that comes, without its newline.

    Raises
    ------
    BadRequest
        It is longer than allowed, or did not come in time.
    """
    deadline = time.monotonic() + seconds
    octets = b""
    while b"\n" not in octets:
        left = deadline - time.monotonic()
        if left <= 0:
            raise BadRequest(f"the request did not come within {seconds:g} seconds")
        connection.settimeout(left)
        try:
            part = connection.recv(MAX_OCTETS + 1 - len(octets))
        except TimeoutError:
            continue
        if not part:
            break
        octets += part
        if len(octets) > MAX_OCTETS:
            raise BadRequest(f"the request is longer than {MAX_OCTETS} octets")
    return octets.partition(b"\n")[0]


def parse_request(octets: bytes) -> tuple[str, dict[str, str]]:
    """Return the act and its values.

    Raises
    ------
    BadRequest
        The octets are anything else than a known act with values that it knows.
    """
    try:
        found = json.loads(octets.decode("utf-8"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise BadRequest("the request is not a JSON object") from None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise BadRequest("the request is not a JSON object with text values")
    act = found.pop("act", "")
    if act not in ACTS:
        raise BadRequest("the request asks for no known act")
    if set(found) - ACTS[act]:
        raise BadRequest(f"the request has values that {act} does not know")
    return act, found


def reply(*, status: int = 200, error: str = "", **facts: Any) -> bytes:
    """Return the octets of an answer."""
    body: dict[str, Any] = {"ok": True, **facts}
    if status != 200:
        body = {"ok": False, "status": status}
    if error:
        body["error"] = error
    return json.dumps(body).encode("ascii") + b"\n"


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found
