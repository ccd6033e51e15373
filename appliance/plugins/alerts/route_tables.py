"""The six routes by which rules and alerts of one place are had, whoever they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from appliance import Route
from appliance.plugins.alerts.answers import (
    ALERT_EXAMPLE,
    BODY_EXAMPLE,
    LIST_EXAMPLE,
    RULE_EXAMPLE,
    RULES_EXAMPLE,
    TAG,
    TEST_EXAMPLE,
)
from appliance.web.openapi import operation

Handler = Callable[..., object]


def alert_route_table(
    path: str,
    handlers: tuple[Handler, Handler, Handler, Handler, Handler, Handler],
    roles: tuple[str, str],
    of: str = "",
    *,
    more: Mapping[str, object] = MappingProxyType({}),
    open_to_bound_users: bool = False,
) -> list[Route]:
    """Return the routes below a path.

    Parameters
    ----------
    handlers
        What lists alerts and rules, acknowledges an alert, and puts, deletes and tests a rule.
    roles
        Who may list, and who may do the rest.
    of
        Whose they are, for summaries: " of a user".
    more
        An example of what the list of rules has besides.
    """
    alert, rules, rule = f"{path}/<number>", f"{path}/rules", f"{path}/rules/<name>"
    listed, times = ("open", "before", "limit"), ("from", "to", "last")
    table = (
        ("GET", path, operation(f"Alerts{of}, newest first", LIST_EXAMPLE, query=listed, tag=TAG)),
        (
            *("GET", rules),
            operation(f"Rules{of}, and what they can say", {**RULES_EXAMPLE, **more}, tag=TAG),
        ),
        (
            *("PUT", alert),
            operation(
                f"Say that an alert{of} is seen", ALERT_EXAMPLE, body={"Comment": "known"}, tag=TAG
            ),
        ),
        (
            *("PUT", rule),
            operation(f"Add or change a rule{of}", RULE_EXAMPLE, body=BODY_EXAMPLE, tag=TAG),
        ),
        ("DELETE", rule, operation(f"Delete a rule{of}", {"deleted": "SYN flood"}, tag=TAG)),
        (
            *("GET", f"{rule}/test"),
            operation(
                f"When a rule{of} would have been in alert", TEST_EXAMPLE, query=times, tag=TAG
            ),
        ),
    )
    reading, changing = roles
    return [
        Route(
            *(method, place, handler),
            role=reading if place in (path, rules) else changing,
            schema=schema,
            open_to_bound_users=open_to_bound_users,
        )
        for (method, place, schema), handler in zip(table, handlers, strict=True)
    ]
