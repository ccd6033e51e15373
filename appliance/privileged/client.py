"""Asks the privileged helper of an appliance, over its socket, for the few acts that need root.

On a machine that was not set up as an appliance there is no such socket. What the helper can do,
and how it checks its callers, is told where it lives, in the plugin `host`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError

HELPER_SOCKET = Path("/run/netflow-appliance/helper.sock")

ANSWER_SECONDS = 130.0
"""A collector may take long to start; everything else is answered at once."""

_MAX_OCTETS = 65_536


class HelperRefused(ApplianceError):  # noqa: N818 - it says what is the case
    """The helper did not do it.

    Attributes
    ----------
    status
        As of HTTP: 400 the request, 409 the state of the machine, 500 the machine itself, 501
        there is no helper.
    sentence
        Why.
    """

    def __init__(self, status: int, sentence: str) -> None:
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


def has_helper(path: Path = HELPER_SOCKET) -> bool:
    """Tell whether this machine was set up as an appliance."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def ask_helper(request: Mapping[str, str], path: Path = HELPER_SOCKET) -> dict[str, Any]:
    """Let the helper do something and return its answer.

    Raises
    ------
    HelperRefused
        It refused, failed or does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
        except OSError as error:
            raise HelperRefused(500, f"the helper does not answer: {error.strerror}") from None
        return exchange(connection, request)


def exchange(connection: socket.socket, request: Mapping[str, str]) -> dict[str, Any]:
    """Send a request to a helper at the other end and return its answer.

    Raises
    ------
    HelperRefused
        It refused, failed or does not answer.
    """
    octets = b""
    # A helper that refuses at once has hung up before the request is sent; its answer counts.
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(request).encode("ascii") + b"\n")
    try:
        while not octets.endswith(b"\n") and len(octets) < _MAX_OCTETS:
            part = connection.recv(_MAX_OCTETS)
            if not part:
                break
            octets += part
        answer: Any = json.loads(octets)
        done = answer["ok"] is True
        status, error = int(answer.get("status", 500)), str(answer.get("error", "it failed"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise HelperRefused(500, "the helper does not answer") from None
    if not done:
        raise HelperRefused(status, error)
    return dict(answer)
