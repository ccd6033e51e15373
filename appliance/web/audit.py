"""The audit trail: who changed what, when, from where, and how it ended.

An event is recorded before it is done and completed after: one that switches the machine off leaves
its entry too, and nothing is done that cannot be recorded. Refused attempts are recorded as well,
but only so many a minute. Administrators, other users and strangers have a room each, so that
nobody can crowd out what others did.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from appliance.contracts import (
    ADMINISTRATOR,
    ADMINISTRATORS,
    PUBLIC,
    STRANGERS,
    USERS,
    AccountStore,
    AuditEntry,
    Principal,
    Route,
)
from appliance.errors import StorageError
from appliance.ratelimit import RateLimited
from appliance.web.guard import changes_something

REFUSED_A_MINUTE = 60
"""More are counted; the next that is recorded says how many."""

MOST_ENTRIES: Mapping[str, int] = MappingProxyType(
    {ADMINISTRATORS: 1_000_000, USERS: 100_000, STRANGERS: 10_000}
)
"""Entries that are kept in each room."""

EXPIRE_SECONDS, EXPIRE_ENTRIES = 3600.0, 5000
"""Old entries are deleted so often, and after so many new ones."""

_SECRET_WORDS = ("password", "secret", "token", "key", "totp")
_MOST_VALUE = 60

log = logging.getLogger(__name__)


class AuditEvent:
    """What is known of one request that may have to be recorded.

    Attributes
    ----------
    who
        Of a public route's handler: whom the caller says to be; makes it recorded.
    """

    def __init__(self) -> None:
        self.who = ""
        self.principal: Principal | None = None
        self.audit_id: int | None = None
        self._details: list[str] = []

    def note(self, text: str) -> None:
        """Add to what the entry says of what was done; no secrets."""
        self._details.append(text)

    def note_values(self, values: Mapping[str, list[str]]) -> None:
        """Add the values of a body, those of secrets hidden."""
        for name, found in values.items():
            secret = any(word in name.lower() for word in _SECRET_WORDS)
            self._details += [
                f"{name}={'***' if secret else value[:_MOST_VALUE]}" for value in found
            ]

    @property
    def room(self) -> str:
        """Whose event it is, for the trail."""
        if self.principal is None:
            return STRANGERS
        return ADMINISTRATORS if ADMINISTRATOR in self.principal.roles else USERS

    @property
    def detail(self) -> str:
        """What was done, in short."""
        return printable(", ".join(self._details))


class Trail:
    """Records the acts of one web server.

    Parameters
    ----------
    accounts
        Returns where the trail is kept.
    retention_seconds
        How long entries are kept.
    """

    def __init__(
        self,
        accounts: Callable[[], AccountStore],
        clock: Callable[[], float],
        retention_seconds: float,
    ) -> None:
        self._accounts, self._clock = accounts, clock
        self._retention_seconds = retention_seconds
        self._lock = threading.Lock()
        self._minute = 0
        self._refused: Counter[str] = Counter()
        self._unrecorded: Counter[str] = Counter()
        self._expire_at, self._entries = 0.0, 0
        self._log = RateLimited(log)

    def begin(self, event: AuditEvent, route: Route, environ: Mapping[str, Any]) -> None:
        """Record what is about to be done, where it changes something.

        Raises
        ------
        StorageError
            It cannot be recorded, so it must not be done.
        """
        if route.role != PUBLIC and changes_something(route):
            event.audit_id = self._accounts().record(self._entry(event, environ, None))
            self._expire()

    def end(self, event: AuditEvent, route: Route, environ: Mapping[str, Any], status: int) -> None:
        """Record how it ended; a refused attempt as far as there is room."""
        if not changes_something(route) or (route.role == PUBLIC and not event.who):
            return
        try:
            if event.audit_id is not None:
                self._accounts().complete(event.audit_id, status, event.detail)
            elif status < 400 or (status < 500 and self._has_room(event)):
                self._accounts().record(self._entry(event, environ, status))
                self._expire()
        except StorageError as error:
            self._log.warning("the audit trail cannot be written: %s", str(error))

    def _entry(
        self, event: AuditEvent, environ: Mapping[str, Any], status: int | None
    ) -> AuditEntry:
        who = event.principal.name if event.principal is not None else event.who
        action = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
        address = str(environ.get("REMOTE_ADDR", ""))
        return AuditEntry(
            self._clock(),
            printable(who),
            address,
            printable(action),
            event.detail,
            status,
            room=event.room,
        )

    def _has_room(self, event: AuditEvent) -> bool:
        minute, room = int(self._clock() // 60), event.room
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._refused.clear()
            if self._refused[room] >= REFUSED_A_MINUTE:
                self._unrecorded[room] += 1
                return False
            self._refused[room] += 1
            if unrecorded := self._unrecorded.pop(room, 0):
                event.note(f"{unrecorded} refused attempts before this are not recorded")
        return True

    def _expire(self) -> None:
        now = self._clock()
        with self._lock:
            self._entries += 1
            if now < self._expire_at and self._entries < EXPIRE_ENTRIES:
                return
            self._expire_at, self._entries = now + EXPIRE_SECONDS, 0
        self._accounts().expire_audit(now - self._retention_seconds, MOST_ENTRIES)


def printable(text: str) -> str:
    """Write a caller's text so that it is one line of ASCII."""
    return text.encode("unicode_escape").decode("ascii")
