"""The turns of the callers of explore."""

from __future__ import annotations

from contextlib import AbstractContextManager

from appliance import Principal
from appliance.query.turns import QueryTurns
from appliance.web.turns import caller_turn

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
    return caller_turn(TURNS, principal)


def job_turn_of(principal: Principal | None) -> AbstractContextManager[None]:
    """Hold a turn of the caller for an exact answer over many flows, or raise as `turn_of`."""
    return caller_turn(JOB_TURNS, principal)


def export_turn_of(principal: Principal | None) -> AbstractContextManager[None]:
    """Hold a turn of the caller for an export, or raise as `turn_of`."""
    return caller_turn(EXPORT_TURNS, principal)
