"""Where the web server listens: `web.listen` of appliance.yml and what api_server.yml says."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import AddressBusyError, SettingsError, StartupError
from appliance.settings.file import Settings
from appliance.settings.server_addresses import ServerAddress, UnixAddress
from appliance.web.api_server import ApiServerConfig, TlsFiles
from appliance.web.certificates import is_there, own_pair
from appliance.web.unix_sockets import bind_unix

BACKLOG = 1024
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that the web server answers on.

    Attributes
    ----------
    origin
        The setting that names it, for messages.
    need_auth
        False opens the routes that allow it.
    """

    address: ServerAddress
    origin: str
    tls: TlsFiles | None = None
    need_auth: bool = True
    idle_seconds: float = 60.0
    access_log: Path | None = None


def configured_listeners(settings: Settings, api: ApiServerConfig) -> list[Listener]:
    """Return every listener of the configuration.

    Raises
    ------
    SettingsError
        TLS is configured by half, or both files name one address.
    """
    tls, idle = appliance_tls(settings), settings["web.idle_timeout"]
    listeners = [
        Listener(at, "web.listen", None if isinstance(at, UnixAddress) else tls, True, idle)
        for at in settings["web.listen"]
    ]
    if api.listen in settings["web.listen"] and getattr(api.listen, "port", True):
        problem = f"{api.listen} is also in web.listen: change one of them"
        raise SettingsError(problem, file=api.file, key="listen")
    idle = api.idle_seconds or idle
    second = Listener(
        api.listen, "listen.port of api_server.yml", api.tls, api.need_auth, idle, api.access_log
    )
    return [*listeners, second]


def appliance_tls(settings: Settings) -> TlsFiles | None:
    """Return the certificate of `web.listen`: the configured one, else our own, else None.

    Raises
    ------
    SettingsError
        There is a certificate without key, or the other way round.
    """
    certificate, key = settings["web.tls_certificate"], settings["web.tls_key"]
    if certificate is None and key is None:
        own = own_pair(settings)
        return own if is_there(own) else None
    if certificate is None or key is None:
        missing, given = ("web.tls_key", "web.tls_certificate")
        if key is not None:
            missing, given = given, missing
        raise SettingsError(f"is needed beside {given}", file=settings.file, key=missing)
    return TlsFiles(certificate, key)


def listen_url(listener: Listener, port: int | None = None) -> str:
    """Return the URL at which this machine reaches a listener; of a UNIX socket, its name.

    Parameters
    ----------
    port
        The bound one, where the listener says 0.
    """
    if isinstance(listener.address, UnixAddress):
        return str(listener.address)
    host = listener.address.host
    host = _WILDCARDS.get(host, f"[{host}]" if ":" in host else host)
    scheme = "https" if listener.tls else "http"
    return f"{scheme}://{host}:{port or listener.address.port}/"


def bound_socket(listener: Listener) -> socket.socket:
    """Bind a listener's socket; `[::]` takes IPv4 too.

    Raises
    ------
    AddressBusyError
        Another program listens there.
    StartupError
        The address is foreign or forbidden.
    """
    sock = socket.socket(_family(listener.address))
    try:
        _bind(sock, listener.address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        kind = AddressBusyError if error.errno == errno.EADDRINUSE else StartupError
        reason = _reason(listener, error)
        raise kind(f"cannot listen on {listener.address}: {reason}") from None
    sock.setblocking(False)
    return sock


def _family(address: ServerAddress) -> socket.AddressFamily:
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _bind(sock: socket.socket, address: ServerAddress) -> None:
    if isinstance(address, UnixAddress):
        bind_unix(sock, address.path)
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
    sock.bind((address.host, address.port))


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the server's TLS context: version 1.2 and newer.

    Raises
    ------
    SettingsError
        Certificate or key cannot be read, or do not belong together.
    """
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            problem = f"cannot be read: {(error.strerror or str(error)).lower()}"
            raise SettingsError(problem, file=path) from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key would ask at the terminal; the empty password makes it an error.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        problem = f"is no certificate for the key {files.key}: {str(reason).lower()}"
        raise SettingsError(problem, file=files.certificate) from None
    return context


def _reason(listener: Listener, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        what = "socket" if isinstance(listener.address, UnixAddress) else "port"
        return f"the {what} is used by another program, stop it or change {listener.origin}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"it is not an address of this machine, change {listener.origin}"
    if error.errno == errno.EACCES and not isinstance(listener.address, UnixAddress):
        return f"not allowed, use a port from 1024 on in {listener.origin}"
    return (error.strerror or str(error)).lower()
