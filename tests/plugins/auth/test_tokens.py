from __future__ import annotations

import time

import jwt
import pytest

from appliance.accounts.secret import read_secret, rotate_secret, secret_path
from appliance.contracts import ADMINISTRATOR, USER, ApiToken, UserChange
from appliance.plugins.auth import tokens
from appliance.plugins.auth.tokens import claims_of, role_token, token_of_request
from appliance.web.session_tokens import user_token
from tests.web.appliance import PASSWORD_HASH

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = time.time()
LIFETIME = 36_000
"""Longer than any run of the tests: what is refused is not refused for its age."""
USERS = "/api/v1/admin/user"
APPS = "/api/v1/netflow/getTopApps"


def claims(**changes):
    whole = {
        "role": ADMINISTRATOR,
        "iss": tokens.ISSUER,
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + LIFETIME,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(key: bytes = SECRET, algorithm: str = "HS256", **changes) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def test_token_when_made_then_says_what_was_asked_for():
    assert claims_of(signed(), SECRET) == claims()
    found = claims_of(role_token(SECRET, USER, 60, time.time()), SECRET)
    assert found is not None
    assert (found["role"], found["exp"] - found["iat"]) == (USER, 60)


@pytest.mark.parametrize(
    "token",
    [
        role_token(SECRET, USER, 60, NOW - 3600),
        role_token(b"another secret of 32 octets here", USER, LIFETIME, NOW),
        signed(iss="another"),
        signed(iss=None),
        signed(exp=None),
        signed(iat=None),
        signed(nbf=None),
        signed(nbf=int(NOW) + LIFETIME),
        signed(iat=int(NOW) + LIFETIME),
        signed(exp="soon"),
        jwt.encode(claims(), "", algorithm="none"),
        signed(b"0" * 64, "HS512"),
        signed(role="x" * 4000),
        "",
        "x",
        "a.b.c",
        "é.é.é",
    ],
)
def test_token_when_not_ours_or_not_in_its_time_then_nothing(token):
    assert claims_of(token, SECRET) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"role": None},
        {"role": "Root"},
        {"role": ["Administrator"]},
        {"role": {"Administrator": 1}},
        {"sub": "0"},
        {"sub": "root"},
        {"sub": "²"},
        {"sub": "9" * 30},
        {"sub": "1"},
        {"sub": "1", "stamp": ""},
        {"sub": "1", "stamp": "Ü"},
        {"sub": "1", "sid": "nobody"},
        {"sub": "1", "sid": ["\ud800"]},
    ],
)
def test_token_when_signed_but_naming_nobody_then_401(appliance, changes):
    secret = read_secret(secret_path(appliance.app.settings))
    assert secret is not None
    assert appliance("GET", "/user", token=signed(secret, **changes)).status == 401
    assert appliance("GET", "/user", token=signed(secret)).status == 200


@pytest.mark.parametrize(
    ("environ", "carried"),
    [
        ({}, None),
        ({"HTTP_X_APIAUTH": "Bearer T"}, ("T", False)),
        ({"HTTP_X_APIAUTH": "bearer  T "}, ("T", False)),
        ({"HTTP_AUTHORIZATION": "Bearer T"}, ("T", False)),
        ({"HTTP_AUTHORIZATION": "Basic T"}, None),
        ({"HTTP_COOKIE": "a=b; access_token=T; c=d"}, ("T", True)),
        ({"HTTP_COOKIE": "xaccess_token=T"}, None),
        ({"HTTP_X_APIAUTH": "T"}, None),
        ({"HTTP_AUTHORIZATION": "Basic x", "HTTP_COOKIE": "access_token=T"}, ("T", True)),
        ({"HTTP_X_APIAUTH": "Bearer A", "HTTP_COOKIE": "access_token=B"}, ("A", False)),
    ],
)
def test_request_when_it_carries_a_token_then_found(environ, carried):
    assert token_of_request(environ) == carried


def test_token_when_the_user_is_changed_then_it_counts_at_once(appliance):
    store = appliance.store
    user = store.user_named("user")
    assert user is not None
    token = appliance.token

    def status(path: str) -> int:
        return appliance.client.get(path, token).status

    assert (status(APPS), status(USERS)) == (200, 403)
    store.change_user(user.id, UserChange({}, (ADMINISTRATOR,)), NOW)
    assert status(USERS) == 200
    store.change_user(user.id, UserChange({"username": "renamed"}), NOW)
    assert status(USERS) == 200
    store.change_user(user.id, UserChange({}, (), (ADMINISTRATOR, USER)), NOW)
    assert (status(APPS), status(USERS)) == (200, 403)
    store.change_user(user.id, UserChange({"password_hash": PASSWORD_HASH}), NOW)
    assert (status(APPS), status(USERS)) == (401, 401)


def test_token_when_its_user_is_deleted_then_void_even_for_one_of_that_name(appliance):
    user = appliance.store.user_named("user")
    assert user is not None
    appliance.store.delete_user(user.id)
    appliance.add("user", ADMINISTRATOR)
    assert appliance.client.get(APPS, appliance.token).status == 401


def test_token_when_the_secret_is_another_then_void(appliance):
    rotate_secret(secret_path(appliance.app.settings))
    assert appliance.client.get(APPS, appliance.token).status == 401
    secret_path(appliance.app.settings).unlink()
    assert appliance.client.get(APPS, appliance.token).status == 401
    assert appliance.sign_in("user").status == 200


def test_token_when_it_is_a_program_s_then_opens_until_revoked_or_over(appliance):
    token, digest = tokens.new_api_token()
    kept = ApiToken(0, "machine", USER, NOW, NOW + LIFETIME)
    number = appliance.store.create_token(kept, digest)
    assert appliance.client.get(APPS, token).status == 200
    assert appliance.client.get(USERS, token).status == 403
    assert appliance.client.get(APPS, token + "x").status == 401
    appliance.store.delete_token(number)
    assert appliance.client.get(APPS, token).status == 401
    appliance.store.create_token(ApiToken(0, "over", USER, NOW, NOW - 1), digest)
    assert appliance.client.get(APPS, token).status == 401


def test_token_when_made_twice_at_once_then_different(appliance):
    user = appliance.store.user_named("user")
    assert user is not None
    assert user_token(SECRET, user, "a", NOW) != user_token(SECRET, user, "a", NOW)
