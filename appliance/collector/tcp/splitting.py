"""A stream of octets into messages, by the length that each message says.

Nothing here knows a socket or a clock. How a message says its length is a plugin's
(`StreamFraming`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from appliance.contracts import StreamFraming

_VERSION_OCTETS = 2


class BrokenStream(Exception):  # noqa: N818 - a finding about a peer, no failure of ours
    """Where the next message begins is not known any more.

    Attributes
    ----------
    reason
        A fixed word, for counters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class MessageSplitter:
    """The octets of one connection that are no whole message yet.

    Parameters
    ----------
    framings
        By version, the first 16 bits of a message.
    """

    def __init__(self, framings: Mapping[int, StreamFraming]) -> None:
        self._framings = framings
        self._octets = bytearray()

    @property
    def pending_octets(self) -> int:
        """Octets of a message that has begun: fewer than 65,536."""
        return len(self._octets)

    def messages(self, octets: bytes) -> tuple[list[bytes], BrokenStream | None]:
        """Return the messages that octets complete, and what ends the stream behind them."""
        buffer = self._octets
        buffer += octets
        complete: list[bytes] = []
        at, end = 0, len(buffer)
        broken = None
        while at < end:
            try:
                length = self._length(at)
            except BrokenStream as error:
                broken = error
                break
            if length is None or length > end - at:
                break
            complete.append(bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]
        return complete, broken

    def _length(self, at: int) -> int | None:
        """Return the octets of the message at a place; None: they are not told yet."""
        n_octets = len(self._octets) - at
        if n_octets < _VERSION_OCTETS:
            return None
        (version,) = struct.unpack_from("!H", self._octets, at)
        framing = self._framings.get(version)
        if framing is None:
            raise BrokenStream("unknown_version", f"version {version} is not sent so")
        if n_octets < framing.length_offset + 2:
            return None
        (length,) = struct.unpack_from("!H", self._octets, at + framing.length_offset)
        if length < framing.header_octets:
            raise BrokenStream(
                "message_length",
                f"message length {length}, its header has {framing.header_octets} octets",
            )
        return int(length)
