"""NetFlow v7 (Cisco Catalyst 5000 with a NetFlow feature card): records as of version 5, and the
router that was shortcut.

Octets 36, 46 and 47 of a record are flags that say which fields hold something; those that do not
are 0. The header has no engine and no sampling.
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
    (210, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2), (210, 4),
)  # fmt: skip
_HEADER = FixedHeader(7, 24, 52, 28, sequence_offset=16)
PROTOCOL = FixedProtocol(7, _HEADER.octets, _LAYOUT, partial(fixed_headers, layout=_HEADER), 3000)


@hookimpl
def register_decoders(settings: Settings) -> list[Decoder]:
    """Register the decoder."""
    return [FixedDecoder(PROTOCOL, decode_options(settings), "NetFlow v7")]
