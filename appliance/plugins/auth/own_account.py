"""What the routes below `/api/v1/account` share: whose account it is, and the own password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance import AccountStore, Principal, RequestError, Settings
from appliance.contracts import Problem, User, Why
from appliance.plugins.auth.password_checks import PasswordChecks, check_password
from appliance.web.parameters import row_id

PATH = "/api/v1/account"
ADMIN_PATH = "/api/v1/admin/account/<user_id>"
TAG = "Own account"
WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a code of answers
NO_USER = str(Problem(Why.NO_USER))


class OwnPassword:
    """Asks the user of a request for the password again, with the rate limits of a sign-in."""

    def __init__(self, checks: PasswordChecks) -> None:
        self._checks = checks

    def check(
        self,
        environ: Mapping[str, Any],
        user: User,
        password: str,
        accounts: AccountStore,
        settings: Settings,
        now: float,
    ) -> None:
        """Make sure that the user's password was sent.

        Raises
        ------
        RequestError
            403: it is wrong; 429: too many were.
        """
        try:
            with self._checks.attempt(environ, user.username, accounts, settings, now):
                check_password(
                    accounts, user.username, password, settings["accounts.password_cost"]
                )
        except RequestError as error:
            if error.status != 401:
                raise
            # A 401 would tell the browser that its token is void.
            raise RequestError(403, "The password is wrong", code=WRONG_PASSWORD) from None


def own_user(principal: Principal, accounts: AccountStore) -> User:
    """Return the user who makes a request.

    Raises
    ------
    RequestError
        403: a token of a program does.
    """
    user = accounts.user(principal.account) if principal.account is not None else None
    if user is None:
        raise RequestError(403, "Only a user who signed in has an account")
    return user


def user_of_path(user_id: str, accounts: AccountStore) -> User:
    """Return the user whose identifier a path names.

    Raises
    ------
    RequestError
        404: there is none.
    """
    number = row_id(user_id)
    user = None if number is None else accounts.user(number)
    if user is None:
        raise RequestError(404, NO_USER)
    return user
