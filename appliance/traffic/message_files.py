"""Files of IPFIX messages, one behind the other (RFC 5655), as YAF, SiLK and others write them.

Such a file tells no sender; options records in it may. Its templates are read as those of
datagrams: a file may have been joined from several, so that a template may change in it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from appliance.flows import V4_MAPPED

VERSION = 10
LOOPBACK = (0, V4_MAPPED | 0x7F000001)
"""127.0.0.1, as halves of an address: who sent the messages of a file when nobody says."""

_HEADER = struct.Struct("!HHI")
_HEADER_OCTETS = 16


class FoundMessage(NamedTuple):
    """A message of a file, and when it was exported, milliseconds UTC."""

    time_ms: int
    octets: bytes


class NoMessage(Exception):  # noqa: N818 - becomes a CaptureError at the border of captures
    """At a place of a file where a message should begin there is none; the text says so."""


def begins_message(octets: bytes) -> bool:
    """Tell whether the first octets of a file (four at least) are those of a message."""
    return octets[:2] == struct.pack("!H", VERSION) and len(octets) >= 4


def messages_of(
    exactly: Callable[[int], bytes], begin: bytes, read: Callable[[int], bytes]
) -> Iterator[FoundMessage]:
    """Yield the messages of a file.

    Parameters
    ----------
    exactly
        Reads so many octets; raises EOFError when there are fewer.
    begin
        The first octets, which are read already.
    read
        Reads so many octets, or fewer at the end of the file.

    Raises
    ------
    NoMessage
        The octets where a message should begin are of something else.
    EOFError
        The file ends within a message.
    """
    at = 0
    while True:
        head = begin + read(_HEADER.size - len(begin))
        begin = b""
        if not head:
            return
        if len(head) < _HEADER.size:
            raise EOFError
        version, length, seconds = _HEADER.unpack(head)
        if version != VERSION or length < _HEADER_OCTETS:
            raise NoMessage(
                f"expected a message at octet {at}, found version {version}, length {length}"
            )
        yield FoundMessage(seconds * 1000, head + exactly(length - _HEADER.size))
        at += length
