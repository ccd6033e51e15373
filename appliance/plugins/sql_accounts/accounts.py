"""Users and roles in the appliance database; see `appliance.contracts.AccountStore`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from appliance.contracts import ADMINISTRATOR, AccountError, Problem, Session, User, UserChange, Why
from appliance.plugins.sql_accounts.account_models import models_of
from appliance.plugins.sql_accounts.account_records import AccountRecords
from appliance.plugins.sql_accounts.second_factors import SecondFactors
from appliance.plugins.sql_accounts.sessions import SESSION_FIELDS, Sessions
from appliance.sql.database import SqlDatabase
from appliance.sql.lean_peewee import peewee

_FIELDS = ("id", "username", "password_hash", "stamp", "firstname", "lastname", "email")
_STAMP_OCTETS = 16


class SqlAccounts(AccountRecords, SecondFactors, Sessions):
    """Accounts in SQLite or MySQL."""

    def __init__(self, database: SqlDatabase) -> None:
        super().__init__(database, models_of(database.connection))
        # Asked at each request: to put it together takes peewee longer than to run it.
        self._session_query = self._select_session().where(self.models.session.id == "").sql()[0]

    def users(self) -> list[User]:
        """Return all users by identifier; one query."""
        with self.database.transaction():
            return _users(self._select().tuples())

    def user(self, user_id: int) -> User | None:
        """Return a user; one query."""
        with self.database.transaction():
            return self._user(self.models.account.id == user_id)

    def user_named(self, username: str) -> User | None:
        """Return a user; one query."""
        with self.database.transaction():
            return self._user(self.models.account.username == username)

    def session_with_user(self, session_id: str) -> tuple[Session, User] | None:
        """Return a session and whose it is; one query."""
        with self.database.transaction():
            rows = list(self.database.rows(self._session_query, (session_id,)))
        if not rows:
            return None
        n_fields = len(SESSION_FIELDS)
        (user,) = _users(row[n_fields:] for row in rows)
        return Session(*rows[0][:n_fields]), user

    def roles(self) -> list[str]:
        """Return every role that there is, by name."""
        with self.database.transaction():
            return self._roles()

    def create_user(self, change: UserChange, now: float) -> int:
        """Make a user and return the identifier."""
        with self.writing():
            _refuse(self._problems_of_new(change))
            return self._create(change, now)

    def user_with_identity(self, digest: str) -> User | None:
        """Return the user that somebody is whom another provider signs in."""
        identity = self.models.identity
        own = identity.select(identity.account).where(identity.digest == digest)
        with self.database.transaction():
            return self._user(self.models.account.id.in_(own))

    def create_user_with_identity(self, digest: str, change: UserChange, now: float) -> int:
        """Make a user for somebody whom another provider signs in."""
        with self.writing():
            _refuse(self._problems_of_new(change))
            user_id = self._create(change, now)
            self.models.identity.replace(digest=digest, account=user_id).execute()
            return user_id

    def create_first(self, change: UserChange, now: float) -> int | None:
        """Make a user when nobody is an administrator and nobody has the name."""
        with self.writing():
            if self._administrators() or self._name_problems(change, 0):
                return None
            return self._create(change, now)

    def change_user(self, user_id: int, change: UserChange, now: float) -> None:
        """Change a user, wholly or not at all."""
        account = self.models.account
        with self.writing():
            user = self._existing(user_id)
            _refuse(self._problems(user, change))
            values: dict[str, Any] = {**change.values, "updated": now}
            if "password_hash" in values:
                self._set_password_due(user_id, change.must_change_password)
                values["stamp"] = secrets.token_hex(_STAMP_OCTETS)
                session = self.models.session
                session.delete().where(session.account == user_id).execute()
            account.update(**values).where(account.id == user_id).execute()
            self._add_roles(user_id, change.add_roles)
            for role in change.delete_roles:
                self._delete_role(user_id, role)
            self._set_filter(user_id, change.filter)

    def replace_hash(self, user_id: int, old: str, new: str) -> None:
        """Store another hash of the same password, unless it was changed meanwhile."""
        account = self.models.account
        with self.writing():
            same = (account.id == user_id) & (account.password_hash == old)
            account.update(password_hash=new).where(same).execute()

    def delete_user(self, user_id: int) -> User:
        """Delete a user with all that belongs to it."""
        models = self.models
        with self.writing():
            user = self._existing(user_id)
            if self._administrators() == [user_id]:
                _refuse([Problem(Why.LAST_ADMINISTRATOR, user.username)])
            models.token.delete().where(models.token.owner == user_id).execute()
            models.account_role.delete().where(models.account_role.account == user_id).execute()
            codes, identities = models.recovery_code, models.identity
            others = (codes, identities, models.password_due, models.account_filter)
            for owned in (models.client, models.totp, models.session, *others):
                owned.delete().where(owned.account == user_id).execute()
            models.account.delete().where(models.account.id == user_id).execute()
            return user

    def _select(self) -> Any:
        account, given = self.models.account, self.models.account_role
        columns = (*self._user_columns(), given.role)
        return self._with_roles(account.select(*columns)).order_by(account.id, given.id)

    def _select_session(self) -> Any:
        account, given = self.models.account, self.models.account_role
        session = self.models.session
        own = (getattr(session, name) for name in SESSION_FIELDS)
        query = session.select(*own, *self._user_columns(), given.role)
        whose = query.join(account, on=(account.id == session.account))
        return self._with_roles(whose).order_by(given.id)

    def _user_columns(self) -> tuple[Any, ...]:
        """Return what a `User` is made of; behind the account's own columns one that is null where
        the password may stay, and one that is null where there is no filter.
        """
        account, bound = self.models.account, self.models.account_filter
        own = (getattr(account, name) for name in _FIELDS)
        return (*own, self.models.password_due.account, bound.bound_to)

    def _with_roles(self, query: Any) -> Any:
        account, given = self.models.account, self.models.account_role
        due, bound = self.models.password_due, self.models.account_filter
        outer = peewee.JOIN.LEFT_OUTER
        with_facts = query.join(due, outer, on=(due.account == account.id)).join(
            bound, outer, on=(bound.account == account.id)
        )
        return with_facts.join(given, outer, on=(given.account == account.id))

    def _user(self, condition: Any) -> User | None:
        found = _users(self._select().where(condition).tuples())
        return found[0] if found else None

    def _existing(self, user_id: int) -> User:
        user = self._user(self.models.account.id == user_id)
        if user is None:
            raise AccountError(Problem(Why.NO_USER))
        return user

    def _roles(self) -> list[str]:
        role = self.models.role
        return [str(name) for (name,) in role.select(role.name).order_by(role.name).tuples()]

    def _administrators(self) -> list[int]:
        given = self.models.account_role
        rows = given.select(given.account).where(given.role == ADMINISTRATOR).tuples()
        return [int(account) for (account,) in rows]

    def _name_problems(self, change: UserChange, user_id: int) -> list[Problem]:
        account, name = self.models.account, change.values.get("username")
        if name is None:
            return []
        other = (account.username == name) & (account.id != user_id)
        return [Problem(Why.NAME_TAKEN)] if account.select().where(other).exists() else []

    def _unknown(self, roles: Iterable[str]) -> list[Problem]:
        known = self._roles()
        return [Problem(Why.NO_ROLE, role=role) for role in roles if role not in known]

    def _problems_of_new(self, change: UserChange) -> list[Problem]:
        problems = [*self._name_problems(change, 0), *self._unknown(change.add_roles)]
        if change.filter and ADMINISTRATOR in change.add_roles:
            name = change.values.get("username") or ""
            problems.append(Problem(Why.BOUND_ADMINISTRATOR, name))
        return problems

    def _problems(self, user: User, change: UserChange) -> list[Problem]:
        name, add, delete = user.username, change.add_roles, change.delete_roles
        problems = [*self._name_problems(change, user.id), *self._unknown((*add, *delete))]
        unknown = {problem.role for problem in problems if problem.why is Why.NO_ROLE}
        problems += [Problem(Why.HAS_ROLE, name, role) for role in add if role in user.roles]
        problems += [
            Problem(Why.HAS_NOT_ROLE, name, role)
            for role in delete
            if role not in user.roles and role not in unknown
        ]
        roles = {*user.roles, *add} - {*delete}
        if (user.filter if change.filter is None else change.filter) and ADMINISTRATOR in roles:
            problems.append(Problem(Why.BOUND_ADMINISTRATOR, name))
        if ADMINISTRATOR in delete and self._administrators() == [user.id]:
            problems.append(Problem(Why.LAST_ADMINISTRATOR, name))
        return problems

    def _create(self, change: UserChange, now: float) -> int:
        stamp = secrets.token_hex(_STAMP_OCTETS)
        values = {**change.values, "stamp": stamp, "created": now, "updated": now}
        user_id = int(self.models.account.insert(**values).execute())
        self._set_password_due(user_id, change.must_change_password)
        self._add_roles(user_id, change.add_roles)
        self._set_filter(user_id, change.filter)
        return user_id

    def _set_password_due(self, user_id: int, is_due: bool) -> None:
        due = self.models.password_due
        due.delete().where(due.account == user_id).execute()
        if is_due:
            due.insert(account=user_id).execute()

    def _set_filter(self, user_id: int, text: str | None) -> None:
        """Bind a user to a filter; empty: to none any more; None: as before."""
        bound = self.models.account_filter
        if text is None:
            return
        bound.delete().where(bound.account == user_id).execute()
        if text:
            bound.insert(account=user_id, bound_to=text).execute()

    def _add_roles(self, user_id: int, roles: Iterable[str]) -> None:
        for role in dict.fromkeys(roles):
            self.models.account_role.insert(account=user_id, role=role).execute()

    def _delete_role(self, user_id: int, role: str) -> None:
        """Take a role away, and end the API tokens that the user made with it."""
        given, token = self.models.account_role, self.models.token
        given.delete().where((given.account == user_id) & (given.role == role)).execute()
        token.delete().where((token.owner == user_id) & (token.role == role)).execute()


def _users(rows: Iterable[tuple[Any, ...]]) -> list[User]:
    """Make users of rows with one role each, in the order of the rows."""
    found: dict[int, User] = {}
    roles: dict[int, list[str]] = {}
    for *fields, role in rows:
        user = found.setdefault(fields[0], _user_of(fields))
        roles.setdefault(user.id, []).extend([role] if role is not None else [])
    return [replace(user, roles=tuple(roles[user.id])) for user in found.values()]


def _user_of(fields: list[Any]) -> User:
    user = User(*fields)
    return replace(user, must_change_password=user.must_change_password is not None)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise AccountError(*problems)
