"""Networks as masks, to ask of many addresses at once whether they are inside."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED
from appliance.settings.types import Network

_LOW_HALF = 0xFFFF_FFFF_FFFF_FFFF


class ExporterNetworks:
    """Some networks, of IPv4 and IPv6; false when there are none."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._masks = [_halves(network) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._masks)

    def contain(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell of each address, IPv4 as ::ffff:a.b.c.d, whether it is in one of the networks."""
        inside = np.zeros(len(hi), np.bool_)
        for mask_hi, mask_lo, net_hi, net_lo in self._masks:
            inside |= ((hi & mask_hi) == net_hi) & ((lo & mask_lo) == net_lo)
        return inside


def _halves(network: Network) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return mask and network, as halves of 128-bit addresses."""
    mask, base = int(network.netmask), int(network.network_address)
    if network.version == 4:
        mask, base = mask | ((1 << 128) - (1 << 32)), base | V4_MAPPED
    return (
        np.uint64(mask >> 64),
        np.uint64(mask & _LOW_HALF),
        np.uint64(base >> 64),
        np.uint64(base & _LOW_HALF),
    )
