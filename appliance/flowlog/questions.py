"""Questions to the flow log as values, and the SQL that answers them.

Each SQL text reads from a relation called `log`, whose columns are those of `appliance.flows`;
`search` supplies it. Sums are scaled by the sampling rate unless the question says raw.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from appliance.errors import InvalidQueryError
from appliance.flowlog.conditions import (
    ADDRESSES,
    ALIASES,
    EITHER_SIDE,
    Condition,
    condition_columns,
    where_branches,
)
from appliance.flows import (
    COLLECTION_TIME,
    COLUMN,
    COLUMNS,
    OCTETS_PREFIX,
    UNKNOWN_PROTOCOL,
    columns_of_log,
    plugin_columns,
)

LAST_MS = 2**62

SERVICE = "service_port"
SECOND = "second"
COMPUTED = {
    SERVICE: (
        "least(source_transport_port, destination_transport_port)",
        ("source_transport_port", "destination_transport_port"),
    ),
    SECOND: ("collection_time_milliseconds // 1000", (COLLECTION_TIME,)),
}
"""What is not a column but made of some: its SQL, and those columns."""

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "source": ("source_address",),
    "destination": ("destination_address",),
    "host": ("host_address",),
    "pair": ("source_address", "destination_address"),
    "service": ("protocol_identifier", SERVICE),
    "port": ("transport_port",),
    "source_port": ("source_transport_port",),
    "destination_port": ("destination_transport_port",),
    "protocol": ("protocol_identifier",),
    "application": ("application_id",),
    "exporter": ("exporter_address",),
    "interface": ("exporter_address", "interface"),
    "ingress_interface": ("exporter_address", "ingress_interface"),
    "egress_interface": ("exporter_address", "egress_interface"),
    "as": ("bgp_as_number",),
    "source_as": ("bgp_source_as_number",),
    "destination_as": ("bgp_destination_as_number",),
    "next_hop": ("ip_next_hop_address",),
    "direction": ("flow_direction",),
    "tos": ("ip_class_of_service",),
    "vlan": ("vlan_id",),
    "version": ("export_protocol_version",),
    "second": (SECOND,),
}
"""What `top` can group by without plugins, and the columns of each."""

SIDES: dict[str, tuple[str, str]] = {
    DIMENSIONS[name][-1]: columns for name, columns in EITHER_SIDE.items()
}
"""What is a column of either side: a flow counts for both, and once where both are the same."""

_NEVER_ZERO = ("application_id", "bgp_source_as_number", "bgp_destination_as_number", "vlan_id")

ORDERS = {
    "time": "collection_time_milliseconds",
    "newest": "collection_time_milliseconds DESC",
    "octets": "octet_delta_count DESC",
    "packets": "packet_delta_count DESC",
    "duration": "flow_end_milliseconds - flow_start_milliseconds DESC",
}
MEASURES = ("octets", "packets", "flows")
_MEASURED = ", ".join(f"counter({name}) AS {name}" for name in MEASURES)

DEFAULT_COLUMNS = (
    "collection_time_milliseconds",
    "exporter_address",
    "flow_start_milliseconds",
    "flow_end_milliseconds",
    "protocol_identifier",
    "source_address",
    "source_transport_port",
    "destination_address",
    "destination_transport_port",
    "octet_delta_count",
    "packet_delta_count",
    "sampling_rate",
    "ingress_interface",
    "egress_interface",
)


@dataclass(frozen=True)
class FlowQuestion:
    """Which single records to show.

    Attributes
    ----------
    since_ms, until_ms
        Collection time, half open, milliseconds UTC.
    conditions
        All must hold.
    limit
        Most rows; None for all.
    order
        A key of `ORDERS`, or None for any.
    options
        Options records instead of flows and events.
    columns
        Columns or addresses to show; empty for all that the log has.
    """

    since_ms: int = 0
    until_ms: int = LAST_MS
    conditions: tuple[Condition, ...] = ()
    limit: int | None = 100
    order: str | None = "newest"
    options: bool = False
    columns: tuple[str, ...] = DEFAULT_COLUMNS


@dataclass(frozen=True)
class TopQuestion:
    """Who or what made the most traffic.

    Attributes
    ----------
    by
        A key of `dimensions()`.
    order
        "octets", "packets" or "flows".
    other
        Add a row without keys: what the shown rows leave of the total. Not by what either side has.
    total
        Add a last row without keys: the sum over all flows, each counted once; none without flows.
    raw
        Do not scale by the sampling rate.
    """

    by: str
    since_ms: int = 0
    until_ms: int = LAST_MS
    conditions: tuple[Condition, ...] = ()
    limit: int = 10
    order: str = "octets"
    other: bool = False
    total: bool = False
    raw: bool = False


class Statement(NamedTuple):
    """SQL over `log`, its named parameters, and the columns of the log that it reads."""

    sql: str
    parameters: dict[str, Any]
    columns: frozenset[str]


def dimensions() -> dict[str, tuple[str, ...]]:
    """Return what `top` can group by and the columns of each: ours, and columns of plugins."""
    return DIMENSIONS | {column.name: (column.name,) for column in plugin_columns()}


def taken_names() -> set[str]:
    """Return the names that mean something in questions, which no plugin's column may have."""
    ours = {column.name for column in COLUMNS}
    return ours | {*ADDRESSES, *ALIASES, *DIMENSIONS, *COMPUTED, *SIDES, *MEASURES, "kind"}


def flows_statement(question: FlowQuestion, octets: Iterable[str] = ()) -> Statement:
    """Return the statement that lists records."""
    if question.order is not None and question.order not in ORDERS:
        raise InvalidQueryError(f"cannot order by {question.order!r}, expected {', '.join(ORDERS)}")
    shown = question.columns or shown_columns(question.options, octets)
    stored = frozenset(name for item in shown for name in _stored(item))
    order = ORDERS.get(question.order or "")
    reads = stored | condition_columns(question.conditions) | {COLLECTION_TIME}
    if order:
        reads |= {name for name in COLUMN if name in order}
    inner, parameters = _matching(question, reads)
    projection = ", ".join(printed(item) for item in shown)
    sql = f"SELECT {projection} FROM (SELECT * FROM ({inner})"
    if order:
        sql += f" ORDER BY {order}"
    if question.limit is not None:
        sql += " LIMIT $row_limit"
        parameters["row_limit"] = question.limit
    return Statement(sql + ")", parameters, frozenset(reads))


def top_statement(question: TopQuestion) -> Statement:
    """Return the statement that groups and sums."""
    by_name = dimensions()
    if question.by not in by_name:
        raise InvalidQueryError(f"cannot group by {question.by!r}, expected {', '.join(by_name)}")
    if question.order not in MEASURES:
        raise InvalidQueryError(
            f"cannot order by {question.order!r}, expected {', '.join(MEASURES)}"
        )
    items = by_name[question.by]
    if question.other and any(item in SIDES for item in items):
        raise InvalidQueryError(f"by {question.by} a flow is in two rows: there is no other row")
    stored = [name for item in items for side in _sides(item) for name in _stored(side)]
    inner, reads, parameters = _counted(question, frozenset(stored))
    keys = [name for item in items for name in _keys(item)]
    order = ", ".join([f"{question.order} DESC", *(f"{m} DESC" for m in MEASURES), *keys])
    parameters["row_limit"] = question.limit
    ctes, once = _grouped(items, inner, _sums(question.raw))
    sql = f"""
        , {ctes},
        best AS MATERIALIZED (SELECT * FROM grouped ORDER BY {order} LIMIT $row_limit)
        SELECT {", ".join(printed(item) for item in items)}, {_MEASURED}
        FROM (SELECT *, 0 AS last FROM best
            {_other(keys) if question.other else ""} {_total(keys, once) if question.total else ""})
        ORDER BY last, {order}"""
    return Statement(sql, parameters, reads)


def totals_statement(question: TopQuestion) -> Statement:
    """Return the statement that sums everything; `by`, `limit` and `order` are not looked at."""
    inner, reads, parameters = _counted(question, frozenset())
    sql = f"SELECT {_MEASURED} FROM (SELECT {_sums(question.raw)} FROM ({inner}))"
    return Statement(sql, parameters, reads)


def _grouped(items: tuple[str, ...], inner: str, sums: str) -> tuple[str, str]:
    """Return the relation `grouped`, and what to sum so that each flow counts once."""
    either = next((item for item in items if item in SIDES), None)
    if either is None:
        keys = ", ".join(column for item in items for column in _named(item, item))
        grouped = f"grouped AS MATERIALIZED (SELECT {keys}, {sums} FROM ({inner}) GROUP BY ALL)"
        return grouped, "grouped"
    one, other = ([f"coalesce({name}, 0)" for name in _stored(side)] for side in SIDES[either])
    differs = " OR ".join(f"{a} <> {b}" for a, b in zip(one, other, strict=True))
    has_one, has_other = (" OR ".join(f"{n} <> 0" for n in names) for names in (one, other))
    wheres = (
        ("true", f"({has_one}) OR NOT ({has_other})"),
        (f"NOT ({has_one})", f"({has_other}) AND ({differs})"),
    )
    sides = []
    for side, (is_first, where) in zip(SIDES[either], wheres, strict=True):
        columns = [c for item in items for c in _named(item, side if item == either else item)]
        keys = ", ".join([*columns, f"{is_first} AS is_first"])
        sides.append(f"SELECT {keys}, {sums} FROM ({inner}) WHERE {where} GROUP BY ALL")
    names = [name for item in items for name in _keys(item)]
    summed = ", ".join([*names, *(f"sum({m}) AS {m}" for m in MEASURES)])
    return (
        f"sides AS MATERIALIZED ({' UNION ALL '.join(sides)}),"
        f" grouped AS MATERIALIZED (SELECT {summed} FROM sides GROUP BY ALL)",
        "sides WHERE is_first",
    )


def _named(item: str, stored_as: str) -> list[str]:
    """Return the expressions of something's keys, under their names.

    A record lacks a value as null or as zero, as its batch has the column or not: where zero is
    nobody's value, both are one group.
    """
    if item in COMPUTED:
        return [f"{COMPUTED[item][0]} AS {item}"]
    columns, keys = _stored(stored_as), _keys(item)
    if len(columns) == 2:
        hi, lo = columns
        expressions = [f"coalesce({hi}, CASE WHEN {lo} IS NOT NULL THEN 0 END)", lo]
    elif item in SIDES or item in _NEVER_ZERO:
        expressions = [f"nullif({columns[0]}, 0)"]
    else:
        expressions = list(columns)
    return [f"{a} AS {b}" for a, b in zip(expressions, keys, strict=True)]


def _keys(item: str) -> tuple[str, ...]:
    """Return the columns by which something is grouped."""
    if item in COMPUTED:
        return (item,)
    if item in SIDES:
        side = SIDES[item][0]
        return tuple(name.replace(side, item) for name in _stored(side))
    return _stored(item)


def _sides(item: str) -> tuple[str, ...]:
    return SIDES.get(item, (item,))


def _other(keys: list[str]) -> str:
    """Return what the best groups leave of the total, as a row without keys."""
    rest = ", ".join(
        f"(SELECT sum({m}) FROM grouped) - (SELECT sum({m}) FROM best)" for m in MEASURES
    )
    return f"""UNION ALL SELECT {", ".join("NULL" for _ in keys)}, {rest}, 1
        WHERE (SELECT count(*) FROM grouped) > (SELECT count(*) FROM best)"""


def _total(keys: list[str], once: str) -> str:
    """Return the sum over all flows, as a row without keys."""
    sums = ", ".join(f"sum({m})" for m in MEASURES)
    nothing = ", ".join("NULL" for _ in keys)
    return f"UNION ALL SELECT {nothing}, {sums}, 2 FROM {once} HAVING count(*) > 0"


def _sums(raw: bool) -> str:
    scale = "" if raw else " * rate(sampling_rate)"
    return (
        f"sum(octet_delta_count::DOUBLE{scale}) AS octets,"
        f" sum(packet_delta_count::DOUBLE{scale}) AS packets,"
        " sum(coalesce(delta_flow_count, 1)::DOUBLE) AS flows"
    )


def _counted(
    question: TopQuestion, columns: frozenset[str]
) -> tuple[str, frozenset[str], dict[str, Any]]:
    """Return the relation of flows with counters that a question is about."""
    needed = {
        "octet_delta_count",
        "packet_delta_count",
        "delta_flow_count",
        "sampling_rate",
        "record_kind",
        COLLECTION_TIME,
    }
    reads = columns | needed | condition_columns(question.conditions)
    inner, parameters = _matching(question, reads)
    return (
        f"SELECT * FROM ({inner}) WHERE record_kind IS NULL OR record_kind = 0",
        reads,
        parameters,
    )


def _matching(
    question: FlowQuestion | TopQuestion, reads: Iterable[str]
) -> tuple[str, dict[str, Any]]:
    columns = ", ".join(_read(name) for name in sorted(reads))
    parameters: dict[str, Any] = {}
    time = ""
    if question.since_ms > 0 or question.until_ms < LAST_MS:
        time = (
            f"{COLLECTION_TIME} >= $since_ms::BIGINT AND {COLLECTION_TIME} < $until_ms::BIGINT AND "
        )
        parameters |= {"since_ms": question.since_ms, "until_ms": question.until_ms}
    selects = []
    for where, values in where_branches(question.conditions):
        selects.append(f"SELECT {columns} FROM log WHERE {time}{where}")
        parameters |= values
    return " UNION ALL ".join(selects), parameters


def _read(name: str) -> str:
    """Return the expression that reads a stored column; an unknown protocol is one, not null."""
    if name == "protocol_identifier":
        return f"coalesce({name}, {UNKNOWN_PROTOCOL}::UTINYINT) AS {name}"
    return name


def shown_columns(options: bool, octets: Iterable[str]) -> tuple[str, ...]:
    """Return all that a family can show: its columns, the halves of an address as one."""
    names = [column.name for column in columns_of_log(options)]
    folded = [name.removesuffix("_hi") for name in names if not name.endswith("_lo")]
    return (*folded, *sorted(octets))


def _stored(item: str) -> tuple[str, ...]:
    """Return the columns of the log behind something shown."""
    if item in COMPUTED:
        return COMPUTED[item][1]
    if item in ADDRESSES:
        return (f"{item}_hi", f"{item}_lo")
    if item in COLUMN or item.startswith(OCTETS_PREFIX):
        return (item,)
    raise InvalidQueryError(
        f"unknown column {item!r}, expected one of {', '.join(shown_columns(False, ()))}"
    )


def printed(item: str) -> str:
    """Return the expression that shows a column the way people read it."""
    if item in ADDRESSES or SIDES.get(item, ("",))[0] in ADDRESSES:
        return f"address({item}_hi, {item}_lo) AS {item}"
    if item.endswith("_milliseconds"):
        return f"moment({item}) AS {item}"
    if item.endswith("mac_address"):
        return f"mac({item}) AS {item}"
    return item


def column_name(text: str) -> str:
    """Return the column or address that a user means: its name or an alias of it.

    Raises
    ------
    InvalidQueryError
        There is none.
    """
    name = ALIASES.get(text, text)
    _stored(name)
    return name
