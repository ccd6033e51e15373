"""Names of applications, interfaces and VRFs for an answer, as options records of the log say them;
plugins know others.

What people call an interface goes before, then what is known of it beside the log
(`appliance.interface_history`), in the range of the question.

Names are searched in the whole log, not in the range of the question: exporters repeat them only
now and then. A name belongs to the session whose exporter said it (RFC 7011 section 8): of one
session the newest counts, and a session that fell silent before another one of its address began
is the same exporter before a restart. Sessions side by side, as behind one NAT, each keep theirs.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

import pyarrow as pa

from appliance.flowlog.number_names import with_number_names
from appliance.flowlog.questions import FlowQuestion, Statement
from appliance.flowlog.search import FlowSearch
from appliance.flows import COLLECTION_TIME
from appliance.interface_history import InterfaceKey, history_beside

EXPORTER = ("exporter_address_hi", "exporter_address_lo")
_SESSION = ("exporter_transport_port", "observation_domain_id")
_SEPARATOR = " / "
MAX_JOINED = 3
"""Names that a row shows where its sessions differ."""


@dataclass(frozen=True, slots=True)
class NameKind:
    """A kind of number that options records give names.

    Attributes
    ----------
    noun
        What names of columns begin with.
    answers
        Columns of answers that hold such a number.
    numbers
        Columns of options records that hold it: the first that is there and not 0.
    names
        Columns of options records.
    of_exporter
        The number means something else at each exporter: answers have the exporter beside it.
    """

    noun: str
    answers: tuple[str, ...]
    numbers: tuple[str, ...]
    names: tuple[str, ...]
    of_exporter: bool = True

    @property
    def number(self) -> str:
        """The SQL of the number in an options record."""
        return f"coalesce({', '.join(f'nullif({column}, 0)' for column in self.numbers)})"


APPLICATIONS = NameKind(
    "application", ("application_id",), ("application_id",), ("application_name",), False
)
INTERFACES = NameKind(
    "interface",
    ("ingress_interface", "egress_interface", "interface"),
    ("ingress_interface", "egress_interface"),
    ("interface_name", "interface_description"),
)
VRFS = NameKind(
    "vrf",
    ("ingress_vrf_id", "egress_vrf_id", "vrf_id"),
    ("ingress_vrf_id", "egress_vrf_id"),
    ("vrf_name",),
)
NAME_KINDS = (APPLICATIONS, INTERFACES, VRFS)

_Row = Mapping[str, Any]
_Names = Mapping[Hashable, Sequence[_Row]]


def needs_exporters(columns: Sequence[str]) -> bool:
    """Tell whether columns of an answer have numbers that any exporter of the log may name."""
    has_exporter = "exporter_address" in columns
    return not has_exporter and any(name in APPLICATIONS.answers for name in columns)


def with_names(
    search: FlowSearch,
    answer: Any,
    span_ms: tuple[int, int],
    exporters: Collection[str] | None = None,
) -> Any:
    """Return an answer of `top` with the names of its applications, interfaces, VRFs or AS.

    Parameters
    ----------
    search
        Asked once more for each kind that the answer has; what it leaves out as damaged is added.
    span_ms
        The range of the answer, milliseconds UTC: an ifIndex may have been another interface's.
    exporters
        Addresses of those whose names count; None: all. Of an answer with exporters in its rows
        each row has the names of its own anyway.

    Returns
    -------
    pyarrow.Table
        `application_name`, `vrf_name`, or `interface_name` and `interface_description`, follow the
        number; null where no exporter says a name. Where sessions in one row differ, up to
        `MAX_JOINED` names with " / " between them. Of two interfaces the second's are called
        `egress_interface_name` and so on. What plugins name is as `with_number_names` says.

    Raises
    ------
    QueryError, StorageError
        The options records cannot be searched.
    """
    for kind in NAME_KINDS:
        numbers = [name for name in answer.schema.names if name in kind.answers]
        if not numbers:
            continue
        by_exporter = kind.of_exporter or "exporter_address" in answer.schema.names
        said = _sessions(search, kind, answer.select(numbers), exporters)
        names = _names(said, by_exporter)
        if kind is INTERFACES:
            names = _with_history(search, names, _keys(answer, numbers, by_exporter), span_ms)
        for index, number in enumerate(numbers):
            prefix = number.removesuffix("_id") if index else kind.noun
            answer = _add_columns(answer, number, kind, prefix, (names, by_exporter))
    return with_number_names(answer)


def _add_columns(
    answer: Any, number: str, kind: NameKind, prefix: str, source: tuple[_Names, bool]
) -> Any:
    """Return the answer with the names of one of its numbers behind it."""
    names, by_exporter = source
    keys = _keys(answer, (number,), by_exporter)
    place = answer.schema.names.index(number)
    for offset, column in enumerate(kind.names, 1):
        cells = pa.array([_join_names(names.get(key, ()), column) for key in keys], pa.string())
        title = column.replace(kind.noun, prefix, 1)
        answer = answer.add_column(place + offset, title, cells)
    return answer


def _keys(answer: Any, numbers: Sequence[str], by_exporter: bool) -> list[Hashable]:
    """Return the numbers of an answer, column by column, with their exporters where they count."""
    keys: list[Hashable] = [key for name in numbers for key in answer.column(name).to_pylist()]
    if not by_exporter:
        return keys
    exporters = answer.column("exporter_address").to_pylist() * len(numbers)
    return list(zip(exporters, keys, strict=True))


def _with_history(
    search: FlowSearch, names: _Names, keys: Sequence[Hashable], span_ms: tuple[int, int]
) -> _Names:
    """Return names of interfaces with what is known of them beside the log in place of theirs."""
    interfaces = cast(set[InterfaceKey], set(keys))
    history = history_beside(search.directory).interface_names(interfaces, *span_ms)
    merged = dict(names)
    for key, known in history.items():
        rows = names.get(key, ())
        own = (known.own,) if known.own else ()
        columns = (own or known.names, known.aliases)
        of_options = [[row[column] for row in rows] for column in INTERFACES.names]
        pairs = zip_longest(*(a or b for a, b in zip(columns, of_options, strict=True)))
        merged[key] = [dict(zip(INTERFACES.names, pair, strict=True)) for pair in pairs]
    return merged


def _sessions(
    search: FlowSearch, kind: NameKind, numbers: Any, exporters: Collection[str] | None
) -> Mapping[tuple[str, int], list[_Row]]:
    """Return the sessions that name a number, by exporter and number."""
    keys = {key for column in numbers.columns for key in column.to_pylist() if key}
    newest = ", ".join(
        f"arg_max(nullif({name}, ''), {COLLECTION_TIME}) AS {name}" for name in kind.names
    )
    has_name = " OR ".join(f"{name} <> ''" for name in kind.names)
    sql = f"""SELECT address({", ".join(EXPORTER)}) AS exporter, {", ".join(_SESSION)},
        {kind.number} AS number, {newest},
        min({COLLECTION_TIME}) AS first_ms, max({COLLECTION_TIME}) AS last_ms
        FROM log WHERE list_contains($keys, {kind.number}) AND ({has_name}) GROUP BY ALL"""
    columns = frozenset({*EXPORTER, *_SESSION, *kind.numbers, *kind.names, COLLECTION_TIME})
    sessions: dict[tuple[str, int], list[_Row]] = defaultdict(list)
    for row in _options(search, Statement(sql, {"keys": sorted(keys)}, columns)):
        if exporters is None or row["exporter"] in exporters:
            sessions[row["exporter"], row["number"]].append(row)
    return sessions


def _names(sessions: Mapping[tuple[str, int], list[_Row]], by_exporter: bool) -> _Names:
    """Return the sessions that name a number, the newest first, by the number or exporter too."""
    names: dict[Hashable, list[_Row]] = defaultdict(list)
    for key, rows in sessions.items():
        names[key if by_exporter else key[1]] += _without_ended(rows)
    return {key: sorted(rows, key=lambda row: -row["last_ms"]) for key, rows in names.items()}


def _without_ended(rows: Sequence[_Row]) -> list[_Row]:
    """Leave out sessions of an exporter that fell silent before its newest began."""
    newest = max(rows, key=lambda row: row["last_ms"])
    return [row for row in rows if row["last_ms"] >= newest["first_ms"]]


def _join_names(rows: Iterable[_Row], column: str) -> str | None:
    names = list(dict.fromkeys(row[column] for row in rows if row[column]))
    shown = names[:MAX_JOINED] + ["…"] * (len(names) > MAX_JOINED)
    return _SEPARATOR.join(shown) or None


def _options(search: FlowSearch, statement: Statement) -> list[dict[str, Any]]:
    damaged = search.damaged
    rows: list[dict[str, Any]] = search.run(statement, FlowQuestion(options=True), True).to_pylist()
    search.damaged = [*damaged, *(text for text in search.damaged if text not in damaged)]
    return rows
