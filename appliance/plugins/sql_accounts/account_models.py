"""The tables of accounts as peewee models; migrations make them (`appliance.sql`).

A model is bound to a database by making a subclass of it, so that one process can use several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.sql import table_names
from appliance.sql.lean_peewee import peewee


class Account(peewee.Model):
    """A user."""

    username = peewee.CharField(100)
    password_hash = peewee.CharField(100)
    stamp = peewee.CharField(32)
    firstname = peewee.CharField(45, null=True)
    lastname = peewee.CharField(45, null=True)
    email = peewee.CharField(100, null=True)
    created = peewee.DoubleField()
    updated = peewee.DoubleField()

    class Meta:
        """Which table."""

        table_name = table_names.ACCOUNT


class Role(peewee.Model):
    """A role that can be given; its row of the administrators is also what writers lock."""

    name = peewee.CharField(45, primary_key=True)

    class Meta:
        """Which table."""

        table_name = table_names.ROLE


class AccountRole(peewee.Model):
    """A role that a user has."""

    account = peewee.IntegerField()
    role = peewee.CharField(45)

    class Meta:
        """Which table."""

        table_name = table_names.ACCOUNT_ROLE


class Token(peewee.Model):
    """An API token, by the digest of it."""

    name = peewee.CharField(100)
    role = peewee.CharField(45)
    digest = peewee.CharField(64)
    created = peewee.DoubleField()
    expires = peewee.DoubleField(null=True)
    owner = peewee.IntegerField(null=True)

    class Meta:
        """Which table."""

        table_name = table_names.API_TOKEN


class Attempts(peewee.Model):
    """Failed sign-ins under one name."""

    name = peewee.CharField(80, primary_key=True)
    failures = peewee.IntegerField()
    latest = peewee.DoubleField()
    blocked_until = peewee.DoubleField()

    class Meta:
        """Which table."""

        table_name = table_names.SIGN_IN_ATTEMPTS


class SignInClient(peewee.Model):
    """A client that a user has signed in from."""

    account = peewee.IntegerField()
    client = peewee.CharField(45)
    latest = peewee.DoubleField()

    class Meta:
        """Which table."""

        table_name = table_names.SIGN_IN_CLIENT
        primary_key = peewee.CompositeKey("account", "client")


class Audit(peewee.Model):
    """An entry of the audit trail."""

    happened = peewee.DoubleField()
    who = peewee.CharField(100)
    address = peewee.CharField(45)
    action = peewee.CharField(200)
    detail = peewee.CharField(500)
    status = peewee.IntegerField(null=True)
    room = peewee.CharField(14)

    class Meta:
        """Which table."""

        table_name = table_names.AUDIT


class Totp(peewee.Model):
    """The second factor of a user."""

    account = peewee.IntegerField(primary_key=True)
    secret = peewee.CharField(64)
    is_on = peewee.BooleanField()
    used_step = peewee.BigIntegerField()

    class Meta:
        """Which table."""

        table_name = table_names.TOTP


class RecoveryCode(peewee.Model):
    """A code that stands for one of the second factor once, by the digest of it."""

    digest = peewee.CharField(64, primary_key=True)
    account = peewee.IntegerField()

    class Meta:
        """Which table."""

        table_name = table_names.RECOVERY_CODE


class PasswordDue(peewee.Model):
    """A user who must change the password before anything else."""

    account = peewee.IntegerField(primary_key=True)

    class Meta:
        """Which table."""

        table_name = table_names.PASSWORD_DUE


class Identity(peewee.Model):
    """Somebody whom another provider signs in, by a digest."""

    digest = peewee.CharField(64, primary_key=True)
    account = peewee.IntegerField()

    class Meta:
        """Which table."""

        table_name = table_names.IDENTITY


class AccountFilter(peewee.Model):
    """What a user sees at most."""

    account = peewee.IntegerField(primary_key=True)
    bound_to = peewee.CharField(4096)

    class Meta:
        """Which table."""

        table_name = table_names.ACCOUNT_FILTER


class Session(peewee.Model):
    """A sign-in of a user."""

    id = peewee.CharField(32, primary_key=True)
    account = peewee.IntegerField()
    created = peewee.DoubleField()
    used = peewee.DoubleField()
    expires = peewee.DoubleField()
    address = peewee.CharField(45)
    user_agent = peewee.CharField(200)

    class Meta:
        """Which table."""

        table_name = table_names.SESSION


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one database."""

    account: Any
    role: Any
    account_role: Any
    token: Any
    attempts: Any
    client: Any
    audit: Any
    totp: Any
    recovery_code: Any
    session: Any
    identity: Any
    password_due: Any
    account_filter: Any


def models_of(connection: Any) -> Models:
    """Return the models bound to a peewee database."""
    return Models(
        *(_bind(model, connection) for model in (Account, Role, AccountRole)),
        *(_bind(model, connection) for model in (Token, Attempts, SignInClient, Audit)),
        *(_bind(model, connection) for model in (Totp, RecoveryCode, Session)),
        *(_bind(model, connection) for model in (Identity, PasswordDue, AccountFilter)),
    )


def _bind(model: Any, connection: Any) -> Any:
    options = {"database": connection, "table_name": model._meta.table_name}
    if isinstance(model._meta.primary_key, peewee.CompositeKey):
        options["primary_key"] = model._meta.primary_key
    return type(model.__name__, (model,), {"Meta": type("Meta", (), options)})
