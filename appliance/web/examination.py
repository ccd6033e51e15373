"""What `appliance check` looks at for the web server: its files, ports, secret and database."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.app import App
from appliance.environment import FAIL, HINT, OK, Finding
from appliance.errors import ApplianceError, StartupError
from appliance.web.api_server import configuration_folder, read_api_server
from appliance.web.listeners import Listener, bound_socket, configured_listeners, tls_context
from appliance.web.store_access import DATABASE, configured_store

SECRET_FILE = "secret"  # noqa: S105 - a file's name
_BUSY = "used by another program"
_LOOPBACK = ("127.", "::1")


def examine_web(app: App) -> list[Finding]:
    """Look at everything that the web server needs on this machine."""
    return [
        *_examine_listeners(app),
        _examine_secret(app.settings["data_directory"] / SECRET_FILE),
        _examine_store(app),
    ]


def _examine_listeners(app: App) -> Iterator[Finding]:
    try:
        api = read_api_server(configuration_folder(app.settings))
        listeners = configured_listeners(app.settings, api)
    except ApplianceError as error:
        yield Finding(FAIL, "api", str(error))
        return
    yield from (Finding(HINT, "api", warning) for warning in api.warnings)
    for listener in listeners:
        yield _examine_listener(listener)


def _examine_listener(listener: Listener) -> Finding:
    what = f"api port {listener.address.port}"
    try:
        if listener.tls is not None:
            tls_context(listener.tls)
        bound_socket(listener).close()
    except StartupError as error:
        user = _user_of(listener.address.port)
        if _BUSY in str(error) and user == "appliance":
            return Finding(OK, what, f"{listener.address} is used by the running appliance")
        return Finding(FAIL, what, str(error).replace("another program", user))
    except ApplianceError as error:
        return Finding(FAIL, what, str(error))
    if not listener.need_auth and not listener.address.host.startswith(_LOOPBACK):
        advice = "set needAuth to true in api_server.yml unless the network is closed"
        return Finding(HINT, what, f"{listener.address} is open to everyone: {advice}")
    return Finding(OK, what, f"{listener.address} is free")


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


def _examine_secret(path: Path) -> Finding:
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


def _examine_store(app: App) -> Finding:
    """Ask the store how it is; a file that is not there yet is not made for that."""
    settings = app.settings
    scheme, _, place = (str(settings[DATABASE]) if DATABASE in settings else "").partition(":")
    if scheme not in (app.stores or {}):
        return Finding(HINT, "flow database", "no plugin opens it: the API has no figures")
    file = settings["data_directory"] / place
    if not place.startswith("//") and not file.exists():
        return Finding(OK, "flow database", f"{file} will be made")
    try:
        store = configured_store(app)()
        try:
            facts = store.health()
        finally:
            store.close()
    except ApplianceError as error:
        return Finding(FAIL, "flow database", f"{error}: change flows.database, or start it")
    return Finding(OK, "flow database", f"{facts.get('name', scheme)} answers")
