"""Lists of addresses in files, which filters name: `ip in @bad-addresses`.

A file has an address or network a line; from # or ; on a line is a comment. It is read again when
it has changed.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from appliance.errors import InvalidQueryError
from appliance.flows import V4_MAPPED

MAX_OCTETS = 64 * 1024 * 1024
MAX_ENTRIES = 1_000_000
_KEPT_LISTS = 16

_COMMENT = re.compile(rb"[#;].*")

AddressRange = tuple[int, int]
"""First and last address as 128-bit numbers, IPv4 as ::ffff:a.b.c.d."""


class AddressLists:
    """The lists that the settings name.

    Parameters
    ----------
    files
        By name; a file that cannot be read is an error of the filter that names it.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def ranges(self, name: str) -> Sequence[AddressRange] | None:
        """Return the addresses and networks of a list; None where there is none of this name.

        Raises
        ------
        InvalidQueryError
            Its file cannot be read, or a line is neither.
        """
        path = self.files.get(name)
        if path is None:
            return None
        try:
            status = path.stat()
            return _read(name, path, (status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidQueryError(f"list {name}: {path.name}: {reason}") from None


@lru_cache(_KEPT_LISTS)
def _read(name: str, path: Path, state: tuple[int, int, int]) -> tuple[AddressRange, ...]:
    """Return the ranges in a file.

    Parameters
    ----------
    state
        Inode, time and size: what has changed is another entry of the cache.
    """
    with path.open("rb") as file:
        octets = file.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise InvalidQueryError(f"list {name}: {path.name} is larger than {MAX_OCTETS} octets")
    ranges = []
    for number, line in enumerate(octets.split(b"\n"), 1):
        text = _COMMENT.sub(b"", line).strip()
        if not text:
            continue
        if (bounds := address_range(text.decode("ascii", "replace"))) is None:
            shown = text[:40].decode("ascii", "backslashreplace")
            raise InvalidQueryError(
                f"list {name}: {path.name}, line {number}: expected an address or network, such as"
                f' 192.0.2.0/24, got "{shown}"'
            )
        ranges.append(bounds)
    if len(ranges) > MAX_ENTRIES:
        raise InvalidQueryError(f"list {name}: {path.name} has more than {MAX_ENTRIES} entries")
    return tuple(dict.fromkeys(ranges))


def address_range(text: str) -> AddressRange | None:
    """Return the first and last address of an address or network; None where it is neither."""
    try:
        if "/" not in text:
            # Several times as quick as `ipaddress`, which makes lists of a million bearable.
            if ":" in text:
                address = int.from_bytes(socket.inet_pton(socket.AF_INET6, text))
            else:
                address = V4_MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text))
            return address, address
        network = ipaddress.ip_network(text, strict=False)
    except (OSError, ValueError):
        return None
    base = V4_MAPPED if network.version == 4 else 0
    return base | int(network.network_address), base | int(network.broadcast_address)
