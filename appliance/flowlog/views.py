"""The views that users' SQL reads: addresses, times and counters as people mean them.

`flows` is what counts as traffic, with `octets`, `packets` and `flows` scaled by the sampling rate;
`records` all that was decoded but options, with its `kind`; `options` what options records told.
Numbers of flows that a plugin names, such as AS, have their names beside them.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from appliance.flowlog.number_names import name_expressions
from appliance.flowlog.questions import LAST_MS, printed_expression, shown_columns
from appliance.flowlog.schema import family_schema
from appliance.flows import COLLECTION_TIME, OCTETS_PREFIX, UNKNOWN_PROTOCOL, RecordKind
from appliance.protocols import PROTOCOL_NAMES

_SCALED = (
    "counter(octet_delta_count::DOUBLE * rate(sampling_rate)) AS octets",
    "counter(packet_delta_count::DOUBLE * rate(sampling_rate)) AS packets",
    "coalesce(delta_flow_count, 1) AS flows",
)


def _name_sql(column: str, names: Mapping[int, str]) -> str:
    """Return the expression that is a number's name, else the number."""
    cases = " ".join(f"WHEN {number} THEN '{name}'" for number, name in names.items())
    return f"CASE {column} {cases} ELSE {column}::VARCHAR END"


_KIND = _name_sql("coalesce(record_kind, 0)", {kind: kind.name.lower() for kind in RecordKind})
_PROTOCOL = _name_sql(f"coalesce(protocol_identifier, {UNKNOWN_PROTOCOL})", PROTOCOL_NAMES)


def stored_columns(options: bool, octets: Iterable[str]) -> list[str]:
    """Return the columns of a family's files, with those octets columns that are there."""
    return [*family_schema(options).names, *sorted(octets)]


def shown_expressions(options: bool, octets: Iterable[str]) -> list[str]:
    """Return the expressions of all that a family shows, names behind the numbers they are of."""
    columns = shown_columns(options, octets)
    names = {} if options else name_expressions(columns)
    pairs = ((printed_expression(column), names.get(column)) for column in columns)
    return [text for pair in pairs for text in pair if text]


def view_statements(
    relation: str, columns: list[str], options: bool, since_ms: int, until_ms: int
) -> Iterator[str]:
    """Return the statements that make a family's views.

    Parameters
    ----------
    relation
        A SELECT of `columns`.
    since_ms, until_ms
        Collection time of what the views hold, half open, milliseconds UTC.
    """
    octets = [name for name in columns if name.startswith(OCTETS_PREFIX)]
    shown = shown_expressions(options, octets)
    ranged = since_ms > 0 or until_ms < LAST_MS
    time = f"{COLLECTION_TIME} >= {since_ms} AND {COLLECTION_TIME} < {until_ms}"
    source = f"({relation})" + (f" WHERE {time}" if ranged else "")
    if options:
        yield f"CREATE VIEW options AS SELECT {', '.join(shown)} FROM {source}"
        return
    named = ", ".join([*shown, f"{_PROTOCOL} AS protocol", *_SCALED])
    yield f"CREATE VIEW records AS SELECT {_KIND} AS kind, {named} FROM {source}"
    yield "CREATE VIEW flows AS SELECT * EXCLUDE (kind) FROM records WHERE kind = 'flow'"
