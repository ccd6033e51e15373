"""What the numbers in columns are called, such as AS, as plugins know it: the one table of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from appliance.contracts import Registered, ValueNames
from appliance.errors import ApplianceError
from appliance.guard import Guard, PluginFailures
from appliance.guard.values import mapping, of_type, optional, whole

_PART = "names"


class _Entry(NamedTuple):
    guard: Guard
    value_names: ValueNames


_BY_COLUMN: dict[str, _Entry] = {}


def set_value_names(entries: Iterable[Registered[ValueNames]], failures: PluginFailures) -> None:
    """Take over what plugins registered, in the place of what they registered before.

    Like the columns of plugins, names are asked for in every part that answers, and who tells them
    does not change while a process runs. `app.build_app` calls it once.
    """
    _BY_COLUMN.clear()
    for entry in entries:
        named = _Entry(Guard(entry.plugin, _PART, failures), entry.value)
        _BY_COLUMN.update(dict.fromkeys(entry.value.columns, named))


def is_named(column: str) -> bool:
    """Tell whether a plugin names the numbers of a column."""
    return column in _BY_COLUMN


def all_names(column: str) -> Mapping[int, str]:
    """Return every name of a column's numbers; none where nobody tells any, or it fails."""
    if column not in _BY_COLUMN:
        return {}
    guard, known = _BY_COLUMN[column]

    try:
        return guard.call(known.names, _names)
    except ApplianceError:
        return {}


def names_of(column: str, numbers: Sequence[int | None]) -> list[str | None]:
    """Return the name of each of some numbers, None where there is none.

    A plugin that fails here is counted: numbers without names are an answer, too.
    """
    guard, known = _BY_COLUMN[column]

    def texts() -> list[Any]:
        names = mapping(known.names())
        return [names.get(number) for number in numbers]

    try:
        return guard.call(texts, _texts)
    except ApplianceError:
        return [None] * len(numbers)


def _names(value: object) -> Mapping[int, str]:
    return {whole(number): _text(text) for number, text in mapping(value).items()}


def _texts(value: object) -> list[str | None]:
    return [optional(_text)(text) for text in of_type(value, list)]


def _text(value: object) -> str:
    text = of_type(value, str)
    # One with half a surrogate pair, which no answer can hold, raises ValueError.
    if b"\0" in text.encode():
        raise ValueError("a name with a zero octet, where SQL ends")
    return text
