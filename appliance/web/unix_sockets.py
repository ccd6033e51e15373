"""UNIX sockets for a proxy on this machine: how they are bound, and what the proxy is believed.

Who may connect is decided by the file's mode (0660) and its folder, so a request that comes this
way is the proxy's. It tells the client by the last entry of `X-Forwarded-For`, which it appends
itself, and the scheme by `X-Forwarded-Proto`, which it sets. Earlier entries and other forwarding
headers are what the client sent; they stay, so that nothing takes such a request for a local one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.web.access_log import WsgiApplication

_UMASK = 0o117
_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
_FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO"


def bind_unix(sock: socket.socket, path: Path) -> None:
    """Bind a socket to a path; what a dead program left there is replaced.

    Raises
    ------
    OSError
        Another program listens there, or the file cannot be made.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            if _is_answered(path):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            path.unlink()
    before = os.umask(_UMASK)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)


def behind_proxy(application: WsgiApplication) -> WsgiApplication:
    """Wrap the application so that it sees the proxy's client in place of the proxy."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        believe(environ)
        return application(environ, start_response)

    return wrapped


def believe(environ: dict[str, Any]) -> None:
    """Put the proxy's client and scheme in their places.

    A request without a valid client's address comes from a program that is not the proxy: it stays
    one from nowhere, which is not this machine.
    """
    earlier, _, client = environ.pop(_FORWARDED_FOR, "").rpartition(",")
    if earlier.strip():
        environ[_FORWARDED_FOR] = earlier.strip()
    environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = _address(client)
    if environ.pop(_FORWARDED_PROTO, "") == "https":
        environ["wsgi.url_scheme"] = "https"


def _address(text: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(text.strip()))
    return "unknown"


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
