from __future__ import annotations

import base64
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from appliance.accounts.passwords import cost_of, hash_password
from appliance.contracts import USER
from appliance.plugins.auth import password_checks
from tests.web.appliance import PASSWORD, basic, made_appliance

WRONG = {"success": False, "message": "Invalid Username or Password"}
NO_TOKEN = {"success": False, "message": "No valid token provided"}
APPS = "/api/v1/netflow/getTopApps"
TLS = {"wsgi.url_scheme": "https"}


def test_credentials_when_right_then_a_token_for_twenty_minutes_and_the_cookie(appliance):
    reply = appliance.sign_in("user")
    assert reply.status == 200
    assert list(reply.json) == ["success", "message", "token"]
    assert reply.json["success"] is True
    token = reply.json["token"]
    life = jwt.decode(token, options={"verify_signature": False})
    assert life["exp"] - life["iat"] == 1200
    ends = "Max-Age=1200; Path=/; HttpOnly; SameSite=Strict"
    access, device = reply.cookies
    assert access == f"access_token={token}; {ends}"
    assert device.endswith("Max-Age=15552000; Path=/auth; HttpOnly; SameSite=Strict")
    assert appliance.client.get(APPS, token).status == 200
    assert appliance.client("GET", APPS, HTTP_COOKIE=f"access_token={token}").status == 200
    secure = appliance.sign_in("user", **TLS)
    assert [cookie.endswith("; Secure") for cookie in secure.cookies] == [True, True]
    assert secure.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in reply.headers


@pytest.mark.parametrize(
    "header",
    [
        *(f"Basic {base64.b64encode(text).decode()}" for text in (
            b"user:wrong", b"nobody:" + PASSWORD.encode(), b"user", b"", b":", b"user:\xff\xfe",
            b"User:" + PASSWORD.encode(), b"user:" + b"x" * 5000, b"user:" + PASSWORD.encode() * 9,
        )),
        "Basic",
        "Basic !!!",
        "Digest x",
        "",
    ],
)  # fmt: skip
def test_credentials_when_wrong_then_the_documented_message(appliance, header):
    reply = appliance.client("POST", "/auth", HTTP_AUTHORIZATION=header)
    assert (reply.status, reply.json) == (401, WRONG)
    assert reply.cookies == ()


def test_token_when_sent_without_credentials_then_renewed(appliance):
    renewed = appliance.client("POST", "/auth", token=appliance.token)
    assert renewed.status == 200
    assert appliance.client.get(APPS, renewed.json["token"]).status == 200
    cookie = {"HTTP_COOKIE": f"access_token={appliance.token}"}
    assert appliance.client("POST", "/auth", **cookie).status == 200
    reply = appliance.client("POST", "/auth", token="nonsense")
    assert (reply.status, reply.json) == (401, NO_TOKEN)
    made = appliance("POST", "/token", "name=machine")
    assert appliance.client("POST", "/auth", token=made.json["token"]).status == 401


def test_signing_in_and_out_when_another_site_asks_then_refused(appliance):
    foreign = {"HTTP_SEC_FETCH_SITE": "cross-site"}
    assert appliance.sign_in("user", **foreign).status == 403
    assert appliance.client("GET", "/signout", **foreign).status == 403
    cookie = {"HTTP_COOKIE": f"access_token={appliance.token}"}
    assert appliance.client("POST", "/auth", **cookie, **foreign).status == 403


def test_signout_when_asked_then_the_cookie_is_gone(appliance):
    reply = appliance.client("GET", "/signout")
    assert (reply.status, reply.json["success"]) == (200, True)
    cookie = "access_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
    assert reply.cookies == (cookie,)
    assert appliance.client("HEAD", "/signout").status == 405


def attempts(appliance, times: int, username: str = "user", **environ) -> list[int]:
    return [appliance.sign_in(username, "wrong", **environ).status for _ in range(times)]


def test_guesses_when_many_on_one_account_then_slowed_down_from_everywhere(appliance):
    there = {"REMOTE_ADDR": "198.51.100.76"}
    assert attempts(appliance, 7, **there) == [401] * 6 + [429]
    reply = appliance.sign_in("user", REMOTE_ADDR="198.51.100.77")
    assert (reply.status, list(reply.json)) == (429, ["success", "message"])
    assert reply.headers["retry-after"] == "1"
    assert appliance.sign_in("root").status == 200
    appliance.ahead_seconds += 1.1
    assert appliance.sign_in("user", **there).status == 200
    assert attempts(appliance, 6, **there) == [401] * 6, "a success begins anew"


def test_guesses_when_many_more_then_the_wait_doubles_up_to_a_minute(appliance):
    waits = []
    for _ in range(14):
        if appliance.sign_in("user", "wrong").status == 429:
            reply = appliance.sign_in("user", "wrong")
            waits.append(int(reply.headers["retry-after"]))
            appliance.ahead_seconds += waits[-1]
            assert appliance.sign_in("user", "wrong").status == 401
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_guesses_when_on_many_accounts_then_the_client_is_slowed_down(appliance):
    here, there = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}
    found = [attempts(appliance, 1, f"nobody{i}", **here)[0] for i in range(22)]
    assert found == [401] * 21 + [429]
    assert appliance.sign_in("user", **here).status == 429
    assert appliance.sign_in("user", **there).status == 200


def test_guesses_when_from_one_ipv6_network_then_counted_together(appliance):
    one = [{"REMOTE_ADDR": f"2001:db8:0:1::{n}"} for n in range(21)]
    assert [attempts(appliance, 1, f"x{n}", **at)[0] for n, at in enumerate(one)] == [401] * 21
    assert attempts(appliance, 1, "y", REMOTE_ADDR="2001:db8:0:1::ffff") == [429]
    assert attempts(appliance, 1, "y", REMOTE_ADDR="2001:db8:0:2::1") == [401]
    assert attempts(appliance, 1, "x" * 9999, REMOTE_ADDR="not an address") == [401]


def test_guesses_when_the_server_is_started_again_then_not_forgiven(appliance, tmp_path):
    attempts(appliance, 6)
    moment = appliance.now()
    appliance.close()
    again = made_appliance(tmp_path / "other")
    again.accounts._open = appliance.accounts._open
    again.accounts.close()
    # A start may take longer than the wait does.
    again.ahead_seconds = moment - time.time()
    assert again.sign_in("user").status == 429
    again.close()


def test_guesses_when_many_at_once_then_no_more_than_the_free_ones_are_judged(appliance):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: appliance.sign_in("user", "wrong").status, range(24)))
    assert 1 <= found.count(401) <= 6
    assert found.count(429) == 24 - found.count(401)


def test_passwords_when_many_are_checked_then_half_of_the_threads_stay_free(appliance, monkeypatch):
    inside, most = [], []

    def slow(password: str, stored: str) -> bool:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return False

    monkeypatch.setattr(password_checks, "is_password", slow)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: appliance.sign_in(f"nobody{n}"), range(16)))
    assert max(most) <= 4
    refused = [reply for reply in found if reply.status == 429]
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert appliance.client.get(APPS, appliance.token).status == 200


def test_answer_when_the_user_is_unknown_then_it_takes_the_same_time(appliance):
    def seconds(username: str, address: str) -> float:
        before = time.perf_counter()
        assert appliance.sign_in(username, "wrong", REMOTE_ADDR=address).status == 401
        return time.perf_counter() - before

    known = [seconds("user", f"192.0.2.{i}") for i in range(5)]
    unknown = [seconds(f"nobody{i}", f"192.0.2.{i}") for i in range(5)]
    assert statistics.median(unknown) > statistics.median(known) / 2
    assert statistics.median(unknown) < statistics.median(known) * 2


def test_hash_when_of_another_cost_then_made_anew_and_tokens_stay(appliance):
    appliance.add("older", USER, password_hash=hash_password(PASSWORD, 9))
    token = appliance.sign_in("older").json["token"]
    user = appliance.store.user_named("older")
    assert user is not None
    assert cost_of(user.password_hash) == 8
    assert appliance.client.get(APPS, token).status == 200
    assert appliance.sign_in("older").status == 200


def test_database_when_away_then_503_and_nobody_passes(appliance):
    def away():
        from appliance.errors import StorageError

        raise StorageError("gone")

    appliance.accounts.close()
    appliance.accounts._open = away
    for reply in (
        appliance.sign_in("root"),
        appliance.client.get(APPS, appliance.token),
        appliance("GET", "/user"),
        appliance("POST", "/user", "username=x"),
    ):
        assert (reply.status, reply.json["success"]) == (503, False)
    assert appliance.client("GET", APPS).status == 401
    assert appliance.client("GET", APPS, **basic("root")).status == 401
