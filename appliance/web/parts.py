"""What the web server is built of; `appliance.app` puts it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.contracts import (
    AccountStore,
    Decoder,
    MetricsCollector,
    Page,
    Principal,
    Registered,
    Route,
    SignInWay,
    StoreFactory,
)
from appliance.guard import PluginFailures
from appliance.settings.file import Settings
from appliance.settings.overrides import OverridableSettings

OpenAccounts = Callable[[], AccountStore]
PrincipalFrom = Callable[[Mapping[str, Any], OpenAccounts], Principal | None]


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the web server takes from the settings and from plugins.

    Attributes
    ----------
    plugins
        Name, origin and hooks of each.
    overridable
        What other files decide may change while the server runs.
    open_accounts
        Raises StorageError when no plugin keeps accounts, or they cannot be opened now.
    has_accounts
        Whether some plugin keeps accounts.
    principal_from
        Returns who sends a request, from its WSGI environment and the accounts; None: nobody known.
    failures
        Of plugins in this process.
    """

    settings: Settings
    overridable: OverridableSettings
    routes: Sequence[Registered[Route]]
    pages: tuple[Page, ...]
    sign_in_ways: tuple[SignInWay, ...]
    plugins: Sequence[Mapping[str, Any]]
    metrics: tuple[MetricsCollector, ...]
    stores: Mapping[str, StoreFactory]
    failures: PluginFailures
    decoders: Sequence[Decoder]
    open_accounts: OpenAccounts
    has_accounts: bool
    principal_from: PrincipalFrom
