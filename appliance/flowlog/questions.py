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
    Condition,
    condition_columns,
    where_branches,
)
from appliance.flowlog.schema import COLLECTION_TIME
from appliance.flows import COLUMN, COLUMNS, FLOW_COLUMNS

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
    "pair": ("source_address", "destination_address"),
    "service": ("protocol_identifier", SERVICE),
    "source_port": ("source_transport_port",),
    "destination_port": ("destination_transport_port",),
    "protocol": ("protocol_identifier",),
    "application": ("application_id",),
    "exporter": ("exporter_address",),
    "ingress_interface": ("exporter_address", "ingress_interface"),
    "egress_interface": ("exporter_address", "egress_interface"),
    "source_as": ("bgp_source_as_number",),
    "destination_as": ("bgp_destination_as_number",),
    "next_hop": ("ip_next_hop_address",),
    "direction": ("flow_direction",),
    "tos": ("ip_class_of_service",),
    "vlan": ("vlan_id",),
    "version": ("export_protocol_version",),
    "second": (SECOND,),
}
"""What `top` can group by, and the columns of each."""

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

MACROS = (
    """
CREATE MACRO v4(lo) AS concat_ws('.', (lo >> 24) & 255, (lo >> 16) & 255, (lo >> 8) & 255, lo &
255); CREATE MACRO groups(hi, lo) AS concat_ws(':',
    format('{:x}', (hi >> 48) & 65535), format('{:x}', (hi >> 32) & 65535),
    format('{:x}', (hi >> 16) & 65535), format('{:x}', hi & 65535),
    format('{:x}', (lo >> 48) & 65535), format('{:x}', (lo >> 32) & 65535),
    format('{:x}', (lo >> 16) & 65535), format('{:x}', lo & 65535));
CREATE MACRO shortened(text) AS CASE
    WHEN text = '0:0:0:0:0:0:0:0' THEN '::'
"""
    + "".join(
        f"    WHEN regexp_matches(text, '(^|:)0(:0){{{n}}}(:|$)')"
        f" THEN regexp_replace(text, '(^|:)0(:0){{{n}}}(:|$)', '::')\n"
        for n in range(6, 0, -1)
    )
    + """    ELSE text END;
CREATE MACRO address(hi, lo) AS CASE
    WHEN hi IS NULL AND lo IS NULL THEN NULL
    WHEN coalesce(hi, 0) = 0 AND (lo >> 32) = 65535 THEN v4(lo)
    ELSE shortened(groups(coalesce(hi, 0), coalesce(lo, 0))) END;
CREATE MACRO moment(ms) AS CASE WHEN ms BETWEEN 0 AND 253402300799999 THEN epoch_ms(ms) END;
CREATE MACRO mac(number) AS CASE WHEN number IS NOT NULL THEN concat_ws(':',
    format('{:02x}', (number >> 40) & 255), format('{:02x}', (number >> 32) & 255),
    format('{:02x}', (number >> 24) & 255), format('{:02x}', (number >> 16) & 255),
    format('{:02x}', (number >> 8) & 255), format('{:02x}', number & 255)) END;
CREATE MACRO rate(value) AS CASE WHEN value BETWEEN 1 AND 4294967296 THEN value ELSE 1 END;
CREATE MACRO counter(value) AS
    CASE WHEN value IS NULL THEN 0::UBIGINT
    ELSE coalesce(TRY_CAST(round(value) AS UBIGINT), 18446744073709551615::UBIGINT) END;
"""
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
        A key of `DIMENSIONS`.
    order
        "octets", "packets" or "flows".
    other
        Add a row `other` with what the shown rows leave of the total.
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
    raw: bool = False


class Statement(NamedTuple):
    """SQL over `log`, its named parameters, and the columns of the log that it reads."""

    sql: str
    parameters: dict[str, Any]
    columns: frozenset[str]


def flows_statement(question: FlowQuestion, octets: Iterable[str] = ()) -> Statement:
    """Return the statement that lists records."""
    if question.order is not None and question.order not in ORDERS:
        raise InvalidQueryError(f"cannot order by {question.order!r}, expected {', '.join(ORDERS)}")
    shown = question.columns or _all_columns(question.options, octets)
    stored = frozenset(name for item in shown for name in _stored(item))
    order = ORDERS.get(question.order or "")
    reads = stored | condition_columns(question.conditions) | {COLLECTION_TIME}
    if order:
        reads |= {name for name in COLUMN if name in order}
    inner, parameters = _matching(question, reads)
    projection = ", ".join(_printed(item) for item in shown)
    sql = f"SELECT {projection} FROM (SELECT * FROM ({inner})"
    if order:
        sql += f" ORDER BY {order}"
    if question.limit is not None:
        sql += " LIMIT $row_limit"
        parameters["row_limit"] = question.limit
    return Statement(sql + ")", parameters, frozenset(reads))


def top_statement(question: TopQuestion) -> Statement:
    """Return the statement that groups and sums."""
    if question.by not in DIMENSIONS:
        raise InvalidQueryError(
            f"cannot group by {question.by!r}, expected {', '.join(DIMENSIONS)}"
        )
    if question.order not in MEASURES:
        raise InvalidQueryError(
            f"cannot order by {question.order!r}, expected {', '.join(MEASURES)}"
        )
    items = DIMENSIONS[question.by]
    stored = [name for item in items for name in _stored(item)]
    inner, reads, parameters = _counted(question, frozenset(stored))
    keys = [name for item in items for name in ((item,) if item in COMPUTED else _stored(item))]
    source = ", ".join(f"{COMPUTED[key][0]} AS {key}" if key in COMPUTED else key for key in keys)
    order = ", ".join([f"{question.order} DESC", *(f"{m} DESC" for m in MEASURES), *keys])
    parameters["row_limit"] = question.limit
    sql = f"""
        , grouped AS MATERIALIZED (
            SELECT {source}, {_sums(question.raw)} FROM ({inner}) GROUP BY ALL),
        best AS MATERIALIZED (SELECT * FROM grouped ORDER BY {order} LIMIT $row_limit)
        SELECT {", ".join(_printed(item) for item in items)}, {_MEASURED}
        FROM (SELECT *, 0 AS last FROM best {_other(keys) if question.other else ""})
        ORDER BY last, {order}"""
    return Statement(sql, parameters, reads)


def totals_statement(question: TopQuestion) -> Statement:
    """Return the statement that sums everything; `by`, `limit` and `order` are not looked at."""
    inner, reads, parameters = _counted(question, frozenset())
    sql = f"SELECT {_MEASURED} FROM (SELECT {_sums(question.raw)} FROM ({inner}))"
    return Statement(sql, parameters, reads)


def _other(keys: list[str]) -> str:
    """Return what the best groups leave of the total, as a row without keys."""
    rest = ", ".join(
        f"(SELECT sum({m}) FROM grouped) - (SELECT sum({m}) FROM best)" for m in MEASURES
    )
    return f"""UNION ALL SELECT {", ".join("NULL" for _ in keys)}, {rest}, 1
        WHERE (SELECT count(*) FROM grouped) > (SELECT count(*) FROM best)"""


def _sums(raw: bool) -> str:
    scale = "" if raw else " * rate(sampling_rate)"
    return (
        f"sum(octet_delta_count::DOUBLE{scale}) AS octets,"
        f" sum(packet_delta_count::DOUBLE{scale}) AS packets, count(*) AS flows"
    )


def _counted(
    question: TopQuestion, columns: frozenset[str]
) -> tuple[str, frozenset[str], dict[str, Any]]:
    """Return the relation of flows with counters that a question is about."""
    needed = {
        "octet_delta_count",
        "packet_delta_count",
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
    columns = ", ".join(sorted(reads))
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


def _all_columns(options: bool, octets: Iterable[str]) -> tuple[str, ...]:
    names = [column.name for column in (COLUMNS if options else FLOW_COLUMNS)]
    folded = [name.removesuffix("_hi") for name in names if not name.endswith("_lo")]
    return (*folded, *sorted(octets))


def _stored(item: str) -> tuple[str, ...]:
    """Return the columns of the log behind something shown."""
    if item in COMPUTED:
        return COMPUTED[item][1]
    if item in ADDRESSES:
        return (f"{item}_hi", f"{item}_lo")
    if item in COLUMN or item.startswith("octets_"):
        return (item,)
    raise InvalidQueryError(
        f"unknown column {item!r}, expected one of {', '.join(_all_columns(False, ()))}"
    )


def _printed(item: str) -> str:
    """Return the expression that shows a column the way people read it."""
    if item in ADDRESSES:
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
