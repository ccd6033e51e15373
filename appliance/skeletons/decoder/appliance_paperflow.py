"""A decoder: paperflow, an invented protocol of fixed records.

Its datagrams start with version 250 (two octets, big-endian); every eight octets after it are one
flow: source port, destination port, octets (2, 2 and 4 octets).
"""

from __future__ import annotations

from appliance import (
    DatagramBlock,
    Decoder,
    FixedDecoder,
    FixedProtocol,
    Headers,
    Settings,
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


@hookimpl
def register_decoders(settings: Settings) -> list[Decoder]:
    """Register the decoder."""
    return [FixedDecoder(PROTOCOL, decode_options(settings), "paperflow")]
