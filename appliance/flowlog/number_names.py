"""Names beside the numbers of an answer, as plugins know them, such as those of AS."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from appliance.value_names import is_named, names_of


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
        texts = names_of(field.name, answer.column(field.name).to_pylist())
        place = answer.schema.get_field_index(field.name) + 1
        answer = answer.add_column(place, name_column(field.name), pa.array(texts, pa.string()))
    return answer


def name_column(number: str) -> str:
    """Return what the column with the names of a column's numbers is called."""
    return f"{number.removesuffix('_number')}_name"
