"""The SQL that answers questions; it reads from a relation `log` with the flow log's columns.

Values are parameters; every name in the text is from our own tables. Over samples, each flow counts
for `sample_weight` ones like it, and every sum has its variance beside it (`..._variance`): the sum
of x**2 * s * (s - 1), or of (x * s)**2 * (s - 1) / s.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from appliance.errors import InvalidQueryError
from appliance.flowlog.conditions import Condition, condition_columns, where_branches
from appliance.flowlog.questions import LAST_MS, OnePass, Statement
from appliance.flowlog.samples.files import WEIGHT
from appliance.flows import COLLECTION_TIME, UNKNOWN_PROTOCOL
from appliance.query.deduplication import dedupe_columns, dedupe_conditions, deduplicate
from appliance.query.dimensions import Item, find_dimension
from appliance.query.question import SAMPLED_ROWS, SUMS, Question

START, END = "flow_start_milliseconds", "flow_end_milliseconds"
LATE_MS = 3_600_000
"""A flow is received so long after it was there at most, or it is missing in a series."""

COUNTERS = (
    "octet_delta_count",
    "packet_delta_count",
    "delta_flow_count",
    "sampling_rate",
    "record_kind",
    COLLECTION_TIME,
)
_ADDRESSES = tuple(
    f"{end}_address_{half}" for end in ("source", "destination") for half in ("hi", "lo")
)
_MEASURE_READS = {
    "mean_packet_size": (),
    "mean_duration": (START, END),
    "sources": _ADDRESSES[:2],
    "destinations": _ADDRESSES[2:],
    "ports": ("destination_transport_port",),
    "conversations": _ADDRESSES,
}
_SOURCE, _DESTINATION = ("hash({}, {})".format(*ends) for ends in (_ADDRESSES[:2], _ADDRESSES[2:]))
_MEASURES = {
    "mean_packet_size": "sum(octets) / nullif(sum(packets), 0)",
    "mean_duration": f"sum(({END} - {START}) * flows) / sum(flows)",
    "sources": f"approx_count_distinct({_SOURCE})",
    "destinations": f"approx_count_distinct({_DESTINATION})",
    "ports": "approx_count_distinct(destination_transport_port)",
    "conversations": f"approx_count_distinct(hash(least({_SOURCE}, {_DESTINATION}),"
    f" greatest({_SOURCE}, {_DESTINATION})))",
}


def top_statement(question: Question, *, sampled: bool = False) -> Statement:
    """Return the statement of a top list.

    Its rows are groups (`part` 0, the largest first), the rest (1) and the total (2), in this
    order. Without dimensions there is the total only.

    Parameters
    ----------
    sampled
        `log` is a sample.
    """
    if sampled:
        return _top_statement(question, 1, sampled)
    return _with_one_pass(question, lambda most: _top_statement(question, most, sampled))


def _top_statement(question: Question, most: int, sampled: bool) -> Statement:
    items = question_items(question)
    flows, reads, parameters = _flows(
        question, items, _measure_columns(question), most=most, sampled=sampled
    )
    summed = summed_names(sampled)
    keys = [key for item in items for key in item.keys]
    parameters["row_limit"] = question.limit
    order = ", ".join(
        [f"{question.order} DESC NULLS LAST", *(f"{name} DESC" for name in SUMS), *keys]
    )
    groups, total = _groups(keys, summed, question.measures, _is_split(items))
    parts = [_part(items, [*summed, *question.measures], 2, total)]
    if items:
        ordered = f"SELECT *, row_number() OVER (ORDER BY {order}) AS place FROM best"
        shown = ", ".join(f"{item.printed} AS {item.name}" for item in items)
        values = ", ".join([*summed, *question.measures])
        parts.append(f"SELECT {shown}, {values}, 0 AS part, place FROM ({ordered})")
    if question.other and items:
        rest = ", ".join(
            f"(SELECT sum({name}) FROM grouped) - (SELECT sum({name}) FROM best) AS {name}"
            for name in summed
        )
        has_rest = "(SELECT count(*) FROM grouped) > (SELECT count(*) FROM best)"
        parts.append(_part(items, summed, 1, f"SELECT {rest} WHERE {has_rest}"))
    whole_numbers = (*SUMS, SAMPLED_ROWS) if sampled else SUMS
    counters = ", ".join(f"counter({name}) AS {name}" for name in whole_numbers)
    sql = f"""
        , keyed AS NOT MATERIALIZED ({flows}), {groups},
        best AS MATERIALIZED (SELECT * FROM grouped ORDER BY {order} LIMIT $row_limit)
        SELECT * REPLACE ({counters}) FROM ({" UNION ALL BY NAME ".join(parts)})
        ORDER BY part, place"""
    return Statement(sql, parameters, reads)


def _with_one_pass(question: Question, statement_of: Callable[[int], Statement]) -> Statement:
    """Return what reads the log once for each side of a condition, and what reads it once.

    Of samples, which have no Bloom filters, one pass is always the faster way.
    """
    conditions = _conditions(question)
    if len(where_branches(conditions)) == 1:
        return statement_of(1)
    [(where, parameters)] = where_branches(conditions, most=1)
    one_pass = OnePass(
        statement_of(1).sql, where, parameters, frozenset(condition_columns(conditions))
    )
    return statement_of(2)._replace(one_pass=one_pass)


def summed_names(sampled: bool) -> tuple[str, ...]:
    """Return what is summed over flows; of samples, with variances and how many flows there are."""
    return (*SUMS, *(f"{name}_variance" for name in SUMS), SAMPLED_ROWS) if sampled else SUMS


def _groups(
    keys: Sequence[str], summed: Sequence[str], measures: Sequence[str], is_split: bool
) -> tuple[str, str]:
    """Return the relation `grouped`, and what selects the total, in which each flow counts once.

    Parameters
    ----------
    is_split
        `keyed` has flows for each of their sides.
    """
    sums = ", ".join(f"sum({name}) AS {name}" for name in summed)
    listed = "".join(f"{key}, " for key in keys)
    if measures:
        # What was counted approximately, or is a mean, cannot be added up: all is read twice.
        values = ", ".join([sums, *(f"{_MEASURES[name]} AS {name}" for name in measures)])
        grouped = f"grouped AS MATERIALIZED (SELECT {listed}{values} FROM keyed GROUP BY ALL)"
        return grouped, f"SELECT {values} FROM keyed WHERE is_first"
    whole = f"grouped AS MATERIALIZED (SELECT {listed}{sums} FROM {{}} GROUP BY ALL)"
    if not is_split:
        return whole.format("keyed"), f"SELECT {sums} FROM grouped"
    sides = f"sides AS MATERIALIZED (SELECT {listed}is_first, {sums} FROM keyed GROUP BY ALL)"
    return f"{sides}, {whole.format('sides')}", f"SELECT {sums} FROM sides WHERE is_first"


def _part(items: Sequence[Item], values: Sequence[str], part: int, relation: str) -> str:
    """Return a row without keys."""
    nothing = "".join(f"NULL AS {item.name}, " for item in items)
    return f"SELECT {nothing}{', '.join(values)}, {part} AS part, 0 AS place FROM ({relation})"


def series_statement(question: Question, *, sampled: bool = False) -> Statement:
    """Return the statement of a series: item columns, `bin`, `value`, `variance`, `is_other`.

    The octets of a flow are spread evenly from its start to its end; one without times, or whose
    end is before its start, counts when it was received.
    """
    if sampled:
        return _series_statement(question, 1, sampled)
    return _with_one_pass(question, lambda most: _series_statement(question, most, sampled))


def _series_statement(question: Question, most: int, sampled: bool) -> Statement:
    if question.step_ms is None:
        raise ValueError("a series has a step")
    items = question_items(question)
    flows, reads, parameters = _flows(
        question, items, {START, END}, most=most, late_ms=LATE_MS, sampled=sampled
    )
    keys = [key for item in items for key in item.keys]
    listed = "".join(f"{key}, " for key in keys)
    value = question.order
    variance = f"{value}_variance" if sampled else "0.0"
    parameters |= {
        "step": question.step_ms,
        "first": question.since_ms // question.step_ms,
        "last": (question.until_ms - 1) // question.step_ms,
        "row_limit": question.limit,
    }
    is_timed = f"{START} IS NOT NULL AND {END} >= {START} AND {START} > 0"
    share = (
        "(least(ended, (bin + 1) * $step::BIGINT) - greatest(began, bin * $step::BIGINT))"
        " / (ended - began)::DOUBLE"
    )
    same = " AND ".join(f"binned.{key} IS NOT DISTINCT FROM best.{key}" for key in keys) or "true"
    shown = "".join(f"{item.printed} AS {item.name}, " for item in items)
    best_keys = "".join(f"best.{key}, " for key in keys)
    sql = f"""
        , keyed AS NOT MATERIALIZED (SELECT {listed}{value} AS value, {variance} AS variance,
            CASE WHEN {is_timed} THEN {START} ELSE {COLLECTION_TIME} END AS began,
            CASE WHEN {is_timed} THEN {END} ELSE {COLLECTION_TIME} END AS ended
            FROM ({flows})),
        spread AS NOT MATERIALIZED (
            SELECT {listed}began // $step::BIGINT AS bin, value, variance FROM keyed
            WHERE began // $step::BIGINT = ended // $step::BIGINT
            UNION ALL
            SELECT {listed}bin, value * {share} AS value, variance * {share} * {share} AS variance
            FROM (SELECT *, unnest(range(
                greatest(began // $step::BIGINT, $first::BIGINT),
                least(ended // $step::BIGINT, $last::BIGINT) + 1)) AS bin FROM keyed
                WHERE began // $step::BIGINT < ended // $step::BIGINT)),
        binned AS MATERIALIZED (SELECT {listed}bin, sum(value) AS value,
            sum(variance) AS variance FROM spread
            WHERE bin BETWEEN $first::BIGINT AND $last::BIGINT GROUP BY ALL),
        best AS MATERIALIZED (SELECT {listed}sum(value) AS whole, true AS is_best FROM binned
            GROUP BY ALL ORDER BY whole DESC{"".join(f", {key}" for key in keys)}
            LIMIT $row_limit)
        SELECT {shown}bin, value, variance, is_other FROM (
            SELECT {best_keys}bin, sum(value) AS value, sum(variance) AS variance,
                is_best IS NULL AS is_other, coalesce(max(whole), 0) AS whole
            FROM binned LEFT JOIN best ON {same} GROUP BY ALL)
        ORDER BY is_other, whole DESC{"".join(f", {key}" for key in keys)}, bin"""
    return Statement(sql, parameters, reads)


def shown_groups_statement(question: Question, *, sampled: bool) -> Statement:
    """Return the statement of a top list over rows that are groups already.

    `log` has the keys of the items, sums and measures, `part` and `place`; no keys where there are
    no groups.
    """
    items = question_items(question)
    shown = "".join(f"{item.printed} AS {item.name}, " for item in items)
    whole_numbers = (*SUMS, SAMPLED_ROWS) if sampled else SUMS
    counters = [f"counter({name}) AS {name}" for name in whole_numbers]
    variances = [name for name in summed_names(sampled) if name not in whole_numbers]
    values = ", ".join([*counters, *variances, *question.measures])
    sql = f"SELECT {shown}{values}, part, place FROM log ORDER BY part, place"
    return Statement(sql, {}, frozenset())


def shown_bins_statement(question: Question, *, sampled: bool) -> Statement:
    """Return the statement of a series over rows that are bins already.

    `log` has the keys of the items, `bin`, `value`, `is_other` and `whole`; of samples `variance`.
    """
    items = question_items(question)
    shown = "".join(f"{item.printed} AS {item.name}, " for item in items)
    keys = "".join(f", {key}" for item in items for key in item.keys)
    variance = "variance" if sampled else "0.0 AS variance"
    sql = f"""SELECT {shown}bin, value, {variance}, is_other <> 0 AS is_other FROM log
        ORDER BY is_other, whole DESC{keys}, bin"""
    return Statement(sql, {}, frozenset())


def question_items(question: Question) -> list[Item]:
    """Return the items of all dimensions, each once.

    Raises
    ------
    InvalidQueryError
        There is no such dimension, or no rest of what both sides have.
    """
    found = [find_dimension(text) for text in question.dimensions]
    for dimension in found if question.other else ():
        if dimension.has_both_sides:
            raise InvalidQueryError(
                f"by {dimension.name} a flow is in two rows: there is no other row"
            )
    items = {item.name: item for dimension in found for item in dimension.items}
    return list(items.values())


def question_columns(question: Question) -> set[str]:
    """Return the columns of the log that a question reads beside counters and the time.

    Raises
    ------
    InvalidQueryError
        There is no such dimension, or no rest of what both sides have.
    """
    sides = (side for item in question_items(question) for side in item.sides)
    keyed = {name for side in sides for name in side.reads}
    keyed |= _measure_columns(question) | dedupe_columns(question.dedupe)
    return keyed | condition_columns(_conditions(question))


def _conditions(question: Question) -> tuple[Condition, ...]:
    return (*question.conditions, *dedupe_conditions(question.dedupe))


def _measure_columns(question: Question) -> set[str]:
    return {name for measure in question.measures for name in _MEASURE_READS[measure]}


def _is_split(items: Sequence[Item]) -> bool:
    return any(len(item.sides) == 2 for item in items)


def _flows(
    question: Question,
    items: Sequence[Item],
    extra: Iterable[str],
    *,
    most: int,
    late_ms: int = 0,
    sampled: bool = False,
) -> tuple[str, frozenset[str], dict[str, Any]]:
    """Return the relation of flows with keys and scaled counters, what it reads, its parameters.

    Parameters
    ----------
    extra
        Further columns that it has.
    most
        So many times the log is read; see `where_branches`.
    late_ms
        So long after the range flows are received that lie in it.
    """
    reads = question_columns(question) | {*COUNTERS, *extra}
    reads |= {WEIGHT} if sampled else set()
    columns = ", ".join(read_column(name) for name in sorted(reads))
    parameters: dict[str, Any] = {}
    time = ""
    if question.since_ms > 0 or question.until_ms < LAST_MS:
        time = (
            f"{COLLECTION_TIME} >= $since_ms::BIGINT AND {COLLECTION_TIME} < $until_ms::BIGINT AND "
        )
        parameters |= {"since_ms": question.since_ms, "until_ms": question.until_ms + late_ms}
    branches = []
    for condition, values in where_branches(_conditions(question), most=most):
        branches.append(f"SELECT {columns} FROM log WHERE {time}{condition}")
        parameters |= values
    flows = (
        f"SELECT * FROM ({' UNION ALL '.join(branches)})"
        " WHERE record_kind IS NULL OR record_kind = 0"
    )
    flows = deduplicate(flows, question.dedupe)
    counters = _counters(question.raw, sampled)
    keys_of_all = {key for item in items for key in item.keys}
    carried = "".join(f", {name}" for name in sorted({*extra, COLLECTION_TIME} - keys_of_all))
    selects = []
    for side, (is_first, where) in _sides(items):
        keys = [
            f"{expression} AS {key}"
            for item in items
            for expression, key in zip(
                item.sides[side % len(item.sides)].keys, item.keys, strict=True
            )
        ]
        selects.append(
            f"SELECT {', '.join([*keys, counters])}{carried}, {is_first} AS is_first"
            f" FROM ({flows}) WHERE {where}"
        )
    return " UNION ALL ".join(selects), frozenset(reads), parameters


def _counters(raw: bool, sampled: bool) -> str:
    """Return what a flow counts for."""
    weight = f" * {WEIGHT}" if sampled else ""
    scale = weight if raw else f" * rate(sampling_rate){weight}"
    of = {
        "octets": f"coalesce(octet_delta_count, 0)::DOUBLE{scale}",
        "packets": f"coalesce(packet_delta_count, 0)::DOUBLE{scale}",
        "flows": f"coalesce(delta_flow_count, 1)::DOUBLE{weight}",
    }
    counters = [f"{value} AS {name}" for name, value in of.items()]
    if sampled:
        share = f"({WEIGHT} - 1) / {WEIGHT}"
        # A power would take longer than all the rest.
        counters += [f"({value}) * ({value}) * {share} AS {n}_variance" for n, value in of.items()]
        counters.append(f"1 AS {SAMPLED_ROWS}")
    return ", ".join(counters)


def _sides(items: Sequence[Item]) -> list[tuple[int, tuple[str, str]]]:
    """Return the sides that a flow counts for: whether it is the flow's first, and when it does.

    Where both sides are the same, or one has no value, it counts once.
    """
    split = [item.sides for item in items if len(item.sides) == 2]
    if not split:
        return [(0, ("true", "true"))]
    has_one, has_other = (
        "(" + " OR ".join(sides[place].present for sides in split) + ")" for place in (0, 1)
    )
    differs = " OR ".join(
        f"{one} IS DISTINCT FROM {other}"
        for sides in split
        for one, other in zip(sides[0].keys, sides[1].keys, strict=True)
    )
    return [
        (0, ("true", f"{has_one} OR NOT {has_other}")),
        (1, (f"NOT {has_one}", f"{has_other} AND ({differs})")),
    ]


def read_column(name: str) -> str:
    """Return the expression that reads a stored column; an unknown protocol is one, not null."""
    if name == "protocol_identifier":
        return f"coalesce({name}, {UNKNOWN_PROTOCOL}::UTINYINT) AS {name}"
    return name
