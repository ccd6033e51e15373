"""The turns of the callers of explore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance import Principal, RequestError
from appliance.query.turns import QueryTurns, TooManyQuestionsError

TURNS = QueryTurns()
"""Of this process, which has one web server."""


@contextmanager
def turn_of(principal: Principal | None) -> Iterator[None]:
    """Hold a turn of the caller.

    Raises
    ------
    RequestError
        429: there is none.
    """
    try:
        with TURNS.of("" if principal is None else principal.name):
            yield
    except TooManyQuestionsError as error:
        raise RequestError(429, str(error)) from None
