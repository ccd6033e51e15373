"""The web server: what `appliance serve` starts and `appliance run` announces."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from appliance.contracts import AccountStore, FlowStore
from appliance.errors import AddressBusyError
from appliance.processes.supervision import supervisor_of
from appliance.settings.file import Settings
from appliance.web.api_server import ApiServerConfig, configuration_folder, read_api_server
from appliance.web.application import build_web
from appliance.web.calls import Services
from appliance.web.certificates import fingerprint
from appliance.web.listeners import appliance_tls, configured_listeners, listen_url
from appliance.web.parts import WebParts
from appliance.web.servers import ServerLimits, WebServer
from appliance.web.store_access import StoreAccess, flow_store_access, preflight_of
from appliance.web.times import local_zone

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class WebService:
    """A web server that is not started, and what it was made of."""

    server: WebServer
    stores: StoreAccess[FlowStore]
    accounts: StoreAccess[AccountStore]
    api: ApiServerConfig

    def start(self, patience: float = 0.0) -> None:
        """Bind and answer.

        Parameters
        ----------
        patience
            So many seconds a busy address may become free.

        Raises
        ------
        StartupError, SettingsError
            A listener cannot be used.
        """
        for warning in self.api.warnings:
            log.warning("%s", warning)
        deadline = time.monotonic() + patience
        while True:
            try:
                self.server.start()
                break
            except AddressBusyError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)
        for url in self.server.urls:
            log.info("the API answers at %s", url)

    def stop(self) -> None:
        """Let running requests finish and close everything."""
        self.server.stop()
        self.stores.close()
        self.accounts.close()


def build_web_service(parts: WebParts) -> WebService:
    """Build the web server as configured.

    Raises
    ------
    SettingsError, StartupError
        A configuration file is wrong, or a route cannot be served.
    """
    settings = parts.settings
    api = read_api_server(configuration_folder(settings))
    stores = flow_store_access(parts)
    accounts = StoreAccess(parts.open_accounts)
    services = services_of(parts, stores, accounts)
    web = build_web(parts.routes, services, api.cors)
    limits = ServerLimits(
        settings["web.threads"], settings["web.max_connections"], settings["web.max_body_octets"]
    )
    server = WebServer(web, configured_listeners(settings, api), limits)
    return WebService(server, stores, accounts, api)


def services_of(
    parts: WebParts, stores: StoreAccess[FlowStore], accounts: StoreAccess[AccountStore]
) -> Services:
    """Return what handlers can ask for."""
    settings = parts.settings
    return Services(
        settings=settings,
        stores=stores,
        clock=time.time,
        principal_from=lambda environ: parts.principal_from(environ, accounts.store),
        zone=local_zone(settings["timezone"]),
        metrics=parts.metrics,
        pages=parts.pages,
        sign_in_ways=parts.sign_in_ways,
        plugins=parts.plugins,
        failures=parts.failures,
        accounts=accounts,
        collector=supervisor_of(settings),
        preflight=preflight_of(parts),
        decoders=parts.decoders,
    )


def certificate_fingerprint(settings: Settings) -> str | None:
    """Return the SHA-256 fingerprint of the certificate of `web.listen`, None for plain HTTP.

    Raises
    ------
    SettingsError, StartupError
        A certificate is configured that cannot be read.
    """
    pair = appliance_tls(settings)
    return fingerprint(pair.certificate) if pair is not None else None


def listen_urls(settings: Settings) -> list[str]:
    """Return where the web server will answer, from the configuration alone.

    Raises
    ------
    SettingsError
        A configuration file is wrong.
    """
    api = read_api_server(configuration_folder(settings))
    return [listen_url(listener) for listener in configured_listeners(settings, api)]
