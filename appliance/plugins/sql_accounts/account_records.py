"""API tokens, failed sign-ins and the audit trail in the appliance database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from appliance.contracts import AccountError, ApiToken, AuditEntry, Problem, Why
from appliance.plugins.sql_accounts.account_writer import AccountWriter
from appliance.sql.lean_peewee import peewee

MOST_ATTEMPT_NAMES = 10_000
"""Names with failed sign-ins that are remembered; beyond, those with the oldest failure go."""

MOST_CLIENTS = 50
"""Clients of one user that are remembered; beyond, those that were not seen for longest go."""

_CUTS = {"who": 100, "address": 45, "action": 200, "detail": 500, "room": 14}


class AccountRecords(AccountWriter):
    """What belongs to accounts beside users and roles."""

    def create_token(self, token: ApiToken, digest: str) -> int:
        """Keep an API token under its digest."""
        kept = self.models.token
        with self.writing():
            if kept.select().where(kept.name == token.name).exists():
                raise AccountError(Problem(Why.TOKEN_NAME_TAKEN))
            return int(
                kept.insert(
                    name=token.name,
                    role=token.role,
                    digest=digest,
                    created=token.created,
                    expires=token.expires,
                    owner=token.owner,
                ).execute()
            )

    def tokens(self) -> list[ApiToken]:
        """Return all API tokens by identifier."""
        with self.database.transaction():
            return [_token(row) for row in self._tokens().order_by(self.models.token.id)]

    def token_of(self, digest: str) -> ApiToken | None:
        """Return the API token with this digest; one query."""
        with self.database.transaction():
            rows = list(self._tokens().where(self.models.token.digest == digest))
        return _token(rows[0]) if rows else None

    def delete_token(self, token_id: int) -> ApiToken:
        """End an API token."""
        kept = self.models.token
        with self.writing():
            rows = list(self._tokens().where(kept.id == token_id))
            if not rows:
                raise AccountError(Problem(Why.NO_TOKEN))
            kept.delete().where(kept.id == token_id).execute()
        return _token(rows[0])

    def knows_client(self, username: str, client: str, since: float) -> bool:
        """Tell whether a user has signed in from a client since a time; one query."""
        account, place = self.models.account, self.models.client
        same = (account.username == username) & (place.client == client) & (place.latest >= since)
        with self.database.transaction():
            query = place.select(place.latest).join(account, on=(account.id == place.account))
            return bool(list(query.where(same).tuples()))

    def remember_client(self, user_id: int, client: str, now: float) -> None:
        """Note that a user has signed in from a client."""
        place = self.models.client
        own = place.account == user_id
        with self.writing():
            place.replace(account=user_id, client=client, latest=now).execute()
            newest = place.select(place.client).where(own).order_by(place.latest.desc())
            beyond = [name for (name,) in newest.offset(MOST_CLIENTS).limit(MOST_CLIENTS).tuples()]
            if beyond:
                place.delete().where(own & place.client.in_(beyond)).execute()

    def attempts_wait(self, names: Iterable[str], now: float, forget_seconds: float) -> float:
        """Return how many seconds are left to wait under some names; one query."""
        with self.database.transaction():
            return _wait_left(self._attempts(names, now, forget_seconds), now)

    def begin_attempts(
        self, waits: Mapping[str, Callable[[int], float]], now: float, forget_seconds: float
    ) -> float:
        """Count an attempt under each name, unless one of them has to wait."""
        attempts = self.models.attempts
        with self.writing():
            known = self._attempts(waits, now, forget_seconds)
            if left := _wait_left(known, now):
                return left
            for name, wait in waits.items():
                failures = (known[name].failures if name in known else 0) + 1
                # Who came at the same moment, a little before by the clock, is not to wait for 0 s.
                blocked_until = now + seconds if (seconds := wait(failures)) else 0.0
                attempts.replace(
                    name=name, failures=failures, latest=now, blocked_until=blocked_until
                ).execute()
            self._bound_attempts()
            return 0.0

    def end_attempts(self, forgiven: Iterable[str], uncounted: Iterable[str]) -> None:
        """Take a successful attempt back."""
        attempts = self.models.attempts
        with self.writing():
            attempts.delete().where(attempts.name.in_(list(forgiven))).execute()
            attempts.update(failures=attempts.failures - 1, blocked_until=0).where(
                attempts.name.in_(list(uncounted)) & (attempts.failures > 0)
            ).execute()

    def record(self, entry: AuditEntry) -> int:
        """Add to the audit trail; overlong texts are cut."""
        texts = {name: getattr(entry, name)[:length] for name, length in _CUTS.items()}
        with self.writing():
            made = self.models.audit.insert(happened=entry.happened, status=entry.status, **texts)
            return int(made.execute())

    def complete(self, audit_id: int, status: int, detail: str) -> None:
        """Say how a recorded act ended."""
        audit = self.models.audit
        with self.writing():
            changed = audit.update(status=status, detail=detail[: _CUTS["detail"]])
            changed.where(audit.id == audit_id).execute()

    def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the newest entries, or the newest of those before one."""
        audit = self.models.audit
        query = audit.select().order_by(audit.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.id < before)
        with self.database.transaction():
            return [
                AuditEntry(r.happened, r.who, r.address, r.action, r.detail, r.status, r.id, r.room)
                for r in query
            ]

    def expire_audit(self, before: float, most: Mapping[str, int]) -> int:
        """Delete entries that are older, and the oldest of each room beyond its number."""
        audit = self.models.audit
        with self.writing():
            deleted = int(audit.delete().where(audit.happened < before).execute())
            for room, number in most.items():
                deleted += self._keep_newest(audit.room == room, number)
        return deleted

    def close(self) -> None:
        """Close the connection of this thread."""
        self.database.close()

    def _tokens(self) -> Any:
        """Return the query of tokens, each with what its owner is bound to."""
        kept, bound = self.models.token, self.models.account_filter
        query = kept.select(kept, bound.bound_to)
        return query.join(bound, peewee.JOIN.LEFT_OUTER, on=(bound.account == kept.owner)).objects()

    def _attempts(self, names: Iterable[str], now: float, forget_seconds: float) -> dict[str, Any]:
        attempts = self.models.attempts
        query = attempts.select().where(attempts.name.in_(list(names)))
        return {row.name: row for row in query if abs(now - row.latest) < forget_seconds}

    def _keep_newest(self, condition: Any, most: int) -> int:
        """Delete the entries of some kind beyond the newest so many."""
        audit = self.models.audit
        newest = audit.select(audit.id).where(condition).order_by(audit.id.desc())
        rows = list(newest.offset(most).limit(1).tuples())
        if not rows:
            return 0
        return int(audit.delete().where(condition & (audit.id <= rows[0][0])).execute())

    def _bound_attempts(self) -> None:
        attempts = self.models.attempts
        beyond = attempts.select().count() - MOST_ATTEMPT_NAMES
        if beyond > 0:
            oldest = attempts.select(attempts.name).order_by(attempts.latest).limit(beyond)
            names = [name for (name,) in oldest.tuples()]
            attempts.delete().where(attempts.name.in_(names)).execute()


def _wait_left(attempts: Mapping[str, Any], now: float) -> float:
    return max([0.0, *(float(row.blocked_until) - now for row in attempts.values())])


def _token(row: object) -> ApiToken:
    fields = ("id", "name", "role", "created", "expires", "owner", "bound_to")
    return ApiToken(*(getattr(row, name) for name in fields))
