"""Checks passwords and codes of second factors; guessing is slowed down.

Failures count in the accounts (see `attempts`), so a restart forgives nothing. An attempt counts
before it is checked: many at once gain nothing. Who has to wait costs a look-up and no check. An
unknown user costs the same time and the same counting as a wrong password.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appliance import AccountStore, RequestError, Settings
from appliance.accounts.passwords import cost_of, hash_password, is_password, nobodys_hash
from appliance.accounts.totp import matching_step, recovery_digest
from appliance.contracts import User
from appliance.plugins.auth.attempts import Attempt, attempt_of

WRONG = "Invalid Username or Password"
TOO_MANY = "Too many failed attempts, try again later"
CODE_NEEDED, WRONG_CODE = "totp_required", "totp_wrong"
FORGET_SECONDS = 3600.0
BUSY_SECONDS = 1.0


class PasswordChecks:
    """Lets so many passwords be checked at a time that other requests get a turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checking: list[str] = []

    @contextmanager
    def attempt(
        self,
        environ: Mapping[str, Any],
        username: str,
        accounts: AccountStore,
        settings: Settings,
        now: float,
    ) -> Iterator[Attempt]:
        """Count an attempt under a username; a block that raises nothing takes it back.

        Raises
        ------
        RequestError
            429: there were too many failures, or too many are checked at the moment.
        """
        attempt = attempt_of(environ, username, settings, accounts, now)
        _refuse_early(accounts.attempts_wait(attempt.waits, now, FORGET_SECONDS))
        with self._turn(attempt, settings["web.threads"]) as has_turn:
            _refuse_early(0.0 if has_turn else BUSY_SECONDS)
            _refuse_early(accounts.begin_attempts(attempt.waits, now, FORGET_SECONDS))
            try:
                yield attempt
            except RequestError as error:
                if error.code == CODE_NEEDED:
                    # No guess, but no success either: earlier failures stay, else whoever has the
                    # password alone could clear those of guessed codes.
                    accounts.end_attempts((), attempt.waits)
                raise
            accounts.end_attempts(attempt.forgiven, attempt.uncounted)

    @contextmanager
    def _turn(self, attempt: Attempt, threads: int) -> Iterator[bool]:
        """Take a turn: half of the threads have one.

        Strangers leave one to those who are known, and take one each.
        """
        most = max(threads // 2, 1)
        with self._lock:
            has_turn = len(self._checking) < most
            if not attempt.is_known:
                is_first = attempt.client not in self._checking
                has_turn = is_first and len(self._checking) < max(most - 1, 1)
            if has_turn:
                self._checking.append(attempt.client)
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._lock:
                    self._checking.remove(attempt.client)


def check_password(accounts: AccountStore, username: str, password: str, cost: int) -> User:
    """Return the user whose password this is.

    Raises
    ------
    RequestError
        401: there is no such user, or it is not; both take the same time.
    """
    user = accounts.user_named(username)
    stored = user.password_hash if user is not None else nobodys_hash(cost)
    if not is_password(password, stored) or user is None:
        raise RequestError(401, WRONG)
    if cost_of(stored) != cost:
        # Else the time of an answer would tell older accounts from those that do not exist.
        accounts.replace_hash(user.id, stored, hash_password(password, cost))
    return user


def check_code(accounts: AccountStore, user: User, code_of: Callable[[], str], now: float) -> None:
    """Make sure of the second factor of a user whose password was right.

    Parameters
    ----------
    code_of
        Returns the code that came with the request, or a recovery code; empty: none. Called only
        where the user needs one.

    Raises
    ------
    RequestError
        401: there is none, or it is wrong or was used before.
    """
    totp = accounts.totp(user.id)
    if totp is None or not totp.is_on:
        return
    code = code_of()
    if not code:
        raise RequestError(401, "A code of your authenticator is needed", code=CODE_NEEDED)
    step = matching_step(totp.secret, code, now)
    is_right = (
        accounts.use_recovery_code(user.id, recovery_digest(code))
        if step is None
        else accounts.use_totp_step(user.id, step)
    )
    if not is_right:
        raise RequestError(401, "The code is wrong or was used before", code=WRONG_CODE)


def _refuse_early(wait_seconds: float) -> None:
    if wait_seconds:
        headers = {"Retry-After": str(math.ceil(wait_seconds))}
        raise RequestError(429, TOO_MANY, headers=headers)
