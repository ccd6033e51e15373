"""Forty addresses guess an administrator's password without a pause."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.accounts.secret import rotate_secret, secret_path
from appliance.plugins.auth import password_checks
from appliance.plugins.auth.attempts import DEVICE_COOKIE, new_device
from tests.web.appliance import Appliance, made_appliance

ATTACKERS = [f"203.0.114.{number}" for number in range(40)]
HOME = {"REMOTE_ADDR": "198.51.100.7"}
ELSEWHERE = {"REMOTE_ADDR": "198.51.100.8"}
SECONDS = 10.0


def guess(appliance: Appliance, rounds: int = 1) -> None:
    """Let every attacker try once a round; the last try of each round has to wait."""
    for _ in range(rounds):
        for address in ATTACKERS:
            appliance.sign_in("root", "wrong", REMOTE_ADDR=address)
        assert appliance.sign_in("root", "wrong", REMOTE_ADDR=ATTACKERS[0]).status == 429


def device_of(reply) -> dict[str, str]:
    (value,) = [text.partition(";")[0] for text in reply.cookies if text.startswith(DEVICE_COOKIE)]
    return {"HTTP_COOKIE": f"a=b; {value}"}


@pytest.mark.soak
def test_administrator_when_strangers_guess_then_signs_in_from_where_that_was_done_before(
    appliance, figure
):
    assert appliance.sign_in("root", **HOME).status == 200
    let_in = 0
    for _ in range(5):
        guess(appliance)
        let_in += appliance.sign_in("root", **HOME).status == 200
        assert appliance.sign_in("root", **ELSEWHERE).status == 429
        appliance.ahead_seconds += 61
    figure("right passwords let in", f"{let_in} of 5")
    assert let_in == 5


def test_administrator_when_strangers_guess_then_a_device_cookie_opens_from_anywhere(appliance):
    device = device_of(appliance.sign_in("root", **HOME))
    guess(appliance)
    assert appliance.sign_in("root", **ELSEWHERE).status == 429
    assert appliance.sign_in("root", **ELSEWHERE, **device).status == 200
    shared = {"REMOTE_ADDR": ATTACKERS[0]}
    for number in range(25):
        appliance.sign_in(f"nobody{number}", "wrong", **shared)
    assert appliance.sign_in("user", **shared).status == 429, "the address has to wait"
    assert appliance.sign_in("root", **shared, **device).status == 200


def test_administrator_when_in_a_trusted_network_then_does_not_wait_for_strangers(tmp_path):
    made = made_appliance(
        tmp_path, **{"accounts.trusted_networks": ["192.0.2.0/24", "2001:db8::/32"]}
    )
    try:
        guess(made)
        # First, as the wait is a second, which a slow machine takes for the others.
        assert made.sign_in("root", **ELSEWHERE).status == 429
        for address in ("192.0.2.200", "::ffff:192.0.2.201", "2001:db8:7::1"):
            assert made.sign_in("root", REMOTE_ADDR=address).status == 200
    finally:
        made.close()


def test_guesses_when_from_a_known_place_then_slowed_down_like_any_other(appliance):
    device = device_of(appliance.sign_in("root", **HOME))
    for place in (HOME, ELSEWHERE | device):
        found = [appliance.sign_in("root", "wrong", **place).status for _ in range(8)]
        assert found == [401] * 6 + [429] * 2


def test_device_cookie_when_of_another_account_forged_or_voided_then_of_no_use(appliance):
    of_user = device_of(appliance.sign_in("user", **HOME))
    forged = {"HTTP_COOKIE": f"{DEVICE_COOKIE}={new_device(bytes(32), 'root')}"}
    own = device_of(appliance.sign_in("root", **HOME))
    guess(appliance)
    assert appliance.sign_in("root", **ELSEWHERE, **own).status == 200
    for cookie in (of_user, forged):
        assert appliance.sign_in("root", REMOTE_ADDR="198.51.100.9", **cookie).status == 429
    rotate_secret(secret_path(appliance.app.settings))
    guess(appliance)
    assert appliance.sign_in("root", REMOTE_ADDR="198.51.100.9", **own).status == 429


def test_client_when_not_seen_for_months_then_a_stranger_again(appliance):
    assert appliance.sign_in("root", **HOME).status == 200
    appliance.ahead_seconds += 91 * 86400
    guess(appliance)
    assert appliance.sign_in("root", **HOME).status == 429


def test_blocked_addresses_when_they_go_on_then_no_password_is_checked(appliance, monkeypatch):
    guess(appliance)
    checks = []
    monkeypatch.setattr(password_checks, "is_password", lambda *_: checks.append(1))
    for address in ATTACKERS:
        assert appliance.sign_in("root", "wrong", REMOTE_ADDR=address).status == 429
    assert checks == []


def test_turns_when_strangers_have_theirs_then_a_known_client_gets_the_last(appliance, monkeypatch):
    assert appliance.sign_in("root", **HOME).status == 200
    judged, entered, proceed = (
        password_checks.is_password,
        threading.Semaphore(0),
        threading.Event(),
    )

    def slow(password: str, stored: str) -> bool:
        if password == "wrong":
            entered.release()
            assert proceed.wait(SECONDS)
        return judged(password, stored)

    monkeypatch.setattr(password_checks, "is_password", slow)
    guessers = [
        threading.Thread(
            target=appliance.sign_in, args=("x", "wrong"), kwargs={"REMOTE_ADDR": address}
        )
        for address in ATTACKERS[:3]
    ]
    for guesser in guessers:
        guesser.start()
    assert all(entered.acquire(timeout=SECONDS) for _ in guessers)
    try:
        assert appliance.sign_in("nobody", "wrong", **ELSEWHERE).headers["retry-after"] == "1"
        assert appliance.sign_in("root", **HOME).status == 200
    finally:
        proceed.set()
        for guesser in guessers:
            guesser.join(SECONDS)


def test_turns_when_one_stranger_has_one_then_no_other_of_them(appliance, monkeypatch):
    found = []

    def nested(password: str, stored: str) -> bool:
        if not found:
            found.append(appliance.sign_in("two", "wrong", REMOTE_ADDR=ATTACKERS[0]).status)
            found.append(appliance.sign_in("two", "wrong", REMOTE_ADDR=ATTACKERS[1]).status)
        return False

    monkeypatch.setattr(password_checks, "is_password", nested)
    appliance.sign_in("one", "wrong", REMOTE_ADDR=ATTACKERS[0])
    assert found == [429, 401]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = made_appliance(tmp_path_factory.mktemp("cookies"), **{"accounts.password_cost": "8"})
    yield made
    made.close()


LETTERS = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=300)


@given(LETTERS)
def test_device_cookie_when_anything_then_never_more_than_a_stranger(shared, text):
    shared.ahead_seconds += 100
    for _ in range(2):
        reply = shared.sign_in("root", "x", HTTP_COOKIE=f"{DEVICE_COOKIE}={text}", **ELSEWHERE)
        assert reply.status in (401, 429)
