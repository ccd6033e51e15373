"""NetFlow v9 (RFC 3954): what it does its own way; the rest is shared with IPFIX."""

from __future__ import annotations

from dataclasses import dataclass

from appliance import (
    DatagramBlock,
    DecodeOptions,
    DecodeResult,
    DecoderState,
    Settings,
    decode_options,
    hookimpl,
)
from appliance.decoding.messages.headers import V9_HEADER, v9_headers
from appliance.decoding.templated import decode_templated
from appliance.decoding.work import TemplatedProtocol

PROTOCOL = TemplatedProtocol(
    version=9,
    header_octets=V9_HEADER,
    read_headers=v9_headers,
    template_set=0,
    options_set=1,
    drops_whole=False,
    zero_set_ends=True,
    counts_records=False,
    window_units=100,
)


@dataclass(frozen=True)
class NetflowV9Decoder:
    """Decodes export packets of version 9."""

    options: DecodeOptions
    version: int = 9
    name: str = "NetFlow v9"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block of version 9; see `appliance.decoding.templated.decode_templated`."""
        return decode_templated(block, PROTOCOL, state, self.options)


@hookimpl
def register_decoders(settings: Settings) -> list[NetflowV9Decoder]:
    """Register the decoder."""
    return [NetflowV9Decoder(decode_options(settings))]
