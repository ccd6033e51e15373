from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.plugins.auth.tokens import role_token
from tests.web.appliance import FORM, JSON, PASSWORD, Appliance, basic

TOTP = "/api/v1/account/totp"
APPS = "/api/v1/netflow/getTopApps"


def own(appliance: Appliance, method: str, token: str | None = None, **values: str) -> Any:
    """Call the route of the own second factor as `user`."""
    token = appliance.token if token is None else token
    return appliance.client(method, TOTP, urlencode(values).encode(), token=token, **FORM)


def code_of(appliance: Appliance, secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(appliance.now()) + 30 * steps)


def turn_on(appliance: Appliance) -> tuple[str, list[str]]:
    """Turn TOTP on for `user`; return secret and recovery codes. No step since is used."""
    appliance.ahead_seconds -= 90
    secret = own(appliance, "POST", password=PASSWORD).json["secret"]
    reply = own(appliance, "PUT", totp=code_of(appliance, secret))
    assert reply.status == 200
    appliance.ahead_seconds += 90
    return secret, reply.json["recovery_codes"]


def sign_in(appliance: Appliance, code: str | None = None, password: str = PASSWORD) -> Any:
    body = b"" if code is None else urlencode({"totp": code}).encode()
    return appliance.client("POST", "/auth", body, **FORM, **basic("user", password))


def test_totp_when_enrolled_and_confirmed_then_sign_in_needs_a_code(appliance):
    assert own(appliance, "GET").json == {"on": False, "recovery_codes": 0}
    made = own(appliance, "POST", password=PASSWORD)
    assert made.status == 201
    assert f"secret={made.json['secret']}" in made.json["uri"]
    assert sign_in(appliance).status == 200, "not confirmed yet"
    wrong = own(appliance, "PUT", totp="000000")
    assert (wrong.status, wrong.json["code"]) == (400, "totp_wrong")
    appliance.ahead_seconds -= 90
    confirmed = own(appliance, "PUT", totp=code_of(appliance, made.json["secret"]))
    assert len(confirmed.json["recovery_codes"]) == 8
    assert own(appliance, "GET").json == {"on": True, "recovery_codes": 8}
    appliance.ahead_seconds += 90

    needed = sign_in(appliance)
    assert (needed.status, needed.json["code"], needed.cookies) == (401, "totp_required", ())
    reply = sign_in(appliance, code_of(appliance, made.json["secret"]))
    assert reply.status == 200
    assert appliance.client.get(APPS, reply.json["token"]).status == 200
    assert appliance.sign_in("root").status == 200, "others have none"


def test_totp_when_enrolled_without_the_password_then_refused_and_nothing_changes(appliance):
    for values in ({}, {"password": "wrong"}):
        reply = own(appliance, "POST", **values)
        assert (reply.status, reply.json["code"]) == (403, "wrong_password")
    assert own(appliance, "PUT", totp="000000").status == 409, "no secret was made"


def test_code_when_sent_as_json_then_taken(appliance):
    secret, _ = turn_on(appliance)
    body = f'{{"totp": "{code_of(appliance, secret)}"}}'.encode()
    assert appliance.client("POST", "/auth", body, **JSON, **basic("user")).status == 200


def test_password_when_wrong_then_nothing_tells_that_there_is_a_second_factor(appliance):
    secret, _ = turn_on(appliance)
    for code in (None, code_of(appliance, secret)):
        reply = sign_in(appliance, code, "wrong")
        assert reply.status == 401
        assert reply.json == {"success": False, "message": "Invalid Username or Password"}
    assert sign_in(appliance, code_of(appliance, secret)).status == 200, "that used no code"


def test_code_when_used_already_then_refused_also_the_one_that_confirmed(appliance):
    secret, _ = turn_on(appliance)
    appliance.ahead_seconds -= 90
    assert sign_in(appliance, code_of(appliance, secret)).json["code"] == "totp_wrong"
    appliance.ahead_seconds += 90
    code = code_of(appliance, secret)
    assert [sign_in(appliance, code).status for _ in range(2)] == [200, 401]
    assert sign_in(appliance, code_of(appliance, secret, -1)).status == 401, "an older one"
    assert sign_in(appliance, code_of(appliance, secret, 1)).status == 200


def test_codes_when_guessed_then_slowed_down_and_the_password_alone_forgives_nothing(appliance):
    secret, _ = turn_on(appliance)
    statuses = []
    for _ in range(6):
        statuses += [sign_in(appliance, "000000").status, sign_in(appliance).status]
    assert statuses[:11] == [401] * 11
    assert statuses[11] == 429
    assert sign_in(appliance, code_of(appliance, secret)).status == 429


def test_password_when_sent_first_and_the_code_then_no_failures_are_left(appliance):
    secret, _ = turn_on(appliance)
    for _ in range(25):
        assert sign_in(appliance).json["code"] == "totp_required"
    assert sign_in(appliance, code_of(appliance, secret)).status == 200


def test_recovery_code_when_the_device_is_lost_then_good_once(appliance):
    _, codes = turn_on(appliance)
    assert [sign_in(appliance, codes[0]).status for _ in range(2)] == [200, 401]
    assert sign_in(appliance, codes[1].upper()).status == 200
    assert own(appliance, "GET").json["recovery_codes"] == 6


def test_totp_when_on_then_neither_renewals_nor_programs_are_asked(appliance):
    turn_on(appliance)
    assert appliance.client("POST", "/auth", token=appliance.token).status == 200
    program = appliance("POST", "/token", "name=grafana").json["token"]
    assert appliance.client.get(APPS, program).status == 200


def test_totp_when_on_then_enrolling_again_needs_it_off_first(appliance):
    turn_on(appliance)
    assert own(appliance, "POST", password=PASSWORD).status == 409
    assert own(appliance, "PUT", totp="123456").status == 409


def test_totp_when_disabled_then_the_own_password_is_needed(appliance):
    turn_on(appliance)
    for password in ("", "wrong"):
        reply = own(appliance, "DELETE", password=password)
        assert (reply.status, reply.json["code"]) == (403, "wrong_password")
    assert own(appliance, "DELETE", password=PASSWORD).json == {"message": "TOTP is off"}
    assert sign_in(appliance).status == 200
    assert own(appliance, "DELETE", password=PASSWORD).status == 404


def test_password_when_guessed_to_disable_totp_then_slowed_down_as_a_sign_in_is(appliance):
    turn_on(appliance)
    statuses = [own(appliance, "DELETE", password="wrong").status for _ in range(8)]
    assert set(statuses) == {403, 429}
    assert statuses[-1] == 429


def test_totp_of_another_when_asked_for_then_by_administrators_only(appliance):
    number = appliance.store.user_named("user").id
    path = f"/account/{number}/totp"
    assert appliance("GET", path).json == {"on": False, "recovery_codes": 0}
    turn_on(appliance)
    assert appliance("GET", path).json == {"on": True, "recovery_codes": 8}
    assert appliance("GET", path, token=appliance.token).status == 403
    assert appliance("GET", "/account/99/totp").status == 404


def test_totp_of_another_when_disabled_then_by_administrators_only(appliance):
    turn_on(appliance)
    number = appliance.store.user_named("user").id
    assert appliance("DELETE", f"/account/{number}/totp", token=appliance.token).status == 403
    assert appliance("DELETE", f"/account/{number}/totp").status == 200
    assert sign_in(appliance).status == 200
    assert appliance("DELETE", f"/account/{number}/totp").status == 404
    for nobody in ("99", "x", "9" * 30):
        assert appliance("DELETE", f"/account/{nobody}/totp").status == 404


def test_routes_when_a_program_calls_them_then_it_has_no_account(appliance):
    secret = read_secret(secret_path(appliance.app.settings))
    token = role_token(secret, "Administrator", 60, appliance.now())
    for method in ("GET", "POST", "PUT", "DELETE"):
        reply = own(appliance, method, token)
        assert (reply.status, "account" in reply.json["message"]) == (403, True)


def test_secrets_when_used_then_not_in_the_audit_trail(appliance):
    secret, codes = turn_on(appliance)
    used = [code_of(appliance, secret), codes[0], "424242"]
    for code in used:
        sign_in(appliance, code)
    own(appliance, "DELETE", password=PASSWORD)
    trail = str(appliance.get("/audit?limit=50"))
    assert "totp=***" in trail
    assert not [text for text in (*used, *codes, secret, PASSWORD) if text in trail]


@pytest.mark.parametrize("body", [b"totp=1&totp=2", b"code=1", b"\xff=\xfe"])
def test_body_when_not_as_expected_then_one_sentence_and_no_token(appliance, body):
    turn_on(appliance)
    reply = appliance.client("POST", "/auth", body, **FORM, **basic("user"))
    assert (reply.status, reply.cookies) == (400, ())


def test_body_when_the_user_has_no_totp_then_not_looked_at_as_ever(appliance):
    reply = appliance.client("POST", "/auth", b"anything", CONTENT_TYPE="x/y", **basic("user"))
    assert reply.status == 200
