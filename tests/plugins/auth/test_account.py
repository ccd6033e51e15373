from __future__ import annotations

from typing import Any

import pytest

from appliance.contracts import ADMINISTRATOR, USER, UserChange
from tests.web.appliance import JSON, PASSWORD, PASSWORD_HASH, Appliance

ACCOUNT = "/api/v1/account"
APPS = "/api/v1/netflow/getTopApps"
NEW = "An0ther@paSw0RD"


def change(appliance: Appliance, token: str, password: str = PASSWORD, new: str = NEW) -> Any:
    body = f'{{"password": "{password}", "newPassword": "{new}"}}'.encode()
    return appliance.client("PUT", f"{ACCOUNT}/password", body, token=token, **JSON)


def first_token(appliance: Appliance) -> str:
    """Return a token of an administrator who must change the password."""
    values = {"username": "first", "password_hash": PASSWORD_HASH}
    new = UserChange(values, (ADMINISTRATOR,), must_change_password=True)
    appliance.store.create_user(new, appliance.now())
    return appliance.sign_in("first").json["token"]


def test_account_when_asked_then_name_roles_and_what_is_on(appliance):
    number = appliance.store.user_named("user").id
    assert appliance.client.get(ACCOUNT, appliance.token).json == {
        "username": "user",
        "userId": number,
        "roles": [USER],
        "must_change_password": False,
        "totp": False,
        "filter": None,
    }
    program = appliance("POST", "/token", "name=grafana").json["token"]
    shown = appliance.client.get(ACCOUNT, program).json
    assert (shown["username"], shown["userId"], shown["roles"]) == ("token grafana", None, [USER])


def test_password_when_changed_then_the_old_one_and_all_sessions_end_and_one_begins(appliance):
    elsewhere = appliance.sign_in("user").json["token"]
    reply = change(appliance, appliance.token)
    assert (reply.status, reply.json["message"]) == (200, "Password changed")
    assert reply.cookies[0].startswith(f"access_token={reply.json['token']}; ")
    tokens = (appliance.token, elsewhere, reply.json["token"])
    assert [appliance.client.get(APPS, token).status for token in tokens] == [401, 401, 200]
    assert appliance.sign_in("user").status == 401
    assert appliance.sign_in("user", NEW).status == 200
    trail = str(appliance.get("/audit"))
    assert (PASSWORD in trail, NEW in trail) == (False, False)


@pytest.mark.parametrize(
    ("password", "new", "status", "sentence"),
    [
        ("wrong", NEW, 403, "The password is wrong"),
        ("", NEW, 403, "The password is wrong"),
        (PASSWORD, PASSWORD, 400, "The new password is the old one"),
        (PASSWORD, "short", 400, "Your password must be at least 10 characters long"),
        (PASSWORD, "", 400, "Your password must be at least 10 characters long"),
    ],
)
def test_password_when_it_cannot_be_changed_then_a_sentence_and_it_stays(
    appliance, password, new, status, sentence
):
    reply = change(appliance, appliance.token, password, new)
    assert (reply.status, sentence in reply.json["message"]) == (status, True)
    assert appliance.sign_in("user").status == 200
    assert appliance.client.get(APPS, appliance.token).status == 200


def test_password_when_guessed_with_a_token_then_slowed_down(appliance):
    statuses = [change(appliance, appliance.token, "wrong").status for _ in range(8)]
    assert (set(statuses), statuses[-1]) == ({403, 429}, 429)


def test_first_password_when_not_changed_then_nothing_else_is_answered(appliance):
    token = first_token(appliance)
    routes = [entry.value for entry in appliance.app.routes]
    assert {(r.method, r.path) for r in routes if r.before_password_change} == {
        ("GET", ACCOUNT),
        ("PUT", f"{ACCOUNT}/password"),
    }
    refused = [APPS, "/api/v1/admin/user", f"{ACCOUNT}/sessions", f"{ACCOUNT}/totp"]
    for path in refused:
        reply = appliance.client.get(path, token)
        assert (reply.status, reply.json["code"]) == (403, "password_change_required"), path
    assert appliance.client.get(ACCOUNT, token).json["must_change_password"] is True
    assert appliance.client("POST", "/auth", token=token).status == 200
    assert change(appliance, token, new=PASSWORD).status == 400, "the printed one again"
    changed = change(appliance, token).json["token"]
    assert [appliance.client.get(path, changed).status for path in refused] == [200] * 4
    assert appliance.client.get(ACCOUNT, changed).json["must_change_password"] is False


def test_first_password_when_changed_by_an_administrator_then_enough(appliance):
    first_token(appliance)
    number = appliance.store.user_named("first").id
    assert appliance("PUT", f"/user/{number}", {"firstname": "Ann"}).status == 200
    assert appliance.store.user_named("first").must_change_password
    assert appliance("PUT", f"/user/{number}", {"password": NEW}).status == 200
    token = appliance.sign_in("first", NEW).json["token"]
    assert appliance.client.get(APPS, token).status == 200


def test_first_password_when_not_changed_then_signing_out_is_possible(appliance):
    token = first_token(appliance)
    assert appliance.client("GET", "/signout", token=token).status == 200
    assert appliance.client.get(ACCOUNT, token).status == 401
