"""Names in the flow log: exact sums of one exporter over minutes that roll-ups keep no names of.

The roll-ups have names of a single exporter by the hour only; the part of an hour at either end of
a range is asked of the flow log, which has every flow. Direction is told as the classifier tells
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from appliance.contracts import MEASURES, Direction, MeasureName
from appliance.errors import QueryError
from appliance.flowlog import QueryLimits
from appliance.flowlog.conditions import Condition
from appliance.plugins.rollups.bins import Span
from appliance.plugins.rollups.classify import LocalNetworks
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.grouping import LARGEST_SUM, IntArray, add_sums
from appliance.query.question import Question, TopAnswer

MOST_NAMES = 100_000
"""So many of a part of an hour are read; what the others can have is in the bound."""

_SEARCHED = {Dimension.SOURCE: "source", Dimension.DESTINATION: "destination"}


class LogNames(NamedTuple):
    """Names with their sums.

    Attributes
    ----------
    sums
        int64, shape (n, 3): octets, packets, flows.
    threshold
        int64, shape (3,): what a name that is not here can have at most.
    total
        int64, shape (3,): of everything, these names or not.
    """

    names: list[str]
    sums: IntArray
    threshold: IntArray
    total: IntArray


@dataclass(frozen=True, slots=True)
class LogQuestions:
    """Questions about names to one flow log, within the limits of a search."""

    log: Path
    limits: QueryLimits
    local: LocalNetworks

    def names(
        self,
        dimension: Dimension,
        exporter: str,
        directions: tuple[int, ...],
        span: Span,
        by: MeasureName,
    ) -> LogNames:
        """Return the sums by name of an exporter's flows between two whole minutes.

        Raises
        ------
        QueryError
            There is no flow log, it does not know this dimension, or the search ran into a limit;
            the text says that whole hours can be asked for.
        """
        # The loader, which asks nothing, does without these large modules.
        from appliance.flowlog import FlowSearch
        from appliance.query.engine import QueryEngine
        from appliance.query.language.duckdb import parse_conditions

        if dimension not in _SEARCHED or not (self.log / "flows").is_dir():
            raise QueryError(f"names of {_name(dimension)} of one device are kept by whole hours")
        conditions = [*parse_conditions([f"exporter={exporter}"])]
        if len(directions) == 1:
            conditions.append(direction_condition(Direction(directions[0]), self.local))
        question = Question(
            (_SEARCHED[dimension],),
            order=by,
            conditions=tuple(conditions),
            since_ms=span.since * 1000,
            until_ms=span.until * 1000,
            limit=MOST_NAMES,
            other=True,
        )
        try:
            answer = QueryEngine(FlowSearch(self.log, self.limits)).top(question)
        except QueryError as error:
            raise QueryError(f"{error}, or ask for whole hours") from error
        return _names(answer, by)


def direction_condition(direction: Direction, local: LocalNetworks) -> Condition:
    """Return the condition that flows have a direction, as `Classifier` finds it.

    What the exporter told (element 61) goes first; else a local source with a foreign destination
    is egress, everything else ingress.
    """
    inside, outside = (_contains(side, local) for side in ("source", "destination"))
    told = "coalesce(flow_direction, 255)"
    egress = f"({told} = 1 OR ({told} > 1 AND {inside} AND NOT {outside}))"
    condition = Condition((egress,), ())
    return condition if direction is Direction.EGRESS else replace(condition, negated=True)


def _contains(side: str, local: LocalNetworks) -> str:
    """Return the SQL that tells whether an address is in one of the networks."""
    tests = [
        f"((coalesce({side}_address_hi, 0) & {high_mask}::UBIGINT) = {high}::UBIGINT"
        f" AND (coalesce({side}_address_lo, 0) & {low_mask}::UBIGINT) = {low}::UBIGINT)"
        for high_mask, high, low_mask, low in local.tests
    ]
    return f"({' OR '.join(tests) or 'FALSE'})"


def _names(answer: TopAnswer, by: MeasureName) -> LogNames:
    """Take the answer of a search."""
    rows, other = answer.rows, answer.other or {}
    names = ["::" if name is None else str(name) for name in rows.column(0).to_pylist()]
    columns = [np.asarray(rows.column(measure), np.uint64) for measure in MEASURES]
    sums = np.minimum(np.column_stack(columns), np.uint64(LARGEST_SUM)).astype(np.int64)
    rest = np.array([min(int(other.get(m, 0)), LARGEST_SUM) for m in MEASURES], np.int64)
    threshold = rest.copy()
    if rest.any():
        place = MEASURES.index(by)
        threshold[place] = min(rest[place], sums[-1, place])
    return LogNames(names, sums, threshold, add_sums([*sums, rest]))


def _name(dimension: Dimension) -> str:
    return f"{dimension.name.lower()}s"
