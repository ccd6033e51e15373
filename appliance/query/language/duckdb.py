"""Filters as SQL of DuckDB over the flow log's columns, values as parameters.

Columns are compared plainly wherever that is possible: DuckDB then skips row groups by their
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from appliance.flowlog.conditions import Condition, LongList
from appliance.flows import COLUMN
from appliance.query.language.dialects import bounds_within, has_absent, networks_by_length
from appliance.query.language.names import FilterNames
from appliance.query.language.parsing import join_filters
from appliance.query.language.tree import (
    RATES,
    Always,
    And,
    Comparison,
    Filter,
    HasBits,
    HasText,
    InNetworks,
    InRanges,
    Not,
    Or,
    Range,
)

_LOW = 2**64 - 1
_FEW_NETWORKS = 16
_LIMITS = {
    "UBIGINT": (0, _LOW),
    "BIGINT": (-(2**63), 2**63 - 1),
    "DOUBLE": (-math.inf, math.inf),
}
_DURATION = "(flow_end_milliseconds::DOUBLE - flow_start_milliseconds::DOUBLE)"


def _rate(sum_of: str, factor: int, by: str) -> str:
    quotient = f"floor({sum_of}::DOUBLE * {factor} / {by})"
    return f"(CASE WHEN {by} > 0 THEN {quotient} WHEN {by} <= 0 THEN 0 END)"


_RATE_SQL = {
    "duration": _DURATION,
    "bps": _rate("octet_delta_count", 8000, _DURATION),
    "pps": _rate("packet_delta_count", 1000, _DURATION),
    "bpp": _rate("octet_delta_count", 1, "packet_delta_count::DOUBLE"),
}


def parse_conditions(
    texts: Iterable[str], names: FilterNames | None = None
) -> tuple[Condition, ...]:
    """Read filters that must all hold.

    Raises
    ------
    FilterError
        One is not understood.
    """
    return filter_conditions(join_filters(tuple(texts), names))


def filter_conditions(tree: Filter) -> tuple[Condition, ...]:
    """Return conditions that together say what a filter says.

    One for each part that must hold, and its sides apart, so that `where_branches` of the flow
    log's conditions can split them.
    """
    if isinstance(tree, Always):
        return ()
    if isinstance(tree, And):
        return tuple(condition for part in tree.filters for condition in filter_conditions(part))
    # That bits are not set is a comparison of its own, see `_sql`.
    negated = isinstance(tree, Not) and not isinstance(tree.filter, HasBits)
    inner = tree.filter if isinstance(tree, Not) and negated else tree
    values: list[Any] = []
    if isinstance(inner, InRanges | InNetworks | HasBits | HasText):
        sides = []
        for column in inner.columns:
            values = []  # both sides have the same parameters
            sides.append(_side(inner, column, values))
        return (Condition(tuple(sides), tuple(values), negated, tree, _long_list(tree)),)
    return (Condition((_sql(inner, values),), tuple(values), negated, tree),)


def _long_list(tree: Filter) -> LongList | None:
    if isinstance(tree, InNetworks) and len(tree.networks) > _FEW_NETWORKS:
        return LongList(tree.columns, tree.networks)
    return None


def _sql(tree: Filter, values: list[Any]) -> str:
    match tree:
        case Always():
            return "TRUE"
        case Not(HasBits(columns, masks)):
            # As nfdump has it: none of them is set, so that `flags S and not flags AFRPU` is SYN.
            parts = [_no_bits(column, mask, values) for column in columns for mask in masks]
            return "(" + " AND ".join(parts) + ")"
        case Not(inner):
            return f"(({_sql(inner, values)}) IS NOT TRUE)"
        case And(parts) | Or(parts):
            word = " AND " if isinstance(tree, And) else " OR "
            return "(" + word.join(_sql(part, values) for part in parts) + ")"
        case _:
            return "(" + " OR ".join(_side(tree, column, values) for column in tree.columns) + ")"


def _side(tree: Comparison, column: str, values: list[Any]) -> str:
    match tree:
        case InRanges(_, ranges):
            choices = [_range(column, one, values) for one in ranges]
        case InNetworks(_, networks):
            choices = _networks(column, networks, values)
        case HasBits(_, masks):
            choices = [_bits(column, mask, values) for mask in masks]
        case HasText(_, texts, part):
            choices = [_text(column, text, part, values) for text in texts]
    return "(" + (" OR ".join(choices) or "FALSE") + ")"


def _put(value: Any, values: list[Any]) -> str:
    values.append(value)
    return f"{{{len(values) - 1}}}"


def _range(column: str, one: Range, values: list[Any]) -> str:
    if column in RATES:
        expression, kind = _RATE_SQL[column], "DOUBLE"
    else:
        kinds = {"u": "UBIGINT", "i": "BIGINT", "f": "DOUBLE"}
        expression, kind = column, kinds[COLUMN[column].dtype.kind]
    bounds = bounds_within(one, *_LIMITS[kind])
    if bounds is None:
        return "FALSE"
    low, high = bounds
    parts = []
    if low is not None and low == high:
        parts.append(f"{expression} = {_put(low, values)}::{kind}")
    else:
        if low is not None:
            parts.append(f"{expression} >= {_put(low, values)}::{kind}")
        if high is not None:
            parts.append(f"{expression} <= {_put(high, values)}::{kind}")
    same = "(" + (" AND ".join(parts) or f"{expression} IS NOT NULL") + ")"
    return f"({same} OR {column} IS NULL)" if has_absent(column, one) else same


def _networks(column: str, networks: Sequence[tuple[int, int]], values: list[Any]) -> list[str]:
    """Compare an address with networks: with a few one by one, else by the lengths of prefixes.

    All of one length are a set of numbers, in which DuckDB looks an address up at once; thousands
    of comparisons would take as many times as long.
    """
    if len(networks) <= _FEW_NETWORKS:
        return [_network(column, *one, values) for one in networks]
    by_length, ranges = networks_by_length(networks)
    choices = [_network(column, first, last, values) for first, last in ranges]
    for shift, firsts in by_length.items():
        kinds: dict[str, list[tuple[int, int]]] = {}
        for first in firsts:
            kind = "high" if shift >= 64 else "both" if first >> 64 else "low"
            kinds.setdefault(kind, []).append((first >> 64, first & _LOW))
        choices += [_set(column, kind, shift, each, values) for kind, each in kinds.items()]
    return choices


def _set(
    column: str, kind: str, shift: int, members: Sequence[tuple[int, int]], values: list[Any]
) -> str:
    """Look an address up among networks of one length.

    Parameters
    ----------
    kind
        What they differ in: the high half, the low one where the high one is 0 (IPv4), or both.
    shift
        How many bits are not the network's.
    members
        Halves of their first addresses.
    """
    high, low = f"{column}_hi", f"{column}_lo"
    if kind == "high":
        return _in(f"({_shift(high, shift - 64)})", [[h >> shift - 64 for h, _ in members]], values)
    lows = [each >> shift for _, each in members]
    if kind == "low":
        return f"({high} = 0 AND {_in(_shift(low, shift), [lows], values)})"
    return _in(f"({high}, {_shift(low, shift)})", [[h for h, _ in members], lows], values)


def _shift(name: str, bits: int) -> str:
    return f"{name} >> {bits}" if bits else name


def _in(expression: str, lists: Sequence[list[int]], values: list[Any]) -> str:
    unnested = ", ".join(f"unnest({_put(one, values)}::UBIGINT[])" for one in lists)
    return f"({expression} IN (SELECT {unnested}))"


def _network(column: str, first: int, last: int, values: list[Any]) -> str:
    """Compare the two halves of an address with the range of a network."""
    high, low = f"{column}_hi", f"{column}_lo"
    if first >> 64 == last >> 64:
        place = f"{high} = {_put(first >> 64, values)}::UBIGINT"
        if first == last:
            return f"({place} AND {low} = {_put(first & _LOW, values)}::UBIGINT)"
        return f"({place} AND {_between(low, first & _LOW, last & _LOW, values)})"
    if first & _LOW == 0 and last & _LOW == _LOW:
        return f"({_between(high, first >> 64, last >> 64, values)})"
    # Not a network but a range: what is not IPv4 begins in the middle of the first half's 0.
    start = _put(first >> 64, values)
    inside = f"({high} = {start}::UBIGINT AND {low} >= {_put(first & _LOW, values)}::UBIGINT)"
    return f"({inside} OR {high} > {start}::UBIGINT)"


def _between(name: str, first: int, last: int, values: list[Any]) -> str:
    return f"{name} BETWEEN {_put(first, values)}::UBIGINT AND {_put(last, values)}::UBIGINT"


def _bits(column: str, mask: int, values: list[Any]) -> str:
    place = _put(mask, values)
    return f"({column}::UBIGINT & {place}::UBIGINT) = {place}::UBIGINT"


def _no_bits(column: str, mask: int, values: list[Any]) -> str:
    return f"(coalesce({column}, 0)::UBIGINT & {_put(mask, values)}::UBIGINT) = 0"


def _text(column: str, text: str, part: bool, values: list[Any]) -> str:
    place = _put(text, values)
    return f"contains(lower({column}), lower({place}))" if part else f"{column} = {place}"
