"""Questions to a flow log, as tests ask them."""

from __future__ import annotations

from typing import Any, NamedTuple

from appliance.flowlog import FlowSearch
from appliance.flowlog.conditions import where_branches
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import filter_conditions
from appliance.query.language.tree import Filter
from appliance.query.question import Question


def filter_sql(tree: Filter) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a filter and its named parameters."""
    [branch] = where_branches(filter_conditions(tree), most=1)
    return branch


class Totals(NamedTuple):
    """Sums over flows."""

    flows: int
    packets: int
    octets: int


def top(search: FlowSearch, dimension: str, **fields: Any) -> list[dict[str, Any]]:
    """Return the groups of one dimension, the rest behind them where it is asked for."""
    answer = QueryEngine(search).top(Question((dimension,), **fields))
    return [*answer.rows.to_pylist(), *([dict(answer.other)] if answer.other else [])]


def totals(search: FlowSearch, **fields: Any) -> Totals:
    """Return the sums over all flows that match."""
    total = QueryEngine(search).top(Question(**fields)).total
    return Totals(int(total["flows"]), int(total["packets"]), int(total["octets"]))
