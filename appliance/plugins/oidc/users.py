"""Users for those whom the provider signs in: made at the first time, their roles kept in step."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from appliance import AccountStore, RequestError, Settings
from appliance.accounts.passwords import nobodys_hash
from appliance.accounts.rules import MOST_USERNAME
from appliance.contracts import AccountError, Problem, User, UserChange, Why
from appliance.plugins.oidc.provider import claim_value

EVERYBODY = "*"


def user_of_claims(
    claims: Mapping[str, Any], settings: Settings, accounts: AccountStore, now: float
) -> User:
    """Return the user whom claims are about, with the roles that they give.

    Raises
    ------
    RequestError
        403: they give no role, name nobody, or name somebody who is another user here.
    """
    roles = roles_from_claims(claims, settings)
    if not roles:
        raise RequestError(403, "The sign-in provider gives you no role here")
    digest = identity_digest(settings["oidc.issuer"], str(claims["sub"]))
    user = accounts.user_with_identity(digest)
    try:
        if user is None:
            number = _create(digest, claims, roles, settings, accounts, now)
        else:
            number = _keep_roles(user, roles, settings, accounts, now)
    except AccountError as error:
        raise RequestError(403, _sentence(error)) from None
    changed = accounts.user(number)
    if changed is None:
        raise RequestError(403, str(Problem(Why.NO_USER)))
    return changed


def roles_from_claims(claims: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """Return the roles that claims give, in the order of `oidc.roles`."""
    value = claim_value(claims, settings["oidc.roles_claim"])
    groups = {str(item) for item in (value if isinstance(value, list) else [value])}
    pairs = settings["oidc.roles"]
    roles = [role for group, role in pairs if group == EVERYBODY or group in groups]
    return tuple(dict.fromkeys(roles))


def username_of(claims: Mapping[str, Any], settings: Settings) -> str:
    """Return the name of a new user, of the letters and digits that names here consist of."""
    value = claim_value(claims, settings["oidc.username_claim"])
    name = value.partition("@")[0] if isinstance(value, str) else ""
    return re.sub("[^A-Za-z0-9]", "", name)[:MOST_USERNAME]


def identity_digest(issuer: str, subject: str) -> str:
    """Return what a user of a provider is known by; names can go to others, subjects cannot."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode(errors="surrogatepass")).hexdigest()


def _create(
    digest: str,
    claims: Mapping[str, Any],
    roles: tuple[str, ...],
    settings: Settings,
    accounts: AccountStore,
    now: float,
) -> int:
    name = username_of(claims, settings)
    if not name:
        claim = settings["oidc.username_claim"]
        raise RequestError(403, f"The sign-in provider tells no name of you in {claim}")
    no_password = nobodys_hash(settings["accounts.password_cost"])
    change = UserChange({"username": name, "password_hash": no_password}, roles)
    return accounts.create_user_with_identity(digest, change, now)


def _keep_roles(
    user: User, roles: tuple[str, ...], settings: Settings, accounts: AccountStore, now: float
) -> int:
    """Give and take the roles that `oidc.roles` names; others were given here and stay."""
    managed = {role for _, role in settings["oidc.roles"]}
    add = tuple(role for role in roles if role not in user.roles)
    delete = tuple(role for role in user.roles if role in managed and role not in roles)
    if add or delete:
        accounts.change_user(user.id, UserChange({}, add, delete), now)
    return user.id


def _sentence(error: AccountError) -> str:
    if any(problem.why is Why.NAME_TAKEN for problem in error.problems):
        return (
            "Your name belongs to another account here: an administrator renames or deletes that"
            " one first"
        )
    return str(error)
