"""What turns datagrams into columns.

The types around it are defined where decoding needs them: `DecoderState`, `DecodeResult` and
`DatagramBlock`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.results import DecodeResult, DecoderState


@dataclass(frozen=True, slots=True)
class StreamFraming:
    """Where a message says how long it is, so that messages can follow each other in a connection.

    Attributes
    ----------
    length_offset
        Where the 16 bits begin that give the octets of the whole message, header included.
    header_octets
        The shortest message.
    """

    length_offset: int
    header_octets: int


class Decoder(Protocol):
    """Turns datagrams of one protocol version into columns.

    One of a protocol that also comes over connections has an attribute `framing`, a
    `StreamFraming`; its messages then come in blocks like datagrams.

    Attributes
    ----------
    version
        The first 16 bits of a datagram, big-endian, that this decoder takes.
    name
        For people: logs, counters, `appliance plugins`.
    """

    @property
    def version(self) -> int:
        """The version number in the first two octets."""
        ...

    @property
    def name(self) -> str:
        """The protocol as people call it."""
        ...

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode every datagram of a block, all of this version.

        Parameters
        ----------
        block
            Memory that the receiver reuses: nothing returned may be a view of it.
        state
            What is known of templates, sampling and sequence numbers; read, not changed.
        now_ms
            Milliseconds UTC; the decoder never looks at a clock.

        Returns
        -------
        DecodeResult
            Batches, changes of the state and counts, for the caller to commit.

        Raises
        ------
        MalformedMessage
            Nothing of the block is usable. The datagrams are then decoded one by one, and those
            that raise it are counted by its reason; any other exception is a failure.
        """
        ...
