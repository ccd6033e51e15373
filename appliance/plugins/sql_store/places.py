"""Where a database is: the one reader of database URLs, for all that connect or hand them on.

`sqlite:flows.sqlite` is a file in the data directory, `sqlite:/path` one elsewhere;
`mysql://user:password@host:port/name` is MySQL or MariaDB, `?socket=/path` behind it by its local
socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.errors import SettingsError

SQLITE, MYSQL = "sqlite", "mysql"


@dataclass(frozen=True, slots=True)
class Place:
    """A SQLite file (`path`), or a database of a MySQL server (`host` or `socket`)."""

    name: str
    path: Path | None = None
    host: str = ""
    port: int = 3306
    socket: str = ""
    user: str = ""
    password: str = ""

    def options(self) -> dict[str, Any]:
        """Return what PyMySQL needs to reach the server."""
        address = {"unix_socket": self.socket} if self.socket else {"host": self.host}
        return {**address, "port": self.port, "user": self.user, "password": self.password}


def place_at(url: str, folder: Path) -> Place:
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
        return Place(str(path), path)
    if kind != MYSQL:
        raise SettingsError(f"database {kind}:...: expected sqlite:FILE or mysql://...")
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError as error:
        raise SettingsError(f"database URL: {error}") from None
    name = unquote(parts.path.strip("/"))
    socket = parse_qs(parts.query).get("socket", [""])[0]
    if not parts.hostname or not name:
        raise SettingsError("database URL: expected mysql://user:password@host:port/name")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Place(name, None, parts.hostname, port, socket, user, password)
