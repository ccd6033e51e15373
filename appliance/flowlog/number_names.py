"""Names beside the numbers of an answer, as plugins know them, such as those of AS.

Each distinct number is looked up once, so that names of many flows cost little.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.flows import COLUMN, columns_of_log
from appliance.value_names import all_names, is_named, names_of

_FUNCTION = "names_of_"
_SQL_TYPES = {"u1": "UTINYINT", "u2": "USMALLINT", "u4": "UINTEGER", "u8": "UBIGINT"}


def with_number_names(answer: Any) -> Any:
    """Return an answer with a column of names behind each of numbers that a plugin names.

    Returns
    -------
    pyarrow.Table
        `bgp_as_name` follows `bgp_as_number`, and so on; null where there is no name. A number
        that is printed as its name already has none beside it.
    """
    for field in answer.schema:
        if not is_named(field.name) or not pa.types.is_integer(field.type):
            continue
        names = _names(field.name, answer.column(field.name).combine_chunks())
        place = answer.schema.get_field_index(field.name) + 1
        answer = answer.add_column(place, name_column(field.name), names)
    return answer


def name_expressions(columns: Iterable[str]) -> dict[str, str]:
    """Return, by column that a plugin names, the SQL of its names; see `create_name_functions`.

    A column whose numbers are printed as their names has none.
    """
    return {
        column: f"{_FUNCTION}{column}({column}) AS {name_column(column)}"
        for column in columns
        if is_named(column) and _sql_type(column) and not COLUMN[column].has_names
    }


def create_name_functions(connection: Any) -> None:
    """Make the functions of `name_expressions` in a DuckDB, which calls one only where an answer
    has its names."""
    for column in name_expressions(column.name for column in columns_of_log(False)):
        connection.create_function(
            f"{_FUNCTION}{column}",
            _NameLookup(column),
            [connection.type(_sql_type(column))],
            connection.type("VARCHAR"),
            type="arrow",
            null_handling="special",
        )


def _sql_type(column: str) -> str:
    return _SQL_TYPES.get(COLUMN[column].dtype.str[1:], "") if column in COLUMN else ""


class _NameLookup:
    """Returns the names of Arrow arrays of numbers; all of them are read when the first is wanted.

    DuckDB asks for 2048 at a time, of which most may differ: a search in order beats a dictionary.
    """

    def __init__(self, column: str) -> None:
        self._column = column

    @cached_property
    def _known(self) -> tuple[NDArray[np.uint64], Any]:
        names = {number: text for number, text in all_names(self._column).items() if number >= 0}
        numbers = sorted(names)
        texts = pa.array([names[number] for number in numbers], pa.string())
        return np.array(numbers, np.uint64), texts

    def __call__(self, numbers: Any) -> Any:
        keys, texts = self._known
        values = numbers.combine_chunks()
        if not len(keys):
            return pa.nulls(len(values), pa.string())
        wanted = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        is_named = (keys[places] == wanted) & values.is_valid().to_numpy(zero_copy_only=False)
        return texts.take(pa.array(places, mask=~is_named))


def _names(column: str, numbers: Any) -> Any:
    """Return the names of an Arrow array of numbers, null where there is none."""
    encoded = numbers.dictionary_encode()
    texts = names_of(column, encoded.dictionary.to_pylist())
    return pa.array(texts, pa.string()).take(encoded.indices)


def name_column(number: str) -> str:
    """Return what the column with the names of a column's numbers is called."""
    return f"{number.removesuffix('_number')}_name"
