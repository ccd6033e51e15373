"""Sessions listed and ended: own ones at `/api/v1/account/sessions`, others by administrators."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, SIGNED_IN, AccountStore, Principal, RequestError, Route
from appliance.contracts import Session
from appliance.plugins.auth.api_tokens import moment
from appliance.plugins.auth.own_account import ADMIN_PATH, PATH, TAG, own_user, user_of_path
from appliance.web.audit import AuditEvent
from appliance.web.openapi import Whole, operation

_LEAF = "/sessions"
_EXAMPLE = Whole(
    {
        "id": "4c1f...",
        "created": "2026-01-01T12:00:00Z",
        "last_used": "2026-01-01T12:07:00Z",
        "address": "192.0.2.7",
        "user_agent": "Mozilla/5.0 ...",
        "current": True,
    }
)


def own_sessions(principal: Principal, accounts: AccountStore, now: float) -> dict[str, Any]:
    """Return the sessions of the own account, the newest first."""
    user = own_user(principal, accounts)
    return _sessions_json(accounts.sessions(user.id, now), principal)


def end_own_session(
    session: str, principal: Principal, accounts: AccountStore, event: AuditEvent
) -> dict[str, str]:
    """End a session of the own account, also the one that asks."""
    return _end_session(own_user(principal, accounts).id, session, accounts, event)


def sessions_of(
    user_id: str, principal: Principal, accounts: AccountStore, now: float
) -> dict[str, Any]:
    """Return the sessions of a user, the newest first."""
    user = user_of_path(user_id, accounts)
    return _sessions_json(accounts.sessions(user.id, now), principal)


def end_session_of(
    user_id: str, session: str, accounts: AccountStore, event: AuditEvent
) -> dict[str, str]:
    """End a session of a user at once."""
    user = user_of_path(user_id, accounts)
    event.note(f"user {user.username}")
    return _end_session(user.id, session, accounts, event)


def routes() -> list[Route]:
    """Return the routes of sessions."""
    listed, ended = Whole(sessions=[_EXAMPLE]), Whole(message="The session has ended")
    table = (
        ("GET", PATH, _LEAF, own_sessions, operation("Own sessions", listed, tag=TAG)),
        (
            "DELETE",
            PATH,
            f"{_LEAF}/<session>",
            end_own_session,
            operation("End an own session", ended, tag=TAG),
        ),
        (
            "GET",
            ADMIN_PATH,
            _LEAF,
            sessions_of,
            operation("Sessions of a user", listed, tag="Users"),
        ),
        (
            "DELETE",
            ADMIN_PATH,
            f"{_LEAF}/<session>",
            end_session_of,
            operation("End a session of a user", ended, tag="Users"),
        ),
    )
    return [
        Route(
            method,
            f"{base}{leaf}",
            handler,
            role=SIGNED_IN if base == PATH else ADMINISTRATOR,
            schema=schema,
            open_to_bound_users=base == PATH,
        )
        for method, base, leaf, handler, schema in table
    ]


def _end_session(
    user_id: int, session: str, accounts: AccountStore, event: AuditEvent
) -> dict[str, str]:
    event.note(f"session {session[:32]}")
    if not (session.isascii() and accounts.end_session(user_id, session)):
        raise RequestError(404, "No session found with that ID")
    return {"message": "The session has ended"}


def _sessions_json(sessions: list[Session], principal: Principal) -> dict[str, Any]:
    return {
        "sessions": [
            {
                "id": session.id,
                "created": moment(session.created),
                "last_used": moment(session.used),
                "address": session.address,
                "user_agent": session.user_agent,
                "current": session.id == principal.session,
            }
            for session in sessions
        ]
    }
