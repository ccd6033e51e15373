"""Accounts as the core knows them: users, roles, API tokens, failed sign-ins and the audit trail.

A plugin keeps them (`account_store_from_url`); the web server, the command line and the plugins
that sign people in meet here. Times are seconds since 1970 with fraction, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from appliance.contracts.sign_ins import Session, Totp
from appliance.errors import ApplianceError

ADMINISTRATORS, USERS, STRANGERS = "administrators", "users", "strangers"
"""The rooms of the audit trail, by who acts: each keeps so many entries, whatever is in others."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in.

    Attributes
    ----------
    password_hash
        Of bcrypt.
    stamp
        Changes with the password; a token that names another one is void.
    must_change_password
        The password was printed or told; before another one is set nothing else is answered.
    filter
        What every answer is limited to, in the language of filters; None: nothing is hidden.
    roles
        In the order in which they were given.
    """

    id: int
    username: str
    password_hash: str
    stamp: str
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    must_change_password: bool = False
    filter: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A long-lived token of a program; the token itself is kept nowhere.

    Attributes
    ----------
    expires
        None: never.
    owner
        The user who made it and whose deletion ends it; None: the command line did.
    filter
        What the owner is bound to now, and so is the token; None: nothing.
    """

    id: int
    name: str
    role: str
    created: float
    expires: float | None = None
    owner: int | None = None
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act that changed something, or was refused.

    Attributes
    ----------
    who
        A user's name, a token's, or whom the caller said to be.
    address
        Where from; empty on the command line.
    action
        Method and path, or the command.
    status
        Of HTTP; None: begun, and its end was never recorded.
    room
        Whose it counts among; the command line's are administrators'.
    """

    happened: float
    who: str
    address: str
    action: str
    detail: str = ""
    status: int | None = None
    id: int = 0
    room: str = ADMINISTRATORS


class Why(Enum):
    """Why an account cannot be changed as asked; the value is the sentence about it."""

    NO_USER = "No User found with that ID"
    NAME_TAKEN = "Username already exists"
    NO_ROLE = "No role found with name - {role}"
    HAS_ROLE = "User - {user} already has role - {role}"
    HAS_NOT_ROLE = "User - {user} does not have role {role}"
    BOUND_ADMINISTRATOR = "User - {user} is bound to a filter, which no Administrator may be"
    LAST_ADMINISTRATOR = "User - {user} is the last Administrator"
    TOKEN_NAME_TAKEN = "A token with that name already exists"  # noqa: S105 - a sentence
    TOTP_IS_ON = "TOTP is on already: disable it first"
    NO_TOKEN = "No token found with that ID"  # noqa: S105 - a sentence


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason, with the names that it is about."""

    why: Why
    user: str = ""
    role: str = ""

    def __str__(self) -> str:
        return self.why.value.format(user=self.user, role=self.role)


class AccountError(ApplianceError):
    """Accounts stay as they are; says every reason."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to become of a user.

    Attributes
    ----------
    values
        By the names of `User`: username, password_hash, firstname, lastname, email. A new password
        ends every session of the user.
    must_change_password
        Whether a new password is to be changed at the first sign-in with it.
    filter
        What the user is bound to from now on; empty: to nothing any more; None: as before.
    """

    values: Mapping[str, str | None]
    add_roles: tuple[str, ...] = ()
    delete_roles: tuple[str, ...] = ()
    must_change_password: bool = False
    filter: str | None = None


class AccountStore(Protocol):
    """A database of accounts. Every method is one transaction and raises StorageError when the
    database is away; several processes may use it at once.
    """

    def users(self) -> list[User]:
        """Return all users by identifier; two queries at most."""
        ...

    def user(self, user_id: int) -> User | None:
        """Return a user; one query."""
        ...

    def user_named(self, username: str) -> User | None:
        """Return a user; one query."""
        ...

    def roles(self) -> list[str]:
        """Return every role that there is, by name."""
        ...

    def create_user(self, change: UserChange, now: float) -> int:
        """Make a user and return the identifier.

        Raises
        ------
        AccountError
            The name is taken, a role does not exist, or a bound user would be an administrator.
        """
        ...

    def user_with_identity(self, digest: str) -> User | None:
        """Return the user that somebody is whom another provider signs in; None: not yet one."""
        ...

    def create_user_with_identity(self, digest: str, change: UserChange, now: float) -> int:
        """Make a user for somebody whom another provider signs in; return the identifier.

        Raises
        ------
        AccountError
            The name is taken, or a role does not exist.
        """
        ...

    def create_first(self, change: UserChange, now: float) -> int | None:
        """Make a user when nobody is an administrator; None when somebody is, or has the name."""
        ...

    def change_user(self, user_id: int, change: UserChange, now: float) -> None:
        """Change a user, wholly or not at all.

        Raises
        ------
        AccountError
            Every reason against it.
        """
        ...

    def replace_hash(self, user_id: int, old: str, new: str) -> None:
        """Store another hash of the same password, unless the password was changed meanwhile."""
        ...

    def delete_user(self, user_id: int) -> User:
        """Delete a user with all that belongs to it; return who it was.

        Raises
        ------
        AccountError
            There is no such user, or it is the last administrator.
        """
        ...

    def create_token(self, token: ApiToken, digest: str) -> int:
        """Keep an API token (its `id` is not looked at) under its digest; return the identifier.

        Raises
        ------
        AccountError
            Another one has that name.
        """
        ...

    def tokens(self) -> list[ApiToken]:
        """Return all API tokens by identifier."""
        ...

    def token_of(self, digest: str) -> ApiToken | None:
        """Return the API token with this digest, expired or not; one query."""
        ...

    def delete_token(self, token_id: int) -> ApiToken:
        """End an API token; return which it was.

        Raises
        ------
        AccountError
            There is none.
        """
        ...

    def create_session(self, session: Session) -> None:
        """Keep a session; overlong texts are cut. Those that are over go, and a user's oldest
        beyond a number.
        """
        ...

    def sessions(self, user_id: int, now: float) -> list[Session]:
        """Return the sessions of a user that are not over, the newest first."""
        ...

    def session_with_user(self, session_id: str) -> tuple[Session, User] | None:
        """Return a session, over or not, and whose it is; one query."""
        ...

    def use_session(self, session_id: str, now: float, expires: float | None = None) -> bool:
        """Note that a session was used, and until when its tokens are good if that changes; False
        when it has ended.
        """
        ...

    def end_session(self, user_id: int, session_id: str) -> bool:
        """End a session of a user; False when the user has none of that identifier."""
        ...

    def totp(self, user_id: int) -> Totp | None:
        """Return the second factor of a user, on or not yet; None when there is none."""
        ...

    def enrol_totp(self, user_id: int, secret: str) -> None:
        """Keep the secret of a second factor that is not on yet, in place of another such.

        Raises
        ------
        AccountError
            The user has one that is on.
        """
        ...

    def confirm_totp(self, user_id: int, secret: str, step: int, digests: Iterable[str]) -> bool:
        """Turn a second factor on; False when its secret was replaced meanwhile.

        Parameters
        ----------
        step
            The time step of the code that confirms it, which is used by that.
        digests
            Of the recovery codes.
        """
        ...

    def use_totp_step(self, user_id: int, step: int) -> bool:
        """Mark a time step as used; False when it or a later one was."""
        ...

    def use_recovery_code(self, user_id: int, digest: str) -> bool:
        """Take a recovery code away; False when there is none with this digest."""
        ...

    def disable_totp(self, user_id: int) -> bool:
        """Delete the second factor of a user with its codes; False when there was none."""
        ...

    def knows_client(self, username: str, client: str, since: float) -> bool:
        """Tell whether a user has signed in from a client since a time; one query."""
        ...

    def remember_client(self, user_id: int, client: str, now: float) -> None:
        """Note that a user has signed in from a client; the newest few of each user are kept."""
        ...

    def attempts_wait(self, names: Iterable[str], now: float, forget_seconds: float) -> float:
        """Return how many seconds are left to wait under some names; one query, nothing counts."""
        ...

    def begin_attempts(
        self, waits: Mapping[str, Callable[[int], float]], now: float, forget_seconds: float
    ) -> float:
        """Count an attempt to sign in under each of some names, before it is judged.

        Parameters
        ----------
        waits
            By name: how many seconds must pass after so many failures.
        forget_seconds
            Names without a failure for so long begin anew.

        Returns
        -------
        float
            0, or how many seconds are left to wait; nothing is counted then.
        """
        ...

    def end_attempts(self, forgiven: Iterable[str], uncounted: Iterable[str]) -> None:
        """Take a successful attempt back: forget some names, take one off others."""
        ...

    def record(self, entry: AuditEntry) -> int:
        """Add to the audit trail and return the identifier; overlong texts are cut."""
        ...

    def complete(self, audit_id: int, status: int, detail: str) -> None:
        """Say how a recorded act ended."""
        ...

    def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the newest entries, or the newest of those before one."""
        ...

    def expire_audit(self, before: float, most: Mapping[str, int]) -> int:
        """Delete entries that are older, and the oldest of each room beyond its number."""
        ...

    def close(self) -> None:
        """Close the connection of this thread."""
        ...
