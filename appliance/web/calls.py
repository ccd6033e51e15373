"""What a handler can ask for by naming it as an argument, beside the parts of its path.

`PROVIDERS` is the list. A handler that names something else stops the start.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from appliance.accounts.filters import check_account_filter
from appliance.contracts import (
    AccountStore,
    Decoder,
    FlowStore,
    MetricsCollector,
    Page,
    Principal,
    Route,
    SignInWay,
)
from appliance.errors import StartupError, StorageError
from appliance.guard import PluginFailures
from appliance.processes.supervision import Supervisor
from appliance.settings.file import Settings
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.bound_store import bound_store
from appliance.web.caller_filter import bound_engine
from appliance.web.guard import PrincipalFrom
from appliance.web.missing_parts import MissingParts
from appliance.web.parameters import Query
from appliance.web.store_access import StoreAccess

_PATH_PART = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)(?::[^>]*)?>")


def no_accounts() -> AccountStore:
    """Stand for a web server without accounts."""
    raise StorageError("there are no accounts")


@dataclass(frozen=True, slots=True)
class Services:
    """What outlives a request.

    Attributes
    ----------
    clock
        Seconds UTC.
    metrics
        Prometheus collectors of all plugins.
    pages
        Of the console.
    plugins
        Name, origin and hooks of each.
    failures
        Of plugins in this process.
    collector
        Starts and stops the collector; None where there is none to start.
    preflight
        Raises ApplianceError when the collector could not be started as it is configured now.
    """

    settings: Settings
    stores: StoreAccess[FlowStore]
    clock: Callable[[], float]
    principal_from: PrincipalFrom
    zone: tzinfo = UTC
    metrics: tuple[MetricsCollector, ...] = ()
    pages: tuple[Page, ...] = ()
    sign_in_ways: tuple[SignInWay, ...] = ()
    plugins: Sequence[Mapping[str, Any]] = ()
    failures: PluginFailures = field(default_factory=PluginFailures)
    accounts: StoreAccess[AccountStore] = field(default_factory=lambda: StoreAccess(no_accounts))
    collector: Supervisor | None = None
    preflight: Callable[[], None] = lambda: None
    decoders: Sequence[Decoder] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the guard has let pass.

    Attributes
    ----------
    missing
        What did not answer so far; the answer tells it.
    """

    services: Services
    environ: Mapping[str, Any]
    principal: Principal | None
    event: AuditEvent
    missing: MissingParts = field(default_factory=MissingParts)


def _body(call: Call) -> Body:
    most_octets = call.services.settings["web.max_body_octets"]
    return Body(call.environ, most_octets, call.event.note_values)


def _query(call: Call) -> Query:
    services = call.services
    return Query(str(call.environ.get("QUERY_STRING", "")), services.clock(), services.zone)


def _store(call: Call) -> FlowStore:
    principal, services = call.principal, call.services
    if principal is None or principal.filter is None:
        return services.stores.store()
    from appliance.query.engine import engine_from_settings

    engine = engine_from_settings(services.settings)
    bound = bound_engine(
        engine, principal, services.settings, lambda: services.stores.store().exporters()
    )
    return bound_store(bound, principal, services.settings)


def _check_filter(call: Call) -> Callable[[str], str]:
    services = call.services
    return partial(
        check_account_filter, settings=services.settings, open_store=services.stores.store
    )


PROVIDERS: Mapping[str, Callable[[Call], Any]] = {
    "settings": lambda call: call.services.settings,
    "store": _store,
    "open_store": lambda call: call.services.stores.store,
    "metrics": lambda call: call.services.metrics,
    "plugins": lambda call: call.services.plugins,
    "pages": lambda call: call.services.pages,
    "sign_in_ways": lambda call: call.services.sign_in_ways,
    "failures": lambda call: call.services.failures,
    "zone": lambda call: call.services.zone,
    "now": lambda call: call.services.clock(),
    "query": _query,
    "missing": lambda call: call.missing,
    "body": _body,
    "principal": lambda call: call.principal,
    "accounts": lambda call: call.services.accounts.store(),
    "open_accounts": lambda call: call.services.accounts.store,
    "event": lambda call: call.event,
    "environ": lambda call: call.environ,
    "collector": lambda call: call.services.collector,
    "preflight": lambda call: call.services.preflight,
    "decoders": lambda call: call.services.decoders,
    "check_filter": _check_filter,
}
"""By argument name: `store` is a `FlowStore` (503 where it cannot be opened; for a caller who is
bound to a filter a `BoundStore`), `open_store` what returns the whole one, `now` seconds UTC,
`zone` the zone of answers, `query` a `Query`, `body` a `Body`, `missing` the `MissingParts` that
the answer will tell in a header,
`accounts` an `AccountStore` (503 where it cannot be opened), `open_accounts` what returns it,
`metrics` the Prometheus collectors of plugins, `pages` those of the console, `sign_in_ways`
those beside a password,
`plugins` name, origin and hooks of each, `failures` the
`PluginFailures` of this process,
`event` what the audit trail will say, `environ` the WSGI environment, `collector` a `Supervisor`,
`preflight` what looks whether it can start, `decoders` those of all plugins, `check_filter` what
returns a filter as an account that is bound to it keeps it, or raises QueryError."""


def path_parts(path: str) -> tuple[str, ...]:
    """Return the names of a path's variable parts."""
    return tuple(_PATH_PART.findall(path))


def provided_arguments(route: Route) -> tuple[str, ...]:
    """Return which providers a route's handler asks for.

    Raises
    ------
    StartupError
        It asks for something that there is not, or does not take a part of its path.
    """
    where = f"route {route.method} {route.path}"
    names = tuple(inspect.signature(route.handler).parameters)
    parts = path_parts(route.path)
    if missing := [part for part in parts if part not in names]:
        raise StartupError(f"{where}: the handler does not take {missing[0]}")
    wanted = tuple(name for name in names if name not in parts)
    if unknown := [name for name in wanted if name not in PROVIDERS]:
        raise StartupError(
            f"{where}: the handler asks for {unknown[0]}, expected one of {', '.join(PROVIDERS)}"
        )
    return wanted
