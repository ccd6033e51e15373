"""A stream of octets into messages, by the length that each message says.

Nothing here knows a socket or a clock. How a message says its length is a plugin's
(`StreamFraming`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from appliance.contracts import StreamFraming

_WORD_OCTETS = 2
_word_at = struct.Struct("!H").unpack_from


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
        buffer, framings = self._octets, self._framings
        buffer += octets
        complete: list[bytes] = []
        at, end = 0, len(buffer)
        broken = None
        while end - at >= _WORD_OCTETS:
            (version,) = _word_at(buffer, at)
            framing = framings.get(version)
            if framing is None:
                broken = BrokenStream("unknown_version", f"version {version} is not sent so")
                break
            if end - at < framing.length_offset + _WORD_OCTETS:
                break
            (length,) = _word_at(buffer, at + framing.length_offset)
            if length < framing.header_octets:
                broken = _too_short(length, framing)
                break
            if length > end - at:
                break
            complete.append(bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]
        return complete, broken


def _too_short(length: int, framing: StreamFraming) -> BrokenStream:
    detail = f"message length {length}, its header has {framing.header_octets} octets"
    return BrokenStream("message_length", detail)
