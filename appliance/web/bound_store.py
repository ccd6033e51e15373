"""What a bound user is answered by in place of the store: sums of the flows within the filter.

Roll-ups know no filters. The few sums that the query engine makes of single flows just as well are
made of these; whatever else a store can do is closed. All flows of a range are read, so a user has
one such answer at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from appliance.contracts import (
    Direction,
    FlowStore,
    KeyedMeasure,
    Measure,
    MeasureName,
    Principal,
    Selection,
    TopAnswer,
)
from appliance.errors import RequestError, StorageError
from appliance.query.turns import QueryTurns
from appliance.settings.file import Settings
from appliance.settings.own_networks import inside_prefixes
from appliance.web.errors import BOUND, CLOSED_TO_BOUND
from appliance.web.turns import caller_turn

if TYPE_CHECKING:
    from appliance.query.engine import QueryEngine
    from appliance.query.language.tree import Filter
    from appliance.query.question import TopAnswer as EngineAnswer

TURNS = QueryTurns(most=2, most_of_user=1, what="sums")
"""Of this process."""

MOST_DAYS = 100
"""Of hours in one answer: each day is a question."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KEYS = {
    "source": "source_address",
    "destination": "destination_address",
    "protocol": "protocol_identifier",
}
_UNKNOWN_DIRECTIONS = (2, 255)


class BoundStore:
    """Answers as the store does, of the flows of one caller.

    Parameters
    ----------
    engine
        Bound to the caller's filter.
    """

    def __init__(self, engine: QueryEngine, principal: Principal | None, settings: Settings):
        self._engine, self._principal, self._settings = engine, principal, settings

    def __getattr__(self, name: str) -> NoReturn:
        raise RequestError(403, CLOSED_TO_BOUND, code=BOUND)

    def bin_at(self, moment: int, *_: object) -> tuple[int, int]:
        """Return the minute of a moment: a range can begin with any."""
        start = moment // _MINUTE * _MINUTE
        return start, start + _MINUTE

    def top(
        self,
        dimension: str,
        selection: Selection,
        by: MeasureName = "octets",
        limit: int | None = None,
    ) -> TopAnswer:
        """Return the largest keys of addresses and protocols; others are closed."""
        from appliance.query.question import MAX_GROUPS

        key = _KEYS.get(dimension)
        if key is None:
            raise RequestError(403, CLOSED_TO_BOUND, code=BOUND)
        span = (selection.since or 0, selection.until)
        with caller_turn(TURNS, self._principal):
            answer = self._ask(dimension, span, selection, order=by, limit=limit or MAX_GROUPS)
        rows = [KeyedMeasure(str(row[key]), *_sums(row)) for row in answer.rows.to_pylist()]
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        total = Measure(*_sums(answer.total))
        shown = (sum(values) for values in zip(*(row[1:] for row in rows), strict=True))
        other = Measure(*(a - b for a, b in zip(total, shown, strict=True))) if rows else total
        return TopAnswer(rows, other, total, Measure())

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries: seconds UTC, but for the first whole
        hours.
        """
        sums = [Measure() for _ in boundaries[1:]]
        oldest = self._engine.search.oldest_ms() // 1000
        since, until = max(boundaries[0], oldest), boundaries[-1]
        days = range(since // _DAY * _DAY, until, _DAY) if since < until else ()
        if len(days) > MOST_DAYS:
            raise RequestError(
                400, f"The range has more than {MOST_DAYS} days with flows: say from, or last"
            )
        with caller_turn(TURNS, self._principal):
            for day in days:
                span = (max(day, since), min(day + _DAY, until))
                for row in self._ask("hour", span, selection, limit=24).rows.to_pylist():
                    start = max(day + int(row["hour"]) * _HOUR, since)
                    place = bisect_right(boundaries, start) - 1
                    added = zip(sums[place], _sums(row), strict=True)
                    sums[place] = Measure(*(a + b for a, b in added))
        return sums

    def _ask(
        self, dimension: str, span: tuple[int, int | None], selection: Selection, **more: Any
    ) -> EngineAnswer:
        """Return an answer of every flow in a range.

        Raises
        ------
        StorageError
            A part of them cannot be read: sums must not be too low, unless the selection accepts
            what does not answer.
        """
        from appliance.flowlog.questions import LAST_MS
        from appliance.query.language.duckdb import filter_conditions
        from appliance.query.question import Question

        since, until = span
        tree = direction_filter(self._settings, selection.direction)
        question = Question(
            (dimension,),
            conditions=() if tree is None else filter_conditions(tree),
            since_ms=since * 1000,
            until_ms=LAST_MS if until is None else until * 1000,
            exact=True,
            **more,
        )
        answer = self._engine.top(question)
        missing = answer.provenance.missing
        if answer.provenance.left_out or (missing and selection.on_missing is None):
            raise StorageError("some flows cannot be read: sums would be too low")
        if missing and selection.on_missing is not None:
            selection.on_missing(missing)
        return answer


def bound_store(engine: QueryEngine, principal: Principal | None, settings: Settings) -> FlowStore:
    """Return what answers a bound caller as a store does."""
    return cast(FlowStore, BoundStore(engine, principal, settings))


def direction_filter(settings: Settings, direction: Direction | None) -> Filter | None:
    """Return the filter of a direction, as roll-ups have it; None for both.

    What an exporter did not tell is egress where the source is inside and the destination is not.
    """
    from appliance.query.address_lists import address_range
    from appliance.query.language.tree import And, InNetworks, InRanges, Not, Or

    if direction is None:
        return None
    ranges = (address_range(str(prefix)) for prefix in inside_prefixes(settings))
    inside = tuple(one for one in ranges if one is not None)
    told = InRanges(("flow_direction",), ((Direction.EGRESS, Direction.EGRESS),))
    outward = And(
        (
            InRanges(("flow_direction",), (_UNKNOWN_DIRECTIONS,)),
            InNetworks(("source_address",), inside),
            Not(InNetworks(("destination_address",), inside)),
        )
    )
    egress = Or((told, outward))
    return egress if direction == Direction.EGRESS else Not(egress)


def _sums(row: Any) -> tuple[int, int, int]:
    return int(row["octets"]), int(row["packets"]), int(row["flows"])
