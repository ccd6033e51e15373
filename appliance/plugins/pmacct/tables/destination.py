"""The database of a table, and how rows get into it: all of a purge in one transaction.

Beside the rows the transaction holds the cursor behind them, in the table `appliance_progress`. New
rows are inserted, in MySQL by LOAD DATA; rows that may be there already go by way of a temporary
table, so that the database finds out itself which to add to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pymysql

from appliance.flowlog import Cursor
from appliance.plugins.pmacct.configuration.aggregates import Kind
from appliance.plugins.pmacct.tables.plan import STAMPS, TablePlan
from appliance.plugins.pmacct.tables.row_writing import (
    insert_by_tens,
    load_rows,
    numeric_hosts,
    row_tuples,
    value_marks,
)
from appliance.plugins.pmacct.tables.sql_tables import Target, create_statements, quote
from appliance.plugins.pmacct.tables.triggers import PurgeCounts
from appliance.plugins.pmacct.tables.waiting import (
    COUNTERS,
    drop_waiting,
    make_waiting,
    merge_waiting,
    set_clause,
)
from appliance.sql import MYSQL
from appliance.sql.addresses import DatabaseAddress
from appliance.sql.database import SqlDatabase
from appliance.sql.lean_peewee import peewee
from appliance.sql.table_names import PURGED_ROWS, TABLE_PROGRESS

_MYSQL_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
_TABLES = {
    False: ("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')", "name"),
    True: (_MYSQL_TABLES, "table_name"),
}
"""Whether it is MySQL: what lists all tables, and the column with their names."""

_NO_SUCH_PRIVILEGE = (1044, 1142, 1227)
_LOCAL_REFUSED = (1148, 2068, 3948, 4166)


class Position(NamedTuple):
    """How far the log is in a table: cursors behind the flows and the options records."""

    flows: Cursor = Cursor()
    options: Cursor = Cursor()

    @classmethod
    def of(cls, content: Any) -> Position:
        """Return what `content` has told."""
        return cls(Cursor(*content["flows"]), Cursor(*content["options"]))

    def content(self) -> dict[str, Cursor]:
        """Return it as JSON knows it."""
        return self._asdict()


class Destination(SqlDatabase):
    """A database with tables of pmacct, opened when it is first used."""

    def __init__(self, address: DatabaseAddress) -> None:
        super().__init__(address, _prepare, mysql={"local_infile": True})
        self.is_mysql = self.kind == MYSQL
        self.local_data = self.temporary = True
        self._tables: set[str] = set()
        self.counts = PurgeCounts()

    def position(self, plugin: str) -> Position | None:
        """Return how far a plugin's table is; None when it was never written."""
        query = f"SELECT content FROM {TABLE_PROGRESS} WHERE plugin = ?"
        found = self.rows(query, (plugin,))
        if not found:
            return None
        return Position.of(json.loads(found[0][0]))

    def purge(self, plan: TablePlan, targets: Sequence[Target], position: Position) -> list[str]:
        """Write rows and the cursor behind them.

        Returns
        -------
        list
            Sentences about rows that the database refused, and tables without transactions.

        Raises
        ------
        StorageError
            Nothing is written.
        """
        warnings: list[str] = []
        self.counts = PurgeCounts()
        for target in targets:
            warnings += self._ensure(plan, target)
        try:
            with self.transaction(write=True):
                for target in targets:
                    warnings += self._write(plan, target)
                self.execute(
                    f"REPLACE INTO {TABLE_PROGRESS} (plugin, content) VALUES (?, ?)",
                    (plan.plugin, json.dumps(position.content())),
                )
        except BaseException:
            self._tables.clear()
            raise
        return warnings

    def has_table(self, name: str) -> bool:
        """Tell whether a table is there."""
        query, column = _TABLES[self.is_mysql]
        return bool(self.rows(f"{query} AND {column} = ?", (name,)))

    def missing_names(self, names: Iterable[str]) -> set[str]:
        """Return which of these tables are not there.

        Raises
        ------
        StorageError
            The database is away.
        """
        unknown = {name for name in names if name not in self._tables}
        if not unknown:
            return set()
        with self.transaction():
            there = {str(row[0]).lower() for row in self.rows(_TABLES[self.is_mysql][0])}
        return {name for name in unknown if name.lower() not in there}

    def _ensure(self, plan: TablePlan, target: Target) -> list[str]:
        """Make a table that is missing; say when one has no transactions."""
        if target.name in self._tables:
            return []
        warnings: list[str] = []
        with self.transaction(write=True):
            if not self.has_table(target.name):
                for statement in create_statements(plan, target, self.is_mysql):
                    # pymysql takes % for a parameter only when there are any.
                    self.connection.connection().cursor().execute(statement)
            engine = self._engine(target.name)
            if engine not in ("", "InnoDB"):
                warnings.append(
                    f"table {target.name} has the engine {engine}, which has no transactions: a"
                    " crash while it is written can repeat rows (ALTER TABLE ... ENGINE=InnoDB)"
                )
        self._tables.add(target.name)
        return warnings

    def _engine(self, table: str) -> str:
        if not self.is_mysql:
            return ""
        query = _MYSQL_TABLES.replace("table_name", "engine")
        found = self.rows(f"{query} AND table_name = ?", (table,))
        return str(found[0][0] or "") if found else ""

    def _write(self, plan: TablePlan, target: Target) -> list[str]:
        if not target.n_rows:
            return []
        known = self._bins_with_rows(plan, target)
        if known is None:
            return self._insert(plan, target, target.name)
        new = target.columns[STAMPS[0]].to_numpy(zero_copy_only=False) if known else None
        if new is None:
            return self._update(plan, target)
        there = pa.array([stamp in known for stamp in new])
        warnings = self._insert(plan, _where(target, pa.compute.invert(there)), target.name)
        return warnings + self._update(plan, _where(target, there))

    def _bins_with_rows(self, plan: TablePlan, target: Target) -> set[str | int] | None:
        """Return the bins of which there are rows: empty where there are no bins, None for none."""
        if not plan.update:
            return None
        name = quote(target.name, self.is_mysql)
        if plan.history is None:
            found = self.rows(f"SELECT 1 FROM {name} LIMIT 1")
            return set() if found else None
        mark = value_marks(plan, (STAMPS[0],), self.is_mysql)[0]
        query = f"SELECT 1 FROM {name} WHERE {STAMPS[0]} = {mark} LIMIT 1"
        stamps = target.columns[STAMPS[0]].unique().to_pylist()
        return {stamp for stamp in stamps if self.rows(query, (stamp,))} or None

    def _insert(self, plan: TablePlan, target: Target, table: str) -> list[str]:
        """Insert rows; a row that clashes with one that is there is left out and counted."""
        if not target.n_rows:
            return []
        written = self._load(plan, target, table) if self.is_mysql and self.local_data else None
        if written is None:
            written = self._insert_rows(plan, target, table)
        refused = target.n_rows - written
        if table != PURGED_ROWS:
            self.counts.inserted += written
        reason = self._reason(refused)
        if refused > 0:
            return [f"table {table}: {refused} of {target.n_rows} rows refused: {reason}"]
        return [f"table {table}: values changed by the database: {reason}"] if reason else []

    def _reason(self, refused: int) -> str:
        """Return what the database says of rows that it has just taken; empty: nothing."""
        if self.is_mysql:
            found = self.rows("SHOW WARNINGS LIMIT 1")
            return str(found[0][2]) if found else ""
        return "duplicate entry, or empty where it must not be" if refused > 0 else ""

    def _insert_rows(self, plan: TablePlan, target: Target, table: str) -> int:
        names = ", ".join(quote(name, self.is_mysql) for name in target.columns)
        marks = ", ".join(value_marks(plan, target.columns, self.is_mysql))
        sql = f"{self.dialect.ignore} INTO {quote(table, self.is_mysql)} ({names}) VALUES"
        rows = row_tuples(target, set() if self.is_mysql else numeric_hosts(plan))
        if not self.is_mysql:
            connection = self.connection.connection()
            before = connection.total_changes
            insert_by_tens(connection.cursor(), sql, f"({marks})", rows)
            return int(connection.total_changes - before)
        if plan.multi_values:
            self.connection.connection().cursorclass.max_stmt_length = plan.multi_values
        return self.executemany(f"{sql} ({marks})", list(rows))

    def _load(self, plan: TablePlan, target: Target, table: str) -> int | None:
        """Load rows from a file that the server asks this client for; None when it does not."""
        try:
            return load_rows(self.connection.connection(), plan, target, table)
        except pymysql.MySQLError as error:
            if error.args[:1] and error.args[0] in _LOCAL_REFUSED:
                self.local_data = False
                return None
            raise

    def _update(self, plan: TablePlan, target: Target) -> list[str]:
        """Add to the rows that are there, insert the others."""
        if not target.n_rows:
            return []
        if not self._make_waiting(plan, target):
            return self._update_rows(plan, target)
        try:
            self._insert(plan, target, PURGED_ROWS)
            keys = _key_names(plan, target)
            flags = _flag_names(plan)
            inserted = merge_waiting(self, target.name, list(target.columns), keys, flags)
            self.counts.inserted += inserted
            self.counts.updated += target.n_rows - inserted
        finally:
            drop_waiting(self)
        return []

    def _make_waiting(self, plan: TablePlan, target: Target) -> bool:
        """Make the temporary table with the types of the real one; False when not allowed."""
        if not self.temporary:
            return False
        try:
            make_waiting(self, target.name, target.columns, _key_names(plan, target))
        except peewee.PeeweeException as error:
            if error.args[:1] and error.args[0] in _NO_SUCH_PRIVILEGE:
                self.temporary = False
                return False
            raise
        return True

    def _update_rows(self, plan: TablePlan, target: Target) -> list[str]:
        """Add row by row, as nfacctd does."""
        keys = _key_names(plan, target)
        table = quote(target.name, self.is_mysql)
        marks = value_marks(plan, keys, self.is_mysql)
        pairs = zip(self._all_quoted(keys), marks, strict=True)
        equal = " AND ".join(f"{key} = {mark}" for key, mark in pairs) or "1 = 1"
        sums = [name for name in target.columns if name not in keys and name != STAMPS[0]]
        new = dict(zip(self._all_quoted(sums), value_marks(plan, sums, self.is_mysql), strict=True))
        flags = _flag_names(plan)
        changes = set_clause(target.columns, flags, new.__getitem__, self.is_mysql, old="{0}")
        sql = f"UPDATE {table} SET {changes} WHERE {equal}"
        there = []
        columns = {name: column.to_pylist() for name, column in target.columns.items()}
        for row in range(target.n_rows):
            given = [columns[name][row] for name in (*sums, *keys)]
            there.append(self.execute(sql, given).rowcount > 0)
        self.counts.updated += sum(there)
        missing = _where(target, pa.compute.invert(pa.array(there)))
        return self._insert(plan, missing, target.name)

    def _all_quoted(self, names: Any) -> list[str]:
        return [quote(name, self.is_mysql) for name in names]


def _flag_names(plan: TablePlan) -> set[str]:
    return {c.name for c in plan.columns if c.kind is Kind.FLAGS}


def _key_names(plan: TablePlan, target: Target) -> list[str]:
    """Return the columns that tell rows apart; flags and sums are none."""
    others = {*COUNTERS, STAMPS[1], *_flag_names(plan)}
    return [name for name in target.columns if name not in others]


def _where(target: Target, mask: Any) -> Target:
    columns = {name: column.filter(mask) for name, column in target.columns.items()}
    return Target(target.name, target.moment, columns, target.row_variables)


def _prepare(database: SqlDatabase) -> None:
    database.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE_PROGRESS}"
        " (plugin VARCHAR(190) NOT NULL PRIMARY KEY, content VARCHAR(1000) NOT NULL)"
    )
