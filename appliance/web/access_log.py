"""The access log, a line for each request in the form that web servers write; and log files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from appliance.errors import SettingsError
from appliance.web.streams import is_whole

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_MAX_FIELD = 1000


def opened_log(path: Path, key: str) -> logging.Handler:
    """Open a log file for appending; it is opened anew when logrotate has moved it.

    Raises
    ------
    SettingsError
        It cannot be written.
    """
    try:
        return WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        problem = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        raise SettingsError(problem, key=key) from None


def with_access_log(application: WsgiApplication, handler: logging.Handler) -> WsgiApplication:
    """Wrap an application so that each request leaves a line."""
    logger = logging.Logger("appliance.web.access", logging.INFO)
    logger.addHandler(handler)
    handler.setFormatter(logging.Formatter("%(message)s"))

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        statuses: list[str] = []

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, headers, *rest)

        def write(octets: int) -> None:
            logger.info("%s", access_line(environ, statuses[-1] if statuses else "-", octets))

        body = application(environ, started)
        if not is_whole(body):
            return CountedBody(body, write)
        write(sum(map(len, body)))
        return body

    return wrapped


class CountedBody:
    """An answer that is sent while it is made: its octets are known at its end.

    Parameters
    ----------
    ended
        Told how many were taken, when it is closed.
    """

    def __init__(self, body: Iterable[bytes], ended: Callable[[int], None]) -> None:
        self._body, self._ended, self._octets = body, ended, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._octets += len(piece)
            yield piece

    def close(self) -> None:
        """Let it go."""
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            self._ended(self._octets)


def access_line(environ: Mapping[str, Any], status: str, octets: int) -> str:
    """Return one line: client, time, request, status, octets."""
    moment = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    target = str(environ.get("REQUEST_URI") or environ.get("PATH_INFO", ""))
    words = (environ.get("REQUEST_METHOD"), target, environ.get("SERVER_PROTOCOL"))
    request = " ".join(_safe(str(word)) for word in words)
    client = _safe(str(environ.get("REMOTE_ADDR", "-")))
    return f'{client} - - [{moment}] "{request}" {status[:3]} {octets}'


def _safe(text: str) -> str:
    """Keep a caller's text from looking like another line or field."""
    printable = text[:_MAX_FIELD].encode("unicode_escape").decode("ascii")
    return printable.replace('"', "\\x22")
