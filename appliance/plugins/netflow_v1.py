"""NetFlow v1 (Cisco): records as of version 5 without AS and prefix lengths, no sequence numbers.

Octets 36, 37 and 41 to 47 of a record are padding.
"""

from __future__ import annotations

from functools import partial

from appliance import (
    Decoder,
    FixedDecoder,
    FixedProtocol,
    Settings,
    decode_options,
    hookimpl,
)
from appliance.decoding.messages.headers import FixedHeader, fixed_headers

_LAYOUT = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
    (210, 2), (4, 1), (5, 1), (6, 1), (210, 7),
)  # fmt: skip
_HEADER = FixedHeader(1, 16, 48, 24)
PROTOCOL = FixedProtocol(1, _HEADER.octets, _LAYOUT, partial(fixed_headers, layout=_HEADER))


@hookimpl
def register_decoders(settings: Settings) -> list[Decoder]:
    """Register the decoder."""
    return [FixedDecoder(PROTOCOL, decode_options(settings), "NetFlow v1")]
