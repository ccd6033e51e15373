from __future__ import annotations

from typing import Any

import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.contracts import USER
from appliance.errors import StorageError
from appliance.plugins.auth.tokens import claims_of
from appliance.plugins.sql_accounts import sessions as kept_sessions
from appliance.plugins.sql_accounts.accounts import SqlAccounts
from appliance.web.session_tokens import user_token
from tests.web.appliance import PASSWORD, Appliance, made_appliance

SESSIONS = "/api/v1/account/sessions"
APPS = "/api/v1/netflow/getTopApps"


def listed(appliance: Appliance, token: str) -> list[dict[str, Any]]:
    reply = appliance.client.get(SESSIONS, token)
    assert reply.status == 200
    return reply.json["sessions"]


def status(appliance: Appliance, token: str) -> int:
    return appliance.client.get(APPS, token).status


def test_sessions_when_listed_then_where_from_and_which_one_asks(appliance):
    browser = {"HTTP_USER_AGENT": "Mozilla/5.0 \xfc", "REMOTE_ADDR": "192.0.2.7"}
    token = appliance.sign_in("user", **browser).json["token"]
    newest, first = sorted(listed(appliance, token), key=lambda one: not one["current"])
    assert list(newest) == ["id", "created", "last_used", "address", "user_agent", "current"]
    assert (newest["address"], newest["user_agent"]) == ("192.0.2.7", "Mozilla/5.0 \\xfc")
    assert (newest["current"], first["current"]) == (True, False)
    assert newest["id"] not in token
    assert [one["current"] for one in listed(appliance, appliance.admin)] == [True]


def test_session_when_ended_then_its_tokens_are_void_and_others_are_not(appliance):
    token = appliance.sign_in("user").json["token"]
    renewed = appliance.client("POST", "/auth", token=token).json["token"]
    assert len(listed(appliance, appliance.token)) == 2, "renewing is no other session"
    (number,) = (one["id"] for one in listed(appliance, token) if one["current"])
    path = f"{SESSIONS}/{number}"
    assert appliance.client("DELETE", path, token=appliance.admin).status == 404
    assert appliance.client("DELETE", path, token=appliance.token).status == 200
    assert [status(appliance, one) for one in (token, renewed, appliance.token)] == [401, 401, 200]
    assert appliance.client("POST", "/auth", token=renewed).status == 401
    assert appliance.client("DELETE", path, token=appliance.token).status == 404
    assert appliance.client("DELETE", f"{SESSIONS}/\xc3\xbc", token=appliance.token).status == 404


def test_sessions_of_another_when_ended_then_by_administrators_only(appliance):
    number = appliance.store.user_named("user").id
    path = f"/account/{number}/sessions"
    (session,) = appliance.get(path)["sessions"]
    assert session["current"] is False
    for method, end in (("GET", ""), ("DELETE", f"/{session['id']}")):
        assert appliance(method, path + end, token=appliance.token).status == 403
    root = appliance.store.user_named("root").id
    assert appliance("DELETE", f"/account/{root}/sessions/{session['id']}").status == 404
    assert appliance("DELETE", f"{path}/{session['id']}").status == 200
    assert status(appliance, appliance.token) == 401
    assert "user user" in appliance.get("/audit?limit=1")["audit"][0]["detail"]


def test_signout_when_asked_with_a_token_then_a_copy_of_it_is_void(appliance):
    cookie = {"HTTP_COOKIE": f"access_token={appliance.token}"}
    assert appliance.client("GET", "/signout", **cookie).status == 200
    assert status(appliance, appliance.token) == 401


def test_signout_when_the_database_is_away_then_the_browser_forgets_all_the_same(appliance):
    def away():
        raise StorageError("gone")

    appliance.accounts.close()
    appliance.accounts._open = away
    reply = appliance.client("GET", "/signout", HTTP_COOKIE=f"access_token={appliance.token}")
    assert (reply.status, "Max-Age=0" in reply.cookies[0]) == (200, True)


def test_session_when_the_server_is_started_again_then_it_goes_on(appliance, tmp_path):
    appliance.close()
    again = made_appliance(tmp_path / "other", data_directory=str(tmp_path / "var2"))
    again.close()
    assert status(appliance, appliance.token) == 200, "the database is opened anew"


def test_sessions_when_the_password_changes_then_all_end(appliance):
    number = appliance.store.user_named("user").id
    assert appliance("PUT", f"/user/{number}", {"password": PASSWORD + "1"}).status == 200
    assert appliance.get(f"/account/{number}/sessions") == {"sessions": []}
    assert status(appliance, appliance.token) == 401


def test_session_when_its_tokens_are_over_then_not_listed_and_later_gone(appliance):
    number = appliance.store.user_named("user").id
    before = appliance.now()
    appliance.ahead_seconds += 1201
    assert appliance.get(f"/account/{number}/sessions") == {"sessions": []}
    assert len(appliance.store.sessions(number, before)) == 1
    appliance.sign_in("root")
    assert appliance.store.sessions(number, before) == []


def test_session_when_used_then_noted_once_a_minute(appliance):
    number = appliance.store.user_named("user").id
    (session,) = appliance.store.sessions(number, 0)
    appliance.store.use_session(session.id, session.created - 61)
    status(appliance, appliance.token)
    (noted,) = appliance.store.sessions(number, 0)
    assert noted.used >= session.created
    appliance.store.use_session(session.id, noted.used - 30)
    status(appliance, appliance.token)
    assert appliance.store.sessions(number, 0)[0].used == noted.used - 30


def test_session_when_its_use_cannot_be_noted_then_answered_all_the_same(appliance, monkeypatch):
    number = appliance.store.user_named("user").id
    (session,) = appliance.store.sessions(number, 0)
    appliance.store.use_session(session.id, session.created - 61)

    def full(*_):
        raise StorageError("disk full")

    monkeypatch.setattr(SqlAccounts, "use_session", full)
    assert status(appliance, appliance.token) == 200


def test_sessions_when_very_many_then_the_oldest_end(appliance, monkeypatch):
    monkeypatch.setattr(kept_sessions, "MOST_SESSIONS", 3)
    tokens = [appliance.sign_in("user").json["token"] for _ in range(4)]
    assert [status(appliance, token) for token in (appliance.token, *tokens)] == [
        *(401, 401, 200, 200, 200),
    ]
    assert status(appliance, appliance.admin) == 200


@pytest.mark.parametrize("session", ["", "of another"])
def test_token_when_of_no_session_or_another_s_then_void(appliance, session):
    """Also one of the time before there were sessions."""
    secret = read_secret(secret_path(appliance.app.settings))
    user = appliance.store.user_named("user")
    if session:
        session = claims_of(appliance.admin, secret)["sid"]
    token = user_token(secret, user, session, appliance.now())
    assert status(appliance, token) == 401


def test_program_when_it_asks_for_sessions_then_it_has_none(appliance):
    token = appliance("POST", "/token", f"name=x&role={USER}").json["token"]
    assert appliance.client.get(SESSIONS, token).status == 403
