"""What a caller sees at most: the filter that an account is bound to, and the names in one's own.

Routes that are open to bound users begin here: `bound_engine` answers within the filter, whatever a
question says, and `caller_names` reads the caller's own filters without telling which names exist.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appliance.accounts.filters import Exporters, account_conditions, log_names
from appliance.contracts import Principal
from appliance.errors import InvalidQueryError, RequestError
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings
from appliance.web.errors import BOUND

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.search import FlowSearch
    from appliance.query.engine import QueryEngine
    from appliance.query.names import LogNames

UNUSABLE = (
    "The filter that your account is bound to is not understood any more: an administrator sets it"
    " anew"
)

log = RateLimited(logging.getLogger(__name__))


def bound_engine(
    engine: QueryEngine, principal: Principal | None, settings: Settings, exporters: Exporters
) -> QueryEngine:
    """Return an engine that answers a caller: within the filter, where the caller is bound to one.

    Parameters
    ----------
    exporters
        Returns those that a store knows, for their names.

    Raises
    ------
    RequestError
        403: the filter is not understood any more, so nothing is answered.
    """
    if principal is None or principal.filter is None:
        return engine
    return engine.bound_to(
        _conditions(principal, principal.filter, log_names(engine.search, settings, exporters))
    )


def caller_names(
    search: FlowSearch, principal: Principal | None, settings: Settings, exporters: Exporters
) -> LogNames:
    """Return what finds numbers for names in the filters that a caller writes."""
    from appliance.query.names import HiddenNames

    if principal is None or principal.filter is None:
        return log_names(search, settings, exporters)
    return HiddenNames(search, exporters)


def _conditions(principal: Principal, text: str, names: LogNames) -> tuple[Condition, ...]:
    try:
        return account_conditions(text, names)
    except InvalidQueryError as error:
        # The sentence may tell of names, which the caller must not learn.
        log.warning("%s is bound to a filter that cannot be used: %s", principal.name, str(error))
        raise RequestError(403, UNUSABLE, code=BOUND) from None
