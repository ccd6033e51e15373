"""Questions to the flow log as values, and the SQL that answers them.

Each SQL text reads from a relation called `log`, whose columns are those of `appliance.flows`;
`search` supplies it.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from appliance.flowlog.macros import printed_number
from appliance.flows import (
    COLLECTION_TIME,
    COLUMN,
    OCTETS_PREFIX,
    UNKNOWN_PROTOCOL,
    columns_of_log,
)

LAST_MS = 2**62
_LOW = 2**64 - 1

LOG_ORDER = "log"
"""As flows were received, which takes no sorting."""

ORDERS = {
    "time": "collection_time_milliseconds",
    "newest": "collection_time_milliseconds DESC",
    "octets": "octet_delta_count DESC",
    "packets": "packet_delta_count DESC",
    "duration": "flow_end_milliseconds - flow_start_milliseconds DESC",
}
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
        A key of `ORDERS`, `LOG_ORDER`, or None for any.
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

    def condition_columns(self) -> set[str]:
        """Return the columns that the conditions look at."""
        return condition_columns(self.conditions)


class OnePass(NamedTuple):
    """What reads the log once for both sides of a condition, and the WHERE of what matches.

    Attributes
    ----------
    columns
        Those of the WHERE.
    """

    sql: str
    where: str
    parameters: dict[str, Any]
    columns: frozenset[str]


class FileTest(NamedTuple):
    """What a file must hold some value of, whatever the time, to be read at all.

    Attributes
    ----------
    wanted
        By column of 64 bits: first and last value of ranges, both included.
    """

    wanted: Mapping[str, Sequence[tuple[int, int]]]


class Statement(NamedTuple):
    """SQL over `log`, its named parameters, and the columns of the log that it reads.

    Attributes
    ----------
    one_pass
        The same with one pass, where the SQL has one for each side of a condition. Two passes are
        faster as long as few records match, as the other columns of the rest are skipped.
    file_test
        What is asked of each sealed file before any is read in full; None: all are read.
    """

    sql: str
    parameters: dict[str, Any]
    columns: frozenset[str]
    one_pass: OnePass | None = None
    file_test: FileTest | None = None


def flows_statement(question: FlowQuestion, octets: Iterable[str] = ()) -> Statement:
    """Return the statement that lists records."""
    if question.order not in (None, LOG_ORDER, *ORDERS):
        raise InvalidQueryError(f"cannot order by {question.order!r}, expected {', '.join(ORDERS)}")
    shown = question.columns or shown_columns(question.options, octets)
    stored = frozenset(name for item in shown for name in stored_names(item))
    order = ORDERS.get(question.order or "")
    reads = stored | condition_columns(question.conditions) | {COLLECTION_TIME}
    if order:
        reads |= {name for name in COLUMN if name in order}
    inner, parameters = matching(question, reads)
    projection = ", ".join(printed_expression(item) for item in shown)
    sql = f"SELECT {projection} FROM (SELECT * FROM ({inner})"
    if order:
        sql += f" ORDER BY {order}"
    if question.limit is not None:
        sql += " LIMIT $row_limit"
        parameters["row_limit"] = question.limit
    return Statement(sql + ")", parameters, frozenset(reads), file_test=_file_test(question))


def _file_test(question: FlowQuestion) -> FileTest | None:
    """Return the test of files where the question has a long list of addresses.

    Bloom filters do not help with so many: some address of the list seems to be in each row group.
    Mostly none is, and the columns of addresses alone say so in less than half of the time.
    """
    if question.order == LOG_ORDER:
        return None
    for condition in question.conditions:
        if condition.long_list is not None:
            return FileTest(_wanted_halves(*condition.long_list))
    return None


def _wanted_halves(
    addresses: Iterable[str], networks: Sequence[tuple[int, int]]
) -> dict[str, list[tuple[int, int]]]:
    """Return the halves of addresses by which networks can be told: of IPv4 the low one."""
    low = [(first & _LOW, last & _LOW) for first, last in networks if not last >> 64]
    high = [(first >> 64, last >> 64) for first, last in networks if last >> 64]
    halves = {"lo": low, "hi": high}
    return {f"{name}_{half}": ends for name in addresses for half, ends in halves.items() if ends}


def matching(question: FlowQuestion, reads: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Return the SELECT of these columns of the records that match, and its parameters."""
    columns = ", ".join(_read(name) for name in sorted(reads))
    parameters: dict[str, Any] = {}
    time = ""
    if question.since_ms > 0 or question.until_ms < LAST_MS:
        time = (
            f"{COLLECTION_TIME} >= $since_ms::BIGINT AND {COLLECTION_TIME} < $until_ms::BIGINT AND "
        )
        parameters |= {"since_ms": question.since_ms, "until_ms": question.until_ms}
    selects = []
    most = 1 if question.order == LOG_ORDER else 2
    for where, values in where_branches(question.conditions, most=most):
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


def stored_names(item: str) -> tuple[str, ...]:
    """Return the columns of the log behind something shown."""
    if item in ADDRESSES:
        return (f"{item}_hi", f"{item}_lo")
    if item in COLUMN or item.startswith(OCTETS_PREFIX):
        return (item,)
    raise InvalidQueryError(
        f"unknown column {item!r}, expected one of {', '.join(shown_columns(False, ()))}"
    )


def printed_expression(item: str) -> str:
    """Return the expression that shows a column the way people read it."""
    if item in ADDRESSES:
        return f"address({item}_hi, {item}_lo) AS {item}"
    if item.endswith("_milliseconds"):
        return f"moment({item}) AS {item}"
    if item.endswith("mac_address"):
        return f"mac({item}) AS {item}"
    printed = printed_number(item, item)
    return item if printed == item else f"{printed} AS {item}"


def columns_of_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a user lists: the usual ones for none, and () for `all` alone.

    Raises
    ------
    InvalidQueryError
        There is no such column.
    """
    if not names:
        return DEFAULT_COLUMNS
    return () if tuple(names) == ("all",) else tuple(map(column_name, names))


def column_name(text: str) -> str:
    """Return the column or address that a user means: its name or an alias of it.

    Raises
    ------
    InvalidQueryError
        There is none.
    """
    name = ALIASES.get(text, text)
    stored_names(name)
    return name
