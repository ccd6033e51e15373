"""Names of the protocols that exporters speak, by the number that columns and sessions have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SFLOW = 105
"""sFlow version 5, whose own number is NetFlow's too."""

SHORT_NAMES: Mapping[int, str] = MappingProxyType(
    {1: "v1", 5: "v5", 7: "v7", 9: "v9", 10: "IPFIX", SFLOW: "sFlow"}
)
NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "NetFlow v1",
        5: "NetFlow v5",
        7: "NetFlow v7",
        9: "NetFlow v9",
        10: "IPFIX",
        SFLOW: "sFlow v5",
    }
)
