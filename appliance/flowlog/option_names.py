"""Names of applications and interfaces for an answer, as options records of the log tell them.

Names are looked for in the whole log, not in the range of the question: exporters tell them only
now and then. The newest counts.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from typing import Any

import pyarrow as pa

from appliance.flowlog.questions import FlowQuestion, Statement
from appliance.flowlog.search import FlowSearch
from appliance.flows import COLLECTION_TIME

_INTERFACES = ("ingress_interface", "egress_interface", "interface")
_EXPORTER = ("exporter_address_hi", "exporter_address_lo")


def with_names(search: FlowSearch, answer: Any) -> Any:
    """Return an answer of `top` with the names of its applications or interfaces.

    Parameters
    ----------
    search
        Asked once more where the answer has such a key; what it leaves out as damaged is added.

    Returns
    -------
    pyarrow.Table
        `application_name`, or `interface_name` and `interface_description`, follow the number; null
        where no exporter told a name. Of two interfaces the second's are called
        `egress_interface_name` and so on.

    Raises
    ------
    QueryError, StorageError
        The options records cannot be searched.
    """
    if "application_id" in answer.schema.names:
        answer = _with_application_names(search, answer)
    interfaces = [name for name in answer.schema.names if name in _INTERFACES]
    for index, interface in enumerate(interfaces):
        answer = _with_interface_names(
            search, answer, interface, interface if index else "interface"
        )
    return answer


def _with_application_names(search: FlowSearch, answer: Any) -> Any:
    keys = answer.column("application_id").to_pylist()
    sql = f"""SELECT application_id, arg_max(application_name, {COLLECTION_TIME}) AS name FROM log
        WHERE list_contains($keys, application_id) AND application_name <> '' GROUP BY ALL"""
    columns = frozenset({"application_id", "application_name", COLLECTION_TIME})
    rows = _options(search, Statement(sql, {"keys": _present(keys)}, columns))
    name_of = {row["application_id"]: row["name"] for row in rows}
    place = answer.schema.names.index("application_id") + 1
    cells = pa.array([name_of.get(key) for key in keys], pa.string())
    return answer.add_column(place, "application_name", cells)


def _with_interface_names(search: FlowSearch, answer: Any, interface: str, prefix: str) -> Any:
    numbers = answer.column(interface).to_pylist()
    number = "coalesce(nullif(ingress_interface, 0), egress_interface)"
    name_columns = ("interface_name", "interface_description")
    newest = ", ".join(
        f"arg_max(nullif({name}, ''), {COLLECTION_TIME}) AS {name}" for name in name_columns
    )
    sql = f"""SELECT address({", ".join(_EXPORTER)}) AS exporter, {number} AS number, {newest}
        FROM log WHERE list_contains($keys, {number})
        AND (interface_name <> '' OR interface_description <> '') GROUP BY ALL"""
    columns = frozenset({*_EXPORTER, *_INTERFACES[:2], *name_columns, COLLECTION_TIME})
    rows = _options(search, Statement(sql, {"keys": _present(numbers)}, columns))
    names_of = {(row["exporter"], row["number"]): row for row in rows}
    keys = list(zip(answer.column("exporter_address").to_pylist(), numbers, strict=True))
    place = answer.schema.names.index(interface)
    for offset, name in enumerate(name_columns, 1):
        cells = pa.array([names_of.get(key, {}).get(name) for key in keys], pa.string())
        column = name.replace("interface", prefix, 1)
        answer = answer.add_column(place + offset, column, cells)
    return answer


def _options(search: FlowSearch, statement: Statement) -> list[dict[str, Any]]:
    damaged = search.damaged
    rows: list[dict[str, Any]] = search.run(statement, FlowQuestion(options=True), True).to_pylist()
    search.damaged = [*damaged, *(text for text in search.damaged if text not in damaged)]
    return rows


def _present(keys: list[int | None]) -> list[int]:
    return [key for key in keys if key is not None]
