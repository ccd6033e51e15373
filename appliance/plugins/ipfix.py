"""IPFIX (RFC 7011): what it does its own way; the rest is shared with NetFlow v9."""

from __future__ import annotations

from dataclasses import dataclass

from appliance import (
    DatagramBlock,
    DecodeOptions,
    DecodeResult,
    DecoderState,
    Settings,
    StreamFraming,
    decode_options,
    hookimpl,
)
from appliance.decoding.messages.headers import IPFIX_HEADER, ipfix_headers
from appliance.decoding.templated import decode_templated
from appliance.decoding.work import TemplatedProtocol

PROTOCOL = TemplatedProtocol(
    version=10,
    header_octets=IPFIX_HEADER,
    read_headers=ipfix_headers,
    template_set=2,
    options_set=3,
    drops_whole=True,
    zero_set_ends=False,
    counts_records=True,
    window_units=3000,
)

FRAMING = StreamFraming(length_offset=2, header_octets=IPFIX_HEADER)
"""RFC 7011 section 3.1: the length of a message follows its version."""


@dataclass(frozen=True)
class IpfixDecoder:
    """Decodes messages of version 10."""

    options: DecodeOptions
    version: int = 10
    name: str = "IPFIX"
    framing: StreamFraming = FRAMING

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block of version 10; see `appliance.decoding.templated.decode_templated`."""
        return decode_templated(block, PROTOCOL, state, self.options)


@hookimpl
def register_decoders(settings: Settings) -> list[IpfixDecoder]:
    """Register the decoder."""
    return [IpfixDecoder(decode_options(settings))]
