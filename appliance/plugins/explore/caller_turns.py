"""The turns of the callers of explore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from appliance import Principal, RequestError
from appliance.query.turns import QueryTurns, TooManyQuestionsError

TURNS = QueryTurns()
JOB_TURNS = QueryTurns(most=2, most_of_user=1, what="long questions")
EXPORT_TURNS = QueryTurns(most=2, most_of_user=1, what="exports")
"""Of this process, which has one web server. Exports take as long as their clients."""


def turn_of(principal: Principal | None) -> AbstractContextManager[None]:
    """Hold a turn of the caller for a question.

    Raises
    ------
    RequestError
        429: there is none.
    """
    return _turn(TURNS, principal)


def job_turn_of(principal: Principal | None) -> AbstractContextManager[None]:
    """Hold a turn of the caller for an exact answer over many flows, or raise as `turn_of`."""
    return _turn(JOB_TURNS, principal)


def export_turn_of(principal: Principal | None) -> AbstractContextManager[None]:
    """Hold a turn of the caller for an export, or raise as `turn_of`."""
    return _turn(EXPORT_TURNS, principal)


def caller_name(principal: Principal | None) -> str:
    """Return the name of the caller; empty for nobody."""
    return "" if principal is None else principal.name


@contextmanager
def _turn(turns: QueryTurns, principal: Principal | None) -> Iterator[None]:
    try:
        with turns.of(caller_name(principal)):
            yield
    except TooManyQuestionsError as error:
        raise RequestError(429, str(error)) from None
