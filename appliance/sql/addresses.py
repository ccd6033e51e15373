"""Where a database is: the one reader of database URLs, for all that connect or hand them on.

`sqlite:flows.sqlite` is a file in the data directory, `sqlite:/path` one elsewhere;
`mysql://user:password@host:port/name` is MySQL or MariaDB, `?socket=/path` behind it by its local
socket, `?ssl=verify` by TLS with a certificate for that host, `&ca=/path` of that authority.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.errors import SettingsError
from appliance.sql import MYSQL, SQLITE

VERIFY = "verify"
_PARAMETERS = ("socket", "ssl", "ca")


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A SQLite file (`path`), or a database of a MySQL server (`host` or `socket`).

    Attributes
    ----------
    verify
        The server must prove by TLS that it is `host`.
    ca
        The file of the authorities that may say so; empty for those of the system.
    """

    name: str
    path: Path | None = None
    host: str = ""
    port: int = 3306
    socket: str = ""
    user: str = ""
    password: str = ""
    verify: bool = False
    ca: str = ""

    def options(self) -> dict[str, Any]:
        """Return what PyMySQL needs to reach the server.

        Raises
        ------
        SettingsError
            The file of authorities cannot be read.
        """
        address: dict[str, Any] = {"host": self.host}
        if self.socket:
            address = {"unix_socket": self.socket}
        elif self.verify:
            address["ssl"] = _tls_context(self.ca)
        return {**address, "port": self.port, "user": self.user, "password": self.password}


def database_address(url: str, folder: Path) -> DatabaseAddress:
    """Read a URL.

    Parameters
    ----------
    folder
        Where relative SQLite files are.

    Raises
    ------
    SettingsError
        It is none of a database that is known.
    """
    kind, _, rest = url.partition(":")
    if kind == SQLITE:
        path = folder / rest.removeprefix("//")
        return DatabaseAddress(str(path), path)
    if kind != MYSQL:
        raise SettingsError(f"database {kind}:...: expected sqlite:FILE or mysql://...")
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError as error:
        raise SettingsError(f"database URL: {error}") from None
    name = unquote(parts.path.strip("/"))
    parameters = _parameters(parts.query)
    if not parts.hostname or not name:
        raise SettingsError("database URL: expected mysql://user:password@host:port/name")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return DatabaseAddress(
        *(name, None, parts.hostname, port, parameters.get("socket", ""), user, password),
        verify="ssl" in parameters,
        ca=parameters.get("ca", ""),
    )


def _parameters(query: str) -> dict[str, str]:
    """Read what stands behind the `?`; a word that is not known might have asked for TLS."""
    values = {name: texts[-1] for name, texts in parse_qs(query, keep_blank_values=True).items()}
    for name, value in values.items():
        if name not in _PARAMETERS or not value or (name == "ssl" and value != VERIFY):
            raise SettingsError(
                f"database URL: expected ?socket=/path, ?ssl=verify or ?ssl=verify&ca=/path,"
                f" found {name}={value}"
            )
    if ("ca" in values and "ssl" not in values) or ("ssl" in values and "socket" in values):
        raise SettingsError("database URL: ca goes with ssl=verify, and neither with a socket")
    return values


def _tls_context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise SettingsError(f"database URL: ca={ca}: {problem}") from None
