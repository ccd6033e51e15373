"""Sessions in the appliance database; see `appliance.contracts.AccountStore`."""

from __future__ import annotations

from typing import Any

from appliance.contracts import Session
from appliance.plugins.sql_accounts.account_writer import AccountWriter

MOST_SESSIONS = 1000
"""Sessions of one user; beyond, the oldest end. A program may sign in for each request."""

SESSION_FIELDS = ("id", "account", "created", "used", "expires", "address", "user_agent")
_CUTS = {"address": 45, "user_agent": 200}


class Sessions(AccountWriter):
    """Sign-ins of users."""

    def create_session(self, session: Session) -> None:
        """Keep a session, and drop those that are over."""
        kept = self.models.session
        values: dict[str, Any] = {name: getattr(session, name) for name in SESSION_FIELDS}
        values |= {name: values[name][:length] for name, length in _CUTS.items()}
        with self.writing():
            kept.delete().where(kept.expires <= session.created).execute()
            kept.insert(**values).execute()
            newest = self._newest(session.account).offset(MOST_SESSIONS).limit(MOST_SESSIONS)
            if beyond := [row.id for row in newest]:
                kept.delete().where(kept.id.in_(beyond)).execute()

    def sessions(self, user_id: int, now: float) -> list[Session]:
        """Return the sessions of a user that are not over, the newest first."""
        with self.database.transaction():
            rows = list(self._newest(user_id).where(self.models.session.expires > now))
        return [Session(*(getattr(row, name) for name in SESSION_FIELDS)) for row in rows]

    def use_session(self, session_id: str, now: float, expires: float | None = None) -> bool:
        """Note that a session was used."""
        kept = self.models.session
        values = {"used": now} | ({} if expires is None else {"expires": expires})
        with self.database.transaction(write=True):
            return bool(kept.update(**values).where(kept.id == session_id).execute())

    def end_session(self, user_id: int, session_id: str) -> bool:
        """End a session of a user."""
        kept = self.models.session
        with self.writing():
            own = (kept.account == user_id) & (kept.id == session_id)
            return bool(kept.delete().where(own).execute())

    def _newest(self, user_id: int) -> Any:
        kept = self.models.session
        return kept.select().where(kept.account == user_id).order_by(kept.created.desc(), kept.id)
