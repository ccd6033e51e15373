"""Where the web server may listen: an address with a port, or a UNIX socket behind a proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from appliance.settings.types import ListenAddress, TextList, parse_listen_address

UNIX = "unix:"
_LONGEST_PATH = 107
"""Linux: `sun_path` has 108 octets with the final zero."""


class UnixAddress(NamedTuple):
    """A UNIX socket, for a proxy on this machine."""

    path: Path

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


ServerAddress = ListenAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class ServerAddressList:
    """Addresses with ports, or UNIX sockets, to listen on."""

    expected: str = "a list of addresses such as 0.0.0.0:8443, [::]:8443 or unix:/run/x/api.sock"

    def parse(self, raw: object, folder: Path) -> tuple[ServerAddress, ...]:
        """Return the addresses, at least one, no two equal."""
        texts = TextList().parse(raw, folder)
        listen = tuple(parse_server_address(text, folder) for text in texts)
        if not listen or len(set(listen)) < len(listen):
            raise ValueError(raw)
        return listen


def parse_server_address(text: str, folder: Path) -> ServerAddress:
    """Return the address of `0.0.0.0:8443`, or the socket of `unix:/run/x/api.sock`.

    Raises
    ------
    ValueError
        It is neither, or the path is longer than the system allows.
    """
    if not text.startswith(UNIX):
        return parse_listen_address(text)
    path = folder / text.removeprefix(UNIX)
    if path == folder or len(bytes(path)) > _LONGEST_PATH:
        raise ValueError(text)
    return UnixAddress(path)
