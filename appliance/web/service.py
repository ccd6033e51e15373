"""The web server of an `App`: what `appliance serve` starts and `appliance run` announces."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.accounts import configured_accounts
from appliance.app import App
from appliance.contracts import AccountStore, FlowStore, Principal
from appliance.guard.methods import checked_principal
from appliance.processes.supervision import supervisor_of
from appliance.web.api_server import ApiServerConfig, configuration_folder, read_api_server
from appliance.web.application import build_web
from appliance.web.calls import Services
from appliance.web.certificates import fingerprint
from appliance.web.listeners import appliance_tls, configured_listeners, listen_url
from appliance.web.servers import ServerLimits, WebServer
from appliance.web.store_access import StoreAccess, flow_store_access, preflight_of
from appliance.web.times import local_zone

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebService:
    """A web server that is not started, and what it was made of."""

    server: WebServer
    stores: StoreAccess[FlowStore]
    accounts: StoreAccess[AccountStore]
    api: ApiServerConfig

    def start(self) -> None:
        """Bind and answer.

        Raises
        ------
        StartupError, SettingsError
            A listener cannot be used.
        """
        for warning in self.api.warnings:
            log.warning("%s", warning)
        self.server.start()
        for url in self.server.urls:
            log.info("the API answers at %s", url)

    def stop(self) -> None:
        """Let running requests finish and close everything."""
        self.server.stop()
        self.stores.close()
        self.accounts.close()


def configured_web(app: App) -> WebService:
    """Build the web server as configured.

    Raises
    ------
    SettingsError, StartupError
        A configuration file is wrong, or a route cannot be served.
    """
    settings = app.settings
    api = read_api_server(configuration_folder(settings))
    stores = flow_store_access(app)
    accounts = StoreAccess(configured_accounts(app))
    services = services_of(app, stores, accounts)
    web = build_web(app.routes, services, api.cors)
    limits = ServerLimits(
        settings["web.threads"], settings["web.max_connections"], settings["web.max_body_octets"]
    )
    server = WebServer(web, configured_listeners(settings, api), limits)
    return WebService(server, stores, accounts, api)


def services_of(
    app: App, stores: StoreAccess[FlowStore], accounts: StoreAccess[AccountStore]
) -> Services:
    """Return what handlers can ask for."""
    settings = app.settings

    def principal_from(environ: Mapping[str, Any]) -> Principal | None:
        entry = app.first_result(
            *("principal_from_request", "sign-in", checked_principal),
            environ=environ,
            settings=settings,
            accounts=accounts.store,
        )
        if entry is None:
            return None
        app.tell("request_authenticated", environ=environ, principal=entry.value, settings=settings)
        return entry.value

    return Services(
        settings=settings,
        stores=stores,
        clock=time.time,
        principal_from=principal_from,
        zone=local_zone(settings["timezone"]),
        metrics=app.metrics,
        failures=app.failures,
        accounts=accounts,
        collector=supervisor_of(settings),
        preflight=preflight_of(app),
    )


def certificate_fingerprint(app: App) -> str | None:
    """Return the SHA-256 fingerprint of the certificate of `web.listen`, None for plain HTTP.

    Raises
    ------
    SettingsError, StartupError
        A certificate is configured that cannot be read.
    """
    pair = appliance_tls(app.settings)
    return fingerprint(pair.certificate) if pair is not None else None


def listen_urls(app: App) -> list[str]:
    """Return where the web server will answer, from the configuration alone.

    Raises
    ------
    SettingsError
        A configuration file is wrong.
    """
    api = read_api_server(configuration_folder(app.settings))
    return [listen_url(listener) for listener in configured_listeners(app.settings, api)]
