"""How the tables of accounts are written.

Writers go one after the other: SQLite has one writer anyway, on MySQL each first locks the row of
the role Administrator. So what a writer has looked at is still so when it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.contracts import ADMINISTRATOR
from appliance.plugins.sql_accounts.account_models import Models
from appliance.sql import MYSQL
from appliance.sql.database import SqlDatabase


class AccountWriter:
    """The appliance database, with the models of accounts."""

    def __init__(self, database: SqlDatabase, models: Models) -> None:
        self.database, self.models = database, models

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run a block as the only writer of accounts."""
        role = self.models.role
        with self.database.transaction(write=True):
            if self.database.kind == MYSQL:
                list(role.select().where(role.name == ADMINISTRATOR).for_update())
            yield
