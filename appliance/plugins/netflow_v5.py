"""NetFlow v5 (Cisco, "NetFlow Export Datagram Format"): fixed records below a header.

Octets 36 and 46 to 47 of a record are padding. The header's sampling field holds two bits of mode
and 14 of interval; Juniper leaves the mode at zero, so only the interval counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from appliance import (
    DatagramBlock,
    DecodeOptions,
    DecodeResult,
    DecoderState,
    FixedProtocol,
    Settings,
    decode_fixed,
    decode_options,
    hookimpl,
)
from appliance.decoding.messages.headers import FixedHeader, fixed_headers

_LAYOUT = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
    (210, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2),
)  # fmt: skip
_HEADER = FixedHeader(5, 24, 48, 30, sequence_offset=16, domain_offset=20)
_SAMPLING_OFFSET = 22
_INTERVAL_BITS = 0x3FFF


def header_rates(block: DatagramBlock, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sampling intervals of headers, shape (n,); 0 for none."""
    high = block.octets[rows, _SAMPLING_OFFSET].astype(np.int64)
    low = block.octets[rows, _SAMPLING_OFFSET + 1]
    interval: NDArray[np.int64] = (high << 8 | low) & _INTERVAL_BITS
    return interval.astype(np.float64)


PROTOCOL = FixedProtocol(
    5, _HEADER.octets, _LAYOUT, partial(fixed_headers, layout=_HEADER), 3000, header_rates
)


@dataclass(frozen=True)
class NetflowV5Decoder:
    """Decodes export datagrams of version 5."""

    options: DecodeOptions
    version: int = 5
    name: str = "NetFlow v5"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Decode a block of version 5; see `appliance.decoding.fixed_protocol.decode_fixed`."""
        unit_ms = self.options.v5_uptime_unit_ms
        return decode_fixed(block, PROTOCOL, state, self.options, unit_ms)


@hookimpl
def register_decoders(settings: Settings) -> list[NetflowV5Decoder]:
    """Register the decoder."""
    return [NetflowV5Decoder(decode_options(settings))]
