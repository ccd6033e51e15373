"""What the published API allows as username, password, name and email, with its messages."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping

from appliance.accounts.passwords import MOST_OCTETS

MOST_USERNAME = 100
MOST_NAME = 45
MOST_EMAIL = 100
LEAST_PASSWORD = 10
_GENERATED_LETTERS = 20

_USERNAME = re.compile(r"[A-Za-z0-9]+")
_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(?:\.[^\s@.]+)+")


def username_problems(username: str) -> list[str]:
    """Return what is wrong with a username."""
    problems = []
    if not _USERNAME.fullmatch(username):
        problems.append("Invalid Characters in Username")
    if len(username) > MOST_USERNAME:
        problems.append(f"Username should not be longer than {MOST_USERNAME} characters")
    return problems


def password_problems(password: str) -> list[str]:
    """Return what is wrong with a password."""
    problems = []
    if len(password) < LEAST_PASSWORD:
        problems.append(f"Your password must be at least {LEAST_PASSWORD} characters long")
    if len(password.encode()) > MOST_OCTETS:
        problems.append(f"Your password is longer than {MOST_OCTETS} bytes")
    if _kinds(password) < 3:
        problems.append(
            "Your password must have three of the following: lowercase letters, uppercase"
            " letters, numbers, special characters"
        )
    if any(a == b == c for a, b, c in zip(password, password[1:], password[2:], strict=False)):
        problems.append("Your password contains three repeating characters")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in password):
        # Basic authentication cannot carry them (RFC 7617 section 2).
        problems.append("Your password contains control characters")
    return problems


def firstname_problems(name: str) -> list[str]:
    """Return what is wrong with a first name."""
    return _name_problems(name, "first name")


def lastname_problems(name: str) -> list[str]:
    """Return what is wrong with a last name."""
    return _name_problems(name, "last name")


def email_problems(email: str) -> list[str]:
    """Return what is wrong with an email address."""
    problems = []
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        problems.append("Invalid email address")
    if len(email) > MOST_EMAIL:
        problems.append(f"Email should not be longer than {MOST_EMAIL} characters")
    return problems


RULES: Mapping[str, Callable[[str], list[str]]] = {
    "username": username_problems,
    "password": password_problems,
    "firstname": firstname_problems,
    "lastname": lastname_problems,
    "email": email_problems,
}
OPTIONAL = ("firstname", "lastname", "email")
"""Values that an empty text takes away."""


def problems_of(values: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with some values, in the order of `RULES`."""
    return [
        problem
        for name, rule in RULES.items()
        if name in values and (values[name] or name not in OPTIONAL)
        for problem in rule(values[name])
    ]


def generated_password() -> str:
    """Return a random password that fits the rules."""
    letters = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(letters) for _ in range(_GENERATED_LETTERS))
        if not password_problems(password):
            return password


def _kinds(password: str) -> int:
    tests: tuple[Callable[[str], bool], ...] = (
        str.islower,
        str.isupper,
        str.isdecimal,
        lambda letter: not letter.isalnum() and letter.isprintable(),
    )
    return sum(any(test(letter) for letter in password) for test in tests)


def _name_problems(name: str, what: str) -> list[str]:
    problems = []
    if not all(letter.isalpha() or letter == "-" for letter in name):
        problems.append(f"Invalid Characters in {what}")
    if len(name) > MOST_NAME:
        problems.append(f"The {what} should not be longer than {MOST_NAME} characters")
    return problems
