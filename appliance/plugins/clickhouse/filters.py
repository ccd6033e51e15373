"""Filters as SQL of ClickHouse over the columns of `flows`: the common subset of 18.16 and current.

Every comparison is true or false, never NULL, below a negation: 18.16 and current servers differ in
what they make of NULL there. Values are numbers, or texts that `http.literal` writes by their
octets; nothing that a user wrote stands in SQL as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.flows import COLUMN
from appliance.plugins.clickhouse.http import literal
from appliance.query.language.dialects import bounds_within, has_absent, networks_by_length
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

Named = Callable[[str], str]
"""Writes a column of the flow log as SQL."""

_LOW = 2**64 - 1
_LIMITS = {"u": (0, _LOW), "i": (-(2**63), 2**63 - 1)}
_FALSE, _TRUE = "(0 = 1)", "(1 = 1)"


def filter_sql(tree: Filter, named: Named, *, is_negated: bool = False) -> str:
    """Return a filter as an SQL condition.

    Parameters
    ----------
    is_negated
        It stands below a NOT, so that nothing in it may be NULL.
    """
    match tree:
        case Always():
            return _TRUE
        case Not(HasBits(columns, masks)):
            # As nfdump has it: none of them is set, so that `flags S and not flags AFRPU` is SYN.
            parts = [
                f"bitAnd(toUInt64(ifNull({named(column)}, 0)), toUInt64({mask})) = 0"
                for column in columns
                for mask in masks
            ]
            return "(" + " AND ".join(parts) + ")"
        case Not(inner):
            return f"(NOT {filter_sql(inner, named, is_negated=True)})"
        case And(parts) | Or(parts):
            word = " AND " if isinstance(tree, And) else " OR "
            texts = [filter_sql(part, named, is_negated=is_negated) for part in parts]
            return "(" + (word.join(texts) or (_TRUE if isinstance(tree, And) else _FALSE)) + ")"
        case _:
            sides = [_side(tree, column, named, is_negated) for column in tree.columns]
            return "(" + " OR ".join(sides) + ")"


def rate_sql(name: str, named: Named) -> str:
    """Return the expression of a calculated number of `tree.RATES`."""
    duration = (
        f"(toFloat64({named('flow_end_milliseconds')})"
        f" - toFloat64({named('flow_start_milliseconds')}))"
    )
    packets = f"toFloat64({named('packet_delta_count')})"
    octets = f"toFloat64({named('octet_delta_count')})"
    return {
        "duration": duration,
        "bps": _rate(octets, 8000, duration),
        "pps": _rate(packets, 1000, duration),
        "bpp": _rate(octets, 1, packets),
    }[name]


def _rate(sum_of: str, factor: int, by: str) -> str:
    # Divided by something in every row: both branches of an `if` are computed.
    quotient = f"floor({sum_of} * {factor} / if(ifNull({by}, 0) > 0, {by}, 1))"
    return f"(CASE WHEN {by} > 0 THEN {quotient} WHEN {by} <= 0 THEN toFloat64(0) END)"


def _side(tree: Comparison, column: str, named: Named, is_negated: bool) -> str:
    match tree:
        case InRanges(_, ranges):
            choices = [_range(column, one, named) for one in ranges]
        case InNetworks(_, networks):
            choices = _networks(named(f"{column}_hi"), named(f"{column}_lo"), networks)
        case HasBits(_, masks):
            value = f"toUInt64({named(column)})"
            choices = [f"bitAnd({value}, toUInt64({m})) = toUInt64({m})" for m in masks]
        case HasText(_, texts, part):
            choices = [_text(named(column), text, part) for text in texts]
    if not choices:
        return _FALSE
    if is_negated:
        choices = [f"ifNull({choice}, 0)" for choice in choices]
    return "(" + " OR ".join(choices) + ")"


def _range(column: str, one: Range, named: Named) -> str:
    low, high = one
    is_rate = column in RATES
    kind = "f" if is_rate else COLUMN[column].dtype.kind
    expression = rate_sql(column, named) if is_rate else named(column)
    if kind in _LIMITS:
        # 18.16 has no literals beyond 64 bits.
        bounds = bounds_within(one, *_LIMITS[kind])
        if bounds is None:
            return _FALSE
        low, high = bounds
    parts = []
    if low is not None:
        parts.append(f"{expression} >= {_number(low, kind)}")
    if high is not None:
        parts.append(f"{expression} <= {_number(high, kind)}")
    if low is not None and low == high:
        parts = [f"{expression} = {_number(low, kind)}"]
    same = "(" + (" AND ".join(parts) or f"isNotNull({expression})") + ")"
    return f"({same} OR isNull({named(column)}))" if has_absent(column, one) else same


def _number(value: float, kind: str) -> str:
    if kind == "f":
        return f"toFloat64({literal(str(float(value)))})"
    return f"toInt64({int(value)})" if kind == "i" else f"toUInt64({int(value)})"


def _networks(high: str, low: str, networks: Sequence[tuple[int, int]]) -> list[str]:
    """Compare an address with networks: all of one length are a set that it is looked up in."""
    by_length, ranges = networks_by_length(networks)
    choices = [_between(high, low, first, last) for first, last in ranges]
    for shift, firsts in by_length.items():
        if shift >= 64:
            values = sorted({first >> shift for first in firsts})
            choices.append(_in(_shifted(high, shift - 64), values))
            continue
        by_high: dict[int, set[int]] = {}
        for first in firsts:
            by_high.setdefault(first >> 64, set()).add((first & _LOW) >> shift)
        choices += [
            f"({high} = toUInt64({h}) AND {_in(_shifted(low, shift), sorted(lows))})"
            for h, lows in by_high.items()
        ]
    return choices


def _shifted(name: str, bits: int) -> str:
    if bits >= 64:
        return f"(toUInt64({name}) * 0)"
    return f"bitShiftRight({name}, {bits})" if bits else name


def _in(expression: str, values: Sequence[int]) -> str:
    if len(values) == 1:
        return f"{expression} = toUInt64({values[0]})"
    return f"{expression} IN ({', '.join(map(str, values))})"


def _between(high: str, low: str, first: int, last: int) -> str:
    """Compare the two halves of an address with a range that is no network."""
    at_least = (
        f"({high} > toUInt64({first >> 64}) OR"
        f" ({high} = toUInt64({first >> 64}) AND {low} >= toUInt64({first & _LOW})))"
    )
    at_most = (
        f"({high} < toUInt64({last >> 64}) OR"
        f" ({high} = toUInt64({last >> 64}) AND {low} <= toUInt64({last & _LOW})))"
    )
    return f"({at_least} AND {at_most})"


def _text(name: str, text: str, part: bool) -> str:
    if part:
        return f"position(lowerUTF8({name}), lowerUTF8({literal(text)})) > 0"
    return f"{name} = {literal(text)}"
