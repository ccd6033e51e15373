"""Turns of callers: 429 where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.contracts import Principal
from appliance.errors import RequestError
from appliance.query.turns import QueryTurns, TooManyQuestionsError


def caller_name(principal: Principal | None) -> str:
    """Return the name of the caller; empty for nobody."""
    return "" if principal is None else principal.name


@contextmanager
def caller_turn(turns: QueryTurns, principal: Principal | None) -> Iterator[None]:
    """Hold a turn of the caller.

    Raises
    ------
    RequestError
        429: there is none.
    """
    try:
        with turns.of(caller_name(principal)):
            yield
    except TooManyQuestionsError as error:
        raise RequestError(429, str(error)) from None
