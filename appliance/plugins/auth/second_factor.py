"""Turning TOTP on and off: `/api/v1/account/totp`, and off for others by an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance import (
    ADMINISTRATOR,
    SIGNED_IN,
    AccountStore,
    Answer,
    Principal,
    RequestError,
    Route,
    Settings,
)
from appliance.accounts.totp import (
    RECOVERY_CODES,
    matching_step,
    new_recovery_codes,
    new_totp_secret,
    provisioning_uri,
    recovery_digest,
)
from appliance.contracts import AccountError
from appliance.plugins.auth.own_account import (
    ADMIN_PATH,
    PATH,
    TAG,
    OwnPassword,
    own_user,
    user_of_path,
)
from appliance.plugins.auth.password_checks import WRONG_CODE, PasswordChecks
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import AnswerExample, BodyExample, Whole, operation

TOTP_PATH = f"{PATH}/totp"
_NOT_ENROLLED = "TOTP is not enrolled: there is nothing to confirm"


def totp_state(principal: Principal, accounts: AccountStore) -> dict[str, Any]:
    """Tell whether the own account has a second factor, and how many recovery codes are left."""
    return _state(own_user(principal, accounts).id, accounts)


def totp_state_of(user_id: str, accounts: AccountStore) -> dict[str, Any]:
    """Tell the same of a user."""
    return _state(user_of_path(user_id, accounts).id, accounts)


def _state(user_id: int, accounts: AccountStore) -> dict[str, Any]:
    totp = accounts.totp(user_id)
    is_on = totp is not None and totp.is_on
    return {"on": is_on, "recovery_codes": totp.recovery_codes if totp is not None else 0}


def confirm(
    principal: Principal, accounts: AccountStore, body: Body, now: float
) -> dict[str, list[str]]:
    """Turn the second factor on; the answer is the only one that ever shows recovery codes."""
    code = body.single(("totp",)).get("totp", "")
    user = own_user(principal, accounts)
    totp = accounts.totp(user.id)
    if totp is None or totp.is_on:
        raise RequestError(409, _NOT_ENROLLED)
    step = matching_step(totp.secret, code, now)
    if step is None:
        raise RequestError(400, "The code is wrong", code=WRONG_CODE)
    codes = new_recovery_codes()
    if not accounts.confirm_totp(user.id, totp.secret, step, map(recovery_digest, codes)):
        raise RequestError(409, _NOT_ENROLLED)
    return {"recovery_codes": codes}


class OwnSecondFactor:
    """Answers `POST` and `DELETE /api/v1/account/totp`, which ask for the password again: whoever
    finds a browser open must not lock its user out, nor take the second factor away.
    """

    def __init__(self, checks: PasswordChecks) -> None:
        self._password = OwnPassword(checks)

    def enrol(
        self,
        environ: Mapping[str, Any],
        principal: Principal,
        accounts: AccountStore,
        body: Body,
        settings: Settings,
        now: float,
    ) -> Answer:
        """Make a secret; it counts once a code has confirmed it."""
        password = body.single(("password",)).get("password", "")
        user, secret = own_user(principal, accounts), new_totp_secret()
        self._password.check(environ, user, password, accounts, settings, now)
        try:
            accounts.enrol_totp(user.id, secret)
        except AccountError as error:
            raise RequestError(409, str(error)) from None
        return Answer({"secret": secret, "uri": provisioning_uri(secret, user.username)}, 201)

    def disable(
        self,
        environ: Mapping[str, Any],
        principal: Principal,
        accounts: AccountStore,
        body: Body,
        settings: Settings,
        now: float,
    ) -> dict[str, str]:
        """Turn the own second factor off."""
        password = body.single(("password",)).get("password", "")
        user = own_user(principal, accounts)
        self._password.check(environ, user, password, accounts, settings, now)
        return _turn_off(user.id, accounts)


def disable_of(user_id: str, accounts: AccountStore, event: AuditEvent) -> dict[str, str]:
    """Turn the second factor of a user off, who has lost the device."""
    user = user_of_path(user_id, accounts)
    event.note(f"user {user.username}")
    return _turn_off(user.id, accounts)


def routes(checks: PasswordChecks) -> list[Route]:
    """Return the routes of second factors."""
    state = Whole({"on": True, "recovery_codes": RECOVERY_CODES})
    uri = "otpauth://totp/NetFlow%20appliance:user?secret=...&issuer=NetFlow%20appliance"
    secret = AnswerExample(Whole(secret="ABCD...", uri=uri), 201)  # noqa: S106 - an example
    codes = Whole(recovery_codes=["abcd-efgh-jkmn-pqrs"])
    code = BodyExample({"totp": "123456"}, ("totp",))
    password = BodyExample({"password": "th!s1s@paSw0RD"}, ("password",))
    second_factor = OwnSecondFactor(checks)
    off = Whole(message="TOTP is off")
    own = (
        ("GET", totp_state, operation("Whether TOTP is on", state, tag=TAG)),
        (
            "POST",
            second_factor.enrol,
            operation("A new secret, shown once", secret, body=password, tag=TAG),
        ),
        (
            "PUT",
            confirm,
            operation("Turn TOTP on; recovery codes, shown once", codes, body=code, tag=TAG),
        ),
        (
            "DELETE",
            second_factor.disable,
            operation("Turn TOTP off", off, body=password, tag=TAG),
        ),
    )
    others = (
        ("GET", totp_state_of, operation("Whether a user has TOTP on", state, tag="Users")),
        ("DELETE", disable_of, operation("Turn TOTP of a user off", off, tag="Users")),
    )
    return [
        *(
            Route(
                method,
                TOTP_PATH,
                handler,
                role=SIGNED_IN,
                schema=schema,
                open_to_bound_users=True,
            )
            for method, handler, schema in own
        ),
        *(
            Route(method, f"{ADMIN_PATH}/totp", handler, role=ADMINISTRATOR, schema=schema)
            for method, handler, schema in others
        ),
    ]


def _turn_off(user_id: int, accounts: AccountStore) -> dict[str, str]:
    if not accounts.disable_totp(user_id):
        raise RequestError(404, "TOTP is off already")
    return {"message": "TOTP is off"}
