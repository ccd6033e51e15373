"""Questions as SQL of ClickHouse, grouped and summed there: the common subset of 18.16 and current.

Each SELECT reads `flows` itself, not a subquery of it, so that the servers of a cluster group their
own rows. A flow that counts for both its sides, or for several bins, becomes several rows by ARRAY
JOIN. Names of results are `k0`, `k1`, ... for keys, as an alias that is also a column would take
its place everywhere.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are numbers or literals.

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from appliance.errors import QueryError
from appliance.flowlog.conditions import Condition
from appliance.flows import COLLECTION_TIME, COLUMN, UNKNOWN_PROTOCOL
from appliance.plugins.clickhouse.filters import filter_sql
from appliance.plugins.clickhouse.http import literal
from appliance.plugins.clickhouse.schema import (
    FLOWS,
    MARK_RANK,
    PERIOD_SECONDS,
    RANK,
    RATIO,
    column_type,
)
from appliance.query.deduplication import KEY, NEAREST, PERIOD_MS, POINT, dedupe_conditions
from appliance.query.question import SAMPLED_ROWS, SUMS, Question
from appliance.query.statements import END, LATE_MS, START, question_items, summed_names

_WORD = re.compile(r"[a-z][a-z0-9_]*")
_LAST_SECOND = 2**32 - 1
_MOST_RATE = 4_294_967_296
_NO_DIRECTION = 255


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Writes columns of the flow log as SQL.

    Attributes
    ----------
    columns
        Those that the table has; others were never written, and have no value in any row.
    """

    columns: Collection[str]

    def named(self, name: str) -> str:
        """Return a column as it is stored."""
        if name in self.columns:
            return name
        kind = column_type(COLUMN[name])
        return f"CAST(NULL, {literal(kind)})"

    def read(self, name: str) -> str:
        """Return a column as answers read it; an unknown protocol is one, not NULL."""
        stored = self.named(name)
        if name == "protocol_identifier":
            return f"ifNull({stored}, {UNKNOWN_PROTOCOL})"
        return stored

    def expression(self, text: str) -> str:
        """Return an expression of a dimension with its columns written."""
        return _WORD.sub(lambda m: self.read(m[0]) if m[0] in COLUMN else m[0], text)

    def where(
        self, conditions: Iterable[Condition], since_ms: int, until_ms: int, *, only_flows: bool
    ) -> str:
        """Return the condition of a range and of filters.

        Raises
        ------
        QueryError
            A condition has no filter.
        """
        parts = [_range(since_ms, until_ms)]
        if only_flows:
            parts.append("ifNull(record_kind, 0) = 0")
        for condition in conditions:
            if condition.filter is None:
                raise QueryError("the question has a condition that only the flow log knows")
            parts.append(filter_sql(condition.filter, self.named))
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of flows that is read; see `sampling`.

    Attributes
    ----------
    table
        The one that has it.
    rank
        Rows of this rank and more are read.
    n_rows, drawn_from
        How many these are, and of how many they were drawn.
    """

    table: str
    rank: int
    n_rows: int
    drawn_from: int

    @property
    def condition(self) -> str:
        """What of the table is read."""
        return f"{RANK} >= {self.rank} AND {RANK} < {MARK_RANK}"

    @property
    def weight(self) -> str:
        """How many flows each row stands for."""
        return f"greatest(toFloat64({RATIO}) * {float(2**self.rank)}, 1.0)"


class GroupStatements:
    """The statements of one question: keys are `k0`, `k1`, ... in the order of the items' keys.

    Parameters
    ----------
    sample
        What is read; None: all flows.
    """

    def __init__(self, question: Question, table: FlowTable, sample: Sample | None = None) -> None:
        self.question, self.table, self._sample = question, table, sample
        self._source = FLOWS if sample is None else sample.table
        self.summed = summed_names(sample is not None)
        self.items = question_items(question)
        self.is_split = any(len(item.sides) == 2 for item in self.items)
        self.keys = [key for item in self.items for key in item.keys]
        self.aliases = [f"k{n}" for n in range(len(self.keys))]
        conditions = (*question.conditions, *dedupe_conditions(question.dedupe))
        late_ms = 0 if question.step_ms is None else LATE_MS
        since_ms, until_ms = question.since_ms, question.until_ms + late_ms
        self._where = table.where(conditions, since_ms, until_ms, only_flows=True)
        if sample is not None:
            self._where += f" AND {sample.condition}"
        if question.dedupe == NEAREST:
            self._where += f" AND {_counts_once(table, self._octets(), self._where)}"

    def groups(self) -> str:
        """Return the SELECT of the largest groups and of one more: keys, sums, measures."""
        orders = [f"{self.question.order} DESC NULLS LAST", *(f"{name} DESC" for name in SUMS)]
        source, where = self._source, self._where
        if self.is_split:
            source += " ARRAY JOIN [0, 1] AS side"
            where += f" AND {self._side_counts('side')}"
        return (
            f"SELECT {', '.join([*self._keys('side'), *self._values()])} FROM {source}"
            f" WHERE {where} GROUP BY {', '.join(self.aliases)}"
            f" ORDER BY {', '.join([*orders, *self.aliases])} LIMIT {self.question.limit + 1}"
        )

    def total(self) -> str:
        """Return the SELECT of the sums and measures of all flows, each once."""
        return f"SELECT {', '.join(self._values())} FROM {self._source} WHERE {self._where}"

    def best(self) -> str:
        """Return the SELECT of the largest groups of a series: keys, and `whole`."""
        slots, side, number = self._slots()
        return (
            f"SELECT {', '.join(self._keys(side))}, sum({self._share(number)}) AS whole"
            f" FROM {self._source} ARRAY JOIN {slots} AS slot WHERE {self._series_where(side)}"
            f" GROUP BY {', '.join(self.aliases)}"
            f" ORDER BY {', '.join(['whole DESC', *self.aliases])} LIMIT {self.question.limit}"
        )

    def bins(self, best: Sequence[str]) -> str:
        """Return the SELECT of bins: `ident`, `number`, `value`, of a sample `variance`.

        Parameters
        ----------
        best
            `identity` of the groups that have bins of their own; `ident` is empty in others.
        """
        slots, side, number = self._slots()
        ident = "''"
        if best:
            texts = [_text_of(key) for key in self._key_expressions(side)]
            identity = "concat({}, '')".format(", ' ', ".join(texts))
            ident = f"if({identity} IN {literal(list(best))}, {identity}, '')"
        variance = ""
        if self._sample is not None:
            variance = f", sum({self._share(number, is_variance=True)}) AS variance"
        return (
            f"SELECT {ident} AS ident, toInt64({number}) AS number,"
            f" sum({self._share(number)}) AS value{variance}"
            f" FROM {self._source} ARRAY JOIN {slots} AS slot WHERE {self._series_where(side)}"
            " GROUP BY ident, number"
        )

    @property
    def n_bins(self) -> int:
        """How many bins a series has."""
        first, last, _ = self._bounds()
        return last - first + 1

    def _key_expressions(self, side: str) -> list[str]:
        texts = []
        for item in self.items:
            first = [self.table.expression(key) for key in item.sides[0].keys]
            if len(item.sides) == 2:
                second = [self.table.expression(key) for key in item.sides[1].keys]
                pairs = zip(first, second, strict=True)
                first = [f"if({side} = 0, {one}, {other})" for one, other in pairs]
            texts += first
        return texts

    def _keys(self, side: str) -> list[str]:
        texts = zip(self._key_expressions(side), self.aliases, strict=True)
        return [f"{text} AS {alias}" for text, alias in texts]

    def _values(self) -> list[str]:
        counters = self._counters()
        sums = [f"sum({value}) AS {name}" for name, value in counters.items()]
        if self._sample is not None:
            sums += [f"sum({self._variance(n)}) AS {n}_variance" for n in counters]
            sums.append(f"toFloat64(count()) AS {SAMPLED_ROWS}")
        return [*sums, *(f"{self._measure(name)} AS {name}" for name in self.question.measures)]

    def _octets(self) -> str:
        return f"{_float(self.table.named('octet_delta_count'), 0)} * {self._rate()}"

    def _rate(self) -> str:
        rate = f"ifNull({self.table.named('sampling_rate')}, 1)"
        return f"toFloat64(if({rate} >= 1 AND {rate} <= {_MOST_RATE}, {rate}, 1))"

    def _counters(self) -> dict[str, str]:
        """Return what a flow counts for, by the name of the sum."""
        weight = "" if self._sample is None else f" * {self._sample.weight}"
        scale = weight if self.question.raw else f" * {self._rate()}{weight}"
        return {
            "octets": f"{_float(self.table.named('octet_delta_count'), 0)}{scale}",
            "packets": f"{_float(self.table.named('packet_delta_count'), 0)}{scale}",
            "flows": f"{_float(self.table.named('delta_flow_count'), 1)}{weight}",
        }

    def _variance(self, name: str) -> str:
        """Return what a flow of the sample adds to the variance of a sum; of all flows nothing."""
        weight = "1" if self._sample is None else self._sample.weight
        return f"pow({self._counters()[name]}, 2) * ({weight} - 1) / {weight}"

    def _measure(self, name: str) -> str:
        named = self.table.named
        if name == "mean_packet_size":
            return "if(packets > 0, octets / packets, NULL)"
        if name == "mean_duration":
            duration = f"toFloat64({named(END)} - {named(START)})"
            return f"if(flows > 0, sum({duration} * {self._counters()['flows']}) / flows, NULL)"
        if name == "ports":
            return f"toFloat64(uniqCombined({named('destination_transport_port')}))"
        source, destination = (
            [f"ifNull({named(f'{end}_address_{half}')}, 0)" for half in ("hi", "lo")]
            for end in ("source", "destination")
        )
        if name == "conversations":
            (a, b), (c, d) = source, destination
            is_ordered = f"({a} < {c} OR ({a} = {c} AND {b} <= {d}))"
            ends = zip((a, b, c, d), (c, d, a, b), strict=True)
            folded = ", ".join(f"if({is_ordered}, {one}, {other})" for one, other in ends)
            return f"toFloat64(uniqCombined({folded}))"
        counted = source if name == "sources" else destination
        return f"toFloat64(uniqCombined({', '.join(counted)}))"

    def _side_counts(self, side: str) -> str:
        """Return when a side of a flow counts: both, unless they are the same or one is absent."""
        expression = self.table.expression
        split = [item.sides for item in self.items if len(item.sides) == 2]
        has_one, has_other = (
            "(" + " OR ".join(expression(sides[place].present) for sides in split) + ")"
            for place in (0, 1)
        )
        differs = " OR ".join(
            _differ(expression(one), expression(other))
            for sides in split
            for one, other in zip(sides[0].keys, sides[1].keys, strict=True)
        )
        return (
            f"(({side} = 0 AND ({has_one} OR NOT {has_other}))"
            f" OR ({side} = 1 AND {has_other} AND ({differs})))"
        )

    def _slots(self) -> tuple[str, str, str]:
        """Return the array of the bins that a flow lies in, and in it: its side and its number."""
        first, last, step = self._bounds()
        began, ended = self._times()
        low = f"greatest(intDiv({began}, {step}), toInt64({first}))"
        high = f"least(intDiv({ended}, {step}), toInt64({last}))"
        numbers = f"range(toUInt64(greatest({high} - {low} + 1, toInt64(0))))"
        if not self.is_split:
            return f"arrayMap(x -> {low} + toInt64(x), {numbers})", "0", "slot"
        sides = (f"arrayMap(x -> ({n}, {low} + toInt64(x)), {numbers})" for n in (0, 1))
        array = f"arrayConcat({', '.join(sides)})"
        return array, "tupleElement(slot, 1)", "tupleElement(slot, 2)"

    def _bounds(self) -> tuple[int, int, int]:
        step = self.question.step_ms
        if step is None:
            raise ValueError("a series has a step")
        return self.question.since_ms // step, (self.question.until_ms - 1) // step, step

    def _times(self) -> tuple[str, str]:
        """Return from when to when a flow counts: without times, when it was received."""
        start, end = (f"ifNull({self.table.named(name)}, 0)" for name in (START, END))
        is_timed = f"({start} > 0 AND {end} >= {start})"
        return (
            f"if({is_timed}, {start}, {COLLECTION_TIME})",
            f"if({is_timed}, {end}, {COLLECTION_TIME})",
        )

    def _share(self, number: str, *, is_variance: bool = False) -> str:
        """Return what of a flow's value, or of its variance, is in a bin."""
        _, _, step = self._bounds()
        began, ended = self._times()
        inside = (
            f"toFloat64(least({ended}, ({number} + 1) * {step})"
            f" - greatest({began}, {number} * {step})) / toFloat64(greatest({ended} - {began}, 1))"
        )
        is_whole = f"intDiv({began}, {step}) = intDiv({ended}, {step})"
        share = f"if({is_whole}, toFloat64(1), {inside})"
        if is_variance:
            return f"{self._variance(self.question.order)} * pow({share}, 2)"
        return f"{self._counters()[self.question.order]} * {share}"

    def _series_where(self, side: str) -> str:
        return f"{self._where} AND {self._side_counts(side)}" if self.is_split else self._where


def identity(keys: Iterable[object]) -> str:
    """Return the text that `GroupStatements.bins` tells a group by."""
    return " ".join("-" if key is None else str(key) for key in keys)


def _counts_once(table: FlowTable, octets: str, where: str) -> str:
    """Return the condition of flows that count; see `appliance.query.deduplication`.

    Of the points that saw one flow, all but the one with most octets are left out.
    """
    key = ", ".join(f"ifNull({table.named(name)}, {_none_of(name)})" for name in KEY)
    flow = f"cityHash64({key}, intDiv({COLLECTION_TIME}, {PERIOD_MS}))"
    place = [f"ifNull({table.named(name)}, {_NO_DIRECTION})" for name in POINT]
    point = f"cityHash64({', '.join(place)})"
    points = (
        f"SELECT {flow} AS flow, {point} AS point, sum({octets}) AS seen,"
        f" {', '.join(f'min({each}) AS p{n}' for n, each in enumerate(place))}"
        f" FROM {FLOWS} WHERE {where} GROUP BY flow, point"
    )
    ranked = "arraySort(groupArray((0 - seen, p0, p1, p2, point)))"
    left_out = (
        f"SELECT flow, tupleElement(arrayJoin(arraySlice({ranked}, 2)), 5) AS left"
        f" FROM ({points}) GROUP BY flow HAVING count() > 1"
    )
    return f"({flow}, {point}) GLOBAL NOT IN ({left_out})"


def _differ(one: str, other: str) -> str:
    return f"isNull({one}) != isNull({other}) OR ifNull({one} != {other}, 0)"


def _text_of(expression: str) -> str:
    return f"ifNull(toString({expression}), '-')"


def _none_of(name: str) -> int:
    return int(COLUMN[name].absent)


def _float(column: str, absent: int) -> str:
    return f"toFloat64(ifNull({column}, {absent}))"


def _range(since_ms: int, until_ms: int) -> str:
    """Return the condition of a range of collection times, by the periods as well, which prune."""
    first = max(since_ms // 1000 // PERIOD_SECONDS * PERIOD_SECONDS, 0)
    end = -(-until_ms // 1000)
    parts = [f"{COLLECTION_TIME} >= {since_ms}", f"{COLLECTION_TIME} < {until_ms}"]
    if first <= _LAST_SECOND:
        parts.append(f"period >= toDateTime({first})")
    if end <= _LAST_SECOND:
        parts.append(f"period < toDateTime({end})")
    return " AND ".join(parts)
