"""The audit trail: who changed what, when, from where, and how it ended.

An act is recorded before it is done and completed after: one that switches the machine off leaves
its entry too, and nothing is done that cannot be recorded. Refused attempts are recorded as well,
but only so many a minute, and only so many of them are kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from appliance.accounts import AccountStore, AuditEntry
from appliance.contracts import PUBLIC, Principal, Route
from appliance.errors import StorageError
from appliance.ratelimit import RateLimited
from appliance.web.guard import changes_something

REFUSED_A_MINUTE = 60
"""More are counted; the next that is recorded says how many."""

MOST_ENTRIES, MOST_REFUSED = 1_000_000, 10_000
"""Entries that are kept, of all and of refused attempts: the fewer of these, so that nobody can
crowd out what was done."""

EXPIRE_SECONDS = 3600.0
_SECRET_WORDS = ("password", "secret", "token", "key")
_MOST_VALUE = 60

log = logging.getLogger(__name__)


class Act:
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

    def has_values(self, values: Mapping[str, list[str]]) -> None:
        """Add the values of a body, those of secrets hidden."""
        for name, found in values.items():
            secret = any(word in name.lower() for word in _SECRET_WORDS)
            self._details += [
                f"{name}={'***' if secret else value[:_MOST_VALUE]}" for value in found
            ]

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
        self._minute, self._refused, self._unrecorded = 0, 0, 0
        self._expire_at = 0.0
        self._log = RateLimited(log)

    def begin(self, act: Act, route: Route, environ: Mapping[str, Any]) -> None:
        """Record what is about to be done, where it changes something.

        Raises
        ------
        StorageError
            It cannot be recorded, so it must not be done.
        """
        if route.role != PUBLIC and changes_something(route):
            act.audit_id = self._accounts().record(self._entry(act, environ, None))
            self._expire()

    def end(self, act: Act, route: Route, environ: Mapping[str, Any], status: int) -> None:
        """Record how it ended; a refused attempt as far as there is room."""
        if not changes_something(route) or (route.role == PUBLIC and not act.who):
            return
        try:
            if act.audit_id is not None:
                self._accounts().complete(act.audit_id, status, act.detail)
            elif status < 400 or (status < 500 and self._has_room(act)):
                self._accounts().record(self._entry(act, environ, status))
                self._expire()
        except StorageError as error:
            self._log.warning("the audit trail cannot be written: %s", str(error))

    def _entry(self, act: Act, environ: Mapping[str, Any], status: int | None) -> AuditEntry:
        who = act.principal.name if act.principal is not None else act.who
        action = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
        address = str(environ.get("REMOTE_ADDR", ""))
        return AuditEntry(
            self._clock(), printable(who), address, printable(action), act.detail, status
        )

    def _has_room(self, act: Act) -> bool:
        minute = int(self._clock() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._refused = minute, 0
            if self._refused >= REFUSED_A_MINUTE:
                self._unrecorded += 1
                return False
            self._refused += 1
            if self._unrecorded:
                act.note(f"{self._unrecorded} refused attempts before this are not recorded")
                self._unrecorded = 0
        return True

    def _expire(self) -> None:
        now = self._clock()
        with self._lock:
            if now < self._expire_at:
                return
            self._expire_at = now + EXPIRE_SECONDS
        self._accounts().expire_audit(now - self._retention_seconds, MOST_ENTRIES, MOST_REFUSED)


def printable(text: str) -> str:
    """Write a caller's text so that it is one line of ASCII."""
    return text.encode("unicode_escape").decode("ascii")
