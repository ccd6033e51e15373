"""The one shape of errors, and which of our exceptions becomes which HTTP status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from appliance.contracts import Answer, Principal
from appliance.errors import InvalidQueryError, QueryError, RequestError, StorageError
from appliance.guard import PluginError
from appliance.ratelimit import RateLimited

ROUTE = "route"
"""What a handler is in the counts of plugins' failures."""

NO_TOKEN = "No valid token provided"  # noqa: S105 - a message of the API, no secret
NOT_AVAILABLE = "The database is not available at the moment, try again later"
MUST_CHANGE = "password_change_required"
NOT_ADMINISTRATOR = "Administrative privileges required"
BOUND = "bound_to_filter"
HIDDEN_PROBLEM = "the question ran into a limit or failed: ask for a shorter range, or again later"
CLOSED_TO_BOUND = "Your account is bound to a filter, and this cannot be limited to it"

_SOON = {"Retry-After": "1"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: _SOON, 503: _SOON}


def error_body(message: str) -> dict[str, object]:
    """Return the JSON of an error."""
    return {"success": False, "message": message}


def error_for(principal: Principal | None, error: Exception) -> Exception:
    """Return an error as a caller is told it: to one who is bound to a filter, what a database says
    may tell of flows that are hidden. What is wrong with the question itself stays.
    """
    if principal is None or principal.filter is None or isinstance(error, InvalidQueryError):
        return error
    if isinstance(error, StorageError):
        return StorageError(str(error))
    return QueryError(HIDDEN_PROBLEM) if isinstance(error, QueryError) else error


def sentence_for(principal: Principal | None, error: Exception) -> str:
    """Return the sentence in which a caller is told of an error; see `error_for`."""
    told = error_for(principal, error)
    return (
        NOT_AVAILABLE
        if told is not error and isinstance(told, StorageError)
        else sentence(str(told))
    )


def error_answer(
    error: Exception, log: RateLimited, body: Callable[[str], Mapping[str, Any]] = error_body
) -> Answer:
    """Turn what a handler raised into an answer; what is not expected is logged and becomes 500."""
    if isinstance(error, RequestError):
        headers = {**_HEADERS.get(error.status, {}), **error.headers}
        code = {"code": error.code} if error.code else {}
        return Answer({**body(error.message), **code}, error.status, headers=headers)
    if isinstance(error, QueryError):
        return Answer(body(sentence(str(error))), 400)
    if isinstance(error, PluginError) and error.part == ROUTE:
        return Answer(body("Internal server error"), 500)
    if isinstance(error, StorageError):
        log.warning("storage is not available: %s", str(error))
        message = error.sentence or NOT_AVAILABLE
        return Answer(body(message), 503, headers={"Retry-After": "10"})
    log.exception("a handler failed: %s", type(error).__name__)
    return Answer(body("Internal server error"), 500)


def sentence(text: str) -> str:
    """Bring an error's text, lower case, into the form of the API's messages."""
    return text[:1].upper() + text[1:]
