"""What `appliance check` looks at for the web server: its files, ports, secret and database."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.accounts import ACCOUNTS_SETTING
from appliance.accounts.secret import secret_path
from appliance.contracts import ADMINISTRATOR, FAIL, HINT, OK, Finding
from appliance.errors import ApplianceError, StartupError
from appliance.settings.server_addresses import UnixAddress
from appliance.settings.types import ListenAddress
from appliance.stores import DATABASE_SETTING
from appliance.web.api_server import configuration_folder, read_api_server
from appliance.web.certificates import expiry
from appliance.web.listeners import (
    Listener,
    appliance_tls,
    bound_socket,
    configured_listeners,
    tls_context,
)
from appliance.web.parts import WebParts
from appliance.web.store_access import store_opener

_SOON = timedelta(days=30)
_BUSY = "used by another program"
_LOOPBACK = ("127.", "::1")


def check_web(parts: WebParts) -> list[Finding]:
    """Look at everything that the web server needs on this machine."""
    return [
        *_check_listeners(parts),
        *_check_certificate(parts),
        _check_secret(secret_path(parts.settings)),
        _check_store(parts),
        _check_accounts(parts),
    ]


def _check_listeners(parts: WebParts) -> Iterator[Finding]:
    try:
        api = read_api_server(configuration_folder(parts.settings))
        listeners = configured_listeners(parts.settings, api)
    except ApplianceError as error:
        yield Finding(FAIL, "api", str(error))
        return
    yield from (Finding(HINT, "api", warning) for warning in api.warnings)
    for listener in listeners:
        if isinstance(listener.address, UnixAddress):
            yield _check_unix(listener.address)
        else:
            yield _check_listener(listener, listener.address)


def _check_unix(address: UnixAddress) -> Finding:
    """Look at the folder only: binding would take the socket away from a running appliance."""
    folder = address.path.parent
    if not folder.is_dir():
        return Finding(FAIL, "api socket", f"{address}: there is no folder {folder}: make it")
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "make it writable for this user"
        return Finding(FAIL, "api socket", f"{address}: {folder} cannot be written: {advice}")
    return Finding(OK, "api socket", f"{address} is for a proxy on this machine")


def _check_listener(listener: Listener, address: ListenAddress) -> Finding:
    what = f"api port {address.port}"
    try:
        if listener.tls is not None:
            tls_context(listener.tls)
        bound_socket(listener).close()
    except StartupError as error:
        user = _user_of(address.port)
        if _BUSY in str(error) and user == "appliance":
            return Finding(OK, what, f"{address} is used by the running appliance")
        return Finding(FAIL, what, str(error).replace("another program", user))
    except ApplianceError as error:
        return Finding(FAIL, what, str(error))
    if not listener.need_auth and not address.host.startswith(_LOOPBACK):
        advice = "set needAuth to true in api_server.yml unless the network is closed"
        return Finding(HINT, what, f"{address} is open to everyone: {advice}")
    return Finding(OK, what, f"{address} is free")


def _user_of(port: int) -> str:
    """Name the program that listens on a TCP port; `appliance` for one of ours."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                words = process.cmdline()
                if "serve" in words and any(Path(word).name == "appliance" for word in words):
                    return "appliance"
                return f"{process.name()} (process {connection.pid})"
    return "another program"


def _check_certificate(parts: WebParts) -> Iterator[Finding]:
    try:
        pair = appliance_tls(parts.settings)
        ends = expiry(pair.certificate) if pair is not None else None
    except ApplianceError:
        # The listener's finding says so.
        return
    if pair is None or ends is None:
        return
    text = f"{pair.certificate} is valid until {ends:%Y-%m-%d}"
    if ends < datetime.now(UTC) + _SOON:
        yield Finding(HINT, "certificate", f"{text}: renew it (appliance cert --force), restart")
    else:
        yield Finding(OK, "certificate", text)


def _check_accounts(parts: WebParts) -> Finding:
    """Look for an administrator; a file that is not there yet is not made for that."""
    settings = parts.settings
    if not parts.has_accounts:
        return Finding(HINT, "accounts", "no plugin keeps them: only public routes are answered")
    scheme, _, place = str(settings[ACCOUNTS_SETTING]).partition(":")
    file = settings["data_directory"] / place
    if scheme == "sqlite" and not file.exists():
        return Finding(OK, "accounts", f"{file} will be made, with a first administrator")
    try:
        store = parts.open_accounts()
        try:
            users = store.users()
        finally:
            store.close()
    except ApplianceError as error:
        return Finding(FAIL, "accounts", f"{error}: change database, or start it")
    if not any(ADMINISTRATOR in user.roles for user in users):
        return Finding(HINT, "accounts", "nobody is administrator: appliance run makes one")
    return Finding(OK, "accounts", f"{len(users)} in the database")


def _check_secret(path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Finding(OK, "secret", f"{path} will be made with the first token")
    except OSError as error:
        return Finding(FAIL, "secret", f"{path}: {(error.strerror or str(error)).lower()}")
    if not os.access(path, os.R_OK):
        return Finding(FAIL, "secret", f"{path} cannot be read: make it readable for this user")
    if stat.S_IMODE(mode) & 0o077:
        return Finding(HINT, "secret", f"{path} can be read by others: chmod 600 {path}")
    return Finding(OK, "secret", f"{path} is readable for this user only")


def _check_store(parts: WebParts) -> Finding:
    """Ask the store how it is; a file that is not there yet is not made for that."""
    settings = parts.settings
    scheme, _, place = str(settings[DATABASE_SETTING]).partition(":")
    if scheme not in parts.stores:
        return Finding(HINT, "flow database", "no plugin opens it: the API has no figures")
    file = settings["data_directory"] / place
    if not place.startswith("//") and not file.exists():
        return Finding(OK, "flow database", f"{file} will be made")
    try:
        store = store_opener(parts.stores, parts.overridable)()
        try:
            facts = store.health()
        finally:
            store.close()
    except ApplianceError as error:
        return Finding(FAIL, "flow database", f"{error}: change flows.database, or start it")
    return Finding(OK, "flow database", f"{facts.get('name', scheme)} answers")
