from __future__ import annotations

import pytest

from appliance.accounts.passwords import cost_of, hash_password, is_password, nobodys_hash
from appliance.accounts.rules import RULES, generated_password, password_problems, problems_of

KINDS = (
    "Your password must have three of the following: lowercase letters, uppercase letters,"
    " numbers, special characters"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("username", "thirdUser"),
        ("username", "1"),
        ("username", "a" * 100),
        ("password", "th!s1s@paSw0RD"),
        ("password", "Aa1Aa1Aa1a"),
        ("password", "aabbccAABB1"),
        ("password", "a-1" + "bc" * 34 + "d"),
        ("password", "Ünder 1 Dach"),
        ("firstname", "Anne-Marie"),
        ("firstname", "Zoë"),
        ("lastname", "a" * 45),
        ("email", "something@stuff.suffix"),
        ("email", "a+b@x.y.example"),
        ("email", "a" * 94 + "@b.com"),
    ],
)
def test_value_when_it_fits_the_document_then_nothing_is_wrong(name, value):
    assert RULES[name](value) == []


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        ("username", "", ["Invalid Characters in Username"]),
        ("username", "third_user", ["Invalid Characters in Username"]),
        ("username", "drüben", ["Invalid Characters in Username"]),
        ("username", "user\n", ["Invalid Characters in Username"]),
        ("username", "a" * 101, ["Username should not be longer than 100 characters"]),
        ("password", "aB1aB1aB1", ["Your password must be at least 10 characters long"]),
        ("password", "onlylowercase1", [KINDS]),
        ("password", "thisis111Pass", ["Your password contains three repeating characters"]),
        ("password", "aB1" * 24 + "a", ["Your password is longer than 72 bytes"]),
        ("password", "aB1Ü" * 15, ["Your password is longer than 72 bytes"]),
        ("password", "aB1aB1aB1\0x", ["Your password contains control characters"]),
        ("firstname", "Anne Marie", ["Invalid Characters in first name"]),
        ("lastname", "a" * 46, ["The last name should not be longer than 45 characters"]),
        ("email", "nobody", ["Invalid email address"]),
        ("email", "a@b", ["Invalid email address"]),
        ("email", "a b@c.de", ["Invalid email address"]),
        ("email", "a@b@c.de", ["Invalid email address"]),
        ("email", "a" * 95 + "@b.com", ["Email should not be longer than 100 characters"]),
    ],
)
def test_value_when_it_does_not_fit_then_each_reason(name, value, problems):
    assert RULES[name](value) == problems


def test_values_when_several_are_wrong_then_all_reasons_in_the_order_of_the_rules():
    found = problems_of({"email": "x", "password": "aaa", "username": "_", "firstname": ""})
    assert found[0] == "Invalid Characters in Username"
    assert found[-1] == "Invalid email address"
    assert len(found) == 5


def test_password_when_invented_then_it_fits_and_is_another_each_time():
    made = {generated_password() for _ in range(200)}
    assert len(made) == 200
    assert not any(password_problems(password) for password in made)


def test_hash_when_checked_then_only_its_password_fits_up_to_72_bytes():
    whole = "aB1" * 24
    stored = hash_password(whole, 8)
    assert is_password(whole, stored)
    assert not is_password(whole + "x", stored)
    assert not is_password(whole[:-1], stored)
    assert not is_password("x", "no hash")
    assert not is_password("\udc80", stored)
    assert cost_of(stored) == 8
    assert cost_of("no hash") is None
    assert not is_password("", nobodys_hash(8))
