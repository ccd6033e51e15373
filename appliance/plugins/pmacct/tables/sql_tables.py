"""Tables of pmacct: their names with variables, how they are made, and the statements for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.errors import StorageError
from appliance.plugins.pmacct.configuration.aggregates import Kind
from appliance.plugins.pmacct.tables.aggregation import BIN
from appliance.plugins.pmacct.tables.plan import STAMPS, ColumnPlan, TablePlan
from appliance.plugins.pmacct.tables.texts import TextColumns, text_columns

TIME_VARIABLES = "dHmMsSwWYz"
LONGEST_NAME = 64
RowVariables = tuple[tuple[str, str], ...]
"""Variables of a name that differ from row to row, with their values."""

_PER_ROW = {"$peer_src_ip": "peer_src_ip", "$tag2": "tag2", "$tag": "tag"}


@dataclass(frozen=True, slots=True)
class Target:
    """Rows for one table: its name, the moment that its variables stand for, and the columns."""

    name: str
    moment: int
    columns: TextColumns
    row_variables: RowVariables = ()

    @property
    def n_rows(self) -> int:
        """How many."""
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of an aggregate for one table: their places in it, None for all of them."""

    name: str
    moment: int
    rows: NDArray[np.int64] | None = None
    row_variables: RowVariables = ()

    def with_rows_of(self, others: Sequence[Share]) -> Share:
        """Return this table with the rows of others as well."""
        if not others:
            return self
        rows = [share.rows for share in (self, *others) if share.rows is not None]
        return replace(self, rows=np.concatenate(rows))


def is_dynamic(name: str) -> bool:
    """Tell whether a name has variables."""
    return "%" in name or "$" in name


def expand_variables(
    text: str, plan: TablePlan, moment: int, row: Sequence[tuple[str, str]] = ()
) -> str:
    """Put the values of variables into a table's name or schema."""
    local = plan.times.calendar_time(moment)
    for letter in TIME_VARIABLES:
        if f"%{letter}" in text:
            text = text.replace(f"%{letter}", _time_variable(letter, moment, local))
    history = plan.history.seconds if plan.history is not None else 0
    zone = time.strftime("%z", local)
    fixed = (
        ("$ref", str(plan.refresh_seconds)),
        ("$hst", str(history)),
        ("$tzone", f"{zone[:3]}:{zone[3:]}"),
    )
    for name, value in (*fixed, *row):
        text = text.replace(name, value)
    return text


def target(table: Any, share: Share, plan: TablePlan, now: int) -> Target:
    """Return the rows of an aggregate that belong to one table."""
    part = table if share.rows is None else table.take(pa.array(share.rows))
    return Target(share.name, share.moment, text_columns(part, plan, now), share.row_variables)


def shares(table: Any, plan: TablePlan, now: int) -> list[Share]:
    """Split an aggregate by the tables that its variables name, those nearest to `now` first.

    Raises
    ------
    StorageError
        No table can have such a name.
    """
    by_name: dict[str, list[Share]] = {}
    for share in sorted(_groups(table, plan, now), key=lambda share: abs(share.moment - now)):
        by_name.setdefault(share.name, []).append(share)
    return [first.with_rows_of(others) for first, *others in by_name.values()]


def common_share(plan: TablePlan, moment: int) -> Share:
    """Return the table of a moment for rows of any exporter and tag, without rows."""
    return _share(plan, moment, _row_values(_row_columns(plan), {}), np.zeros(0, np.int64))


def create_statements(plan: TablePlan, target: Target, mysql: bool) -> list[str]:
    """Return what makes a table: its schema file, or pmacct's columns.

    Raises
    ------
    StorageError
        The schema file cannot be read.
    """
    if plan.schema is not None:
        text = _read(plan.schema)
        whole = expand_variables(text, plan, target.moment, target.row_variables)
        return [part.strip() for part in whole.split(";") if part.strip()]
    name = quote(target.name, mysql)
    columns = [_column_sql(n, kind, mysql) for n, kind in column_types(plan)]
    keys = [quote(column.name, mysql) for column in plan.keys if column.name]
    if plan.history is not None:
        keys.append(quote(STAMPS[0], mysql))
    # Rows of one key come with another start and end in each purge.
    if not plan.own and keys and not plan.is_stitched:
        columns.append(f"PRIMARY KEY ({', '.join(keys)})")
    ending = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" if mysql else ""
    return [f"CREATE TABLE {name} ({', '.join(columns)}){ending}"]


def column_types(plan: TablePlan) -> list[tuple[str, str]]:
    """Return each column of a table with its type in MySQL."""
    found: list[tuple[str, str]] = []
    for column in plan.columns:
        found.append((column.name, _sql_type(column, plan)))
        if column.kind is Kind.TIME and not plan.whole_seconds:
            found.append((f"{column.name}_residual", "INT UNSIGNED"))
    counters = [("packets", "BIGINT UNSIGNED"), ("bytes", "BIGINT UNSIGNED")]
    flows = [entry for entry in found if entry[0] == "flows"]
    found = [entry for entry in found if entry[0] != "flows"]
    stamps = [(name, "DATETIME") for name in STAMPS] if plan.history is not None else []
    columns = [*found, *counters, *flows, *stamps]
    moment = "BIGINT" if plan.times.epoch else "DATETIME"
    return [(name, moment if kind == "DATETIME" else kind) for name, kind in columns]


def quote(name: str, mysql: bool) -> str:
    """Quote an identifier."""
    return f"`{name}`" if mysql else f'"{name}"'


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"sql_table_schema {path}: {problem.lower()}") from error


def _time_variable(letter: str, moment: int, local: time.struct_time) -> str:
    return str(moment) if letter == "s" else time.strftime(f"%{letter}", local)


def _groups(table: Any, plan: TablePlan, now: int) -> Iterator[Share]:
    """Yield the rows of each combination of what the variables of a name stand for."""
    row_columns = _row_columns(plan)
    columns: dict[str, Any] = {}
    if is_dynamic(plan.table):
        texts = text_columns(table, plan, now) if row_columns else {}
        columns = {variable: texts[name] for variable, name in row_columns if name}
        columns |= {BIN: table[BIN]} if plan.history is not None else {}
    if not columns:
        yield _share(plan, now, _row_values(row_columns, {}))
        return
    keyed = pa.table(columns).append_column("row", pa.array(np.arange(len(table))))
    grouped = keyed.group_by(list(columns)).aggregate([("row", "list")])
    lists = grouped["row_list"].combine_chunks()
    rows, ends = lists.flatten().to_numpy(), lists.offsets.to_numpy()[1:]
    groups = grouped.drop_columns(["row_list"]).to_pylist()
    for group, places in zip(groups, np.split(rows, ends[:-1]), strict=True):
        yield _share(plan, group.get(BIN, now), _row_values(row_columns, group), places)


def _share(
    plan: TablePlan, moment: int, row: RowVariables, rows: NDArray[np.int64] | None = None
) -> Share:
    name = expand_variables(plan.table, plan, moment, row)
    long = len(name) > LONGEST_NAME
    if plan.database is not None and (long or "`" in name or '"' in name):
        raise StorageError(f"table name {name}: at most {LONGEST_NAME} characters, no quotes")
    return Share(name, moment, rows, row)


def _row_columns(plan: TablePlan) -> list[tuple[str, str]]:
    """Return the variables of a name that differ from row to row, with the columns they are."""
    by_name = {c.built_in.name: c.name for c in plan.keys if c.built_in and c.filler is None}
    found, text = [], plan.table
    for variable, primitive in _PER_ROW.items():
        if variable in text:
            text = text.replace(variable, "")
            found.append((variable, by_name.get(primitive, "")))
    return found


def _row_values(row_columns: list[tuple[str, str]], group: dict[str, Any]) -> RowVariables:
    values = [(variable, str(group.get(variable, "0"))) for variable, _ in row_columns]
    return tuple((variable, value.replace(".", "_")) for variable, value in values)


def _sql_type(column: ColumnPlan, plan: TablePlan) -> str:
    if column.kind in (Kind.ADDRESS, Kind.NET) and plan.numeric_hosts:
        return "VARBINARY(16)"
    if column.kind is Kind.PROTOCOL and plan.numeric_protocols:
        return "TINYINT UNSIGNED"
    return column.sql_type


def _column_sql(name: str, kind: str, mysql: bool) -> str:
    spelled = kind if mysql else kind.replace(" UNSIGNED", "")
    if name == STAMPS[1]:
        return f"{quote(name, mysql)} {spelled}"
    default = "''" if "CHAR" in kind or "BINARY" in kind else "0"
    ending = "" if kind == "DATETIME" else f" DEFAULT {default}"
    return f"{quote(name, mysql)} {spelled} NOT NULL{ending}"
