"""A decoder: paperflow, an invented protocol of fixed records.

Its datagrams start with version 250 (two octets, big-endian); every eight octets after it are one
flow: source port, destination port, octets (2, 2 and 4 octets).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance import (
    DatagramBlock,
    DecodeOptions,
    Decoder,
    DecodeResult,
    DecoderState,
    FixedProtocol,
    Headers,
    Settings,
    decode_fixed,
    decode_options,
    hookimpl,
    plain_headers,
)

HEADER_OCTETS = 2


def read_headers(block: DatagramBlock) -> Headers:
    """Return headers that hold nothing but the version."""
    return plain_headers(block, HEADER_OCTETS)


# IANA's numbers: sourceTransportPort, destinationTransportPort, octetDeltaCount.
PROTOCOL = FixedProtocol(250, HEADER_OCTETS, ((7, 2), (11, 2), (1, 4)), read_headers)


@dataclass(frozen=True)
class PaperflowDecoder:
    """Decodes version 250."""

    options: DecodeOptions
    version: int = PROTOCOL.version
    name: str = "paperflow"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Turn all flows of a block into one batch of columns."""
        return decode_fixed(block, PROTOCOL, state, self.options)


@hookimpl
def register_decoders(settings: Settings) -> list[Decoder]:
    """Register the decoder."""
    return [PaperflowDecoder(decode_options(settings))]
