"""Bounds what large answers cost: lists that are made at a time, octets that wait to be sent.

Answers are kept in memory until their client has taken them, never in temporary files. One that is
sent while it is made goes only as fast as its client takes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appliance.errors import RequestError
from appliance.web.access_log import WsgiApplication
from appliance.web.streams import is_whole

WHOLE_LISTS = 2
SMALL_OCTETS = 65_536
"""Answers up to this size are always sent: as many as there are connections."""

MOST_OCTETS = 64 * 1024 * 1024
MOST_OCTETS_OF_CLIENT = MOST_OCTETS // 4
"""What waits to be sent, of all clients and of one. Where nothing waits, anything may be sent."""

RETRY_SECONDS = 1
BUSY = "Too many large answers at the same time, try again in a second or ask with limit"

Waiting = Callable[[str], tuple[int, int]]
"""Takes a client's address; returns the octets that wait to be sent, of all and of that client."""


class ListTurns:
    """Lets so many lists without a `limit` be made at a time: each may have any length."""

    def __init__(self, turns: int = WHOLE_LISTS) -> None:
        self._turns = threading.Semaphore(turns)

    @contextmanager
    def turn(self, needed: bool) -> Iterator[None]:
        """Make an answer; takes a turn where one is needed.

        Raises
        ------
        RequestError
            503: none is free; nobody waits for one, as that would take a thread from others.
        """
        if not needed:
            yield
            return
        if not self._turns.acquire(blocking=False):
            raise RequestError(503, BUSY)
        try:
            yield
        finally:
            self._turns.release()


def with_bounded_answers(
    application: WsgiApplication, waiting: Waiting, refuse: WsgiApplication
) -> WsgiApplication:
    """Wrap an application so that a large answer without room becomes what `refuse` answers."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started: list[Any] = []

        def keep(*arguments: Any) -> None:
            started[:] = arguments

        body = application(environ, keep)
        if is_whole(body) and not _has_room(sum(map(len, body)), environ, waiting):
            return refuse(environ, start_response)
        start_response(*started)
        return body

    return wrapped


def _has_room(octets: int, environ: Mapping[str, Any], waiting: Waiting) -> bool:
    if octets <= SMALL_OCTETS:
        return True
    of_all, of_client = waiting(str(environ.get("REMOTE_ADDR", "")))
    return all(
        not before or before + octets <= most
        for before, most in ((of_all, MOST_OCTETS), (of_client, MOST_OCTETS_OF_CLIENT))
    )
