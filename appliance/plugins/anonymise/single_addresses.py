"""One address at a time, as text, there and back."""

from __future__ import annotations

import ipaddress

import numpy as np

from appliance.flows import V4_MAPPED, address_halves, address_text
from appliance.plugins.anonymise.address_map import AddressMap

_LOW = 0xFFFF_FFFF_FFFF_FFFF
_BITS = 128


def replaced_of(table: AddressMap, text: str) -> str:
    """Return what stands for an address.

    Raises
    ------
    ValueError
        It is none.
    """
    hi, lo = (np.array([half], np.uint64) for half in address_halves(text))
    new_hi, new_lo = table.computed(hi, lo)
    return address_text(int(new_hi[0]), int(new_lo[0]))


def original_of(table: AddressMap, text: str) -> str:
    """Return the address that another one stands for.

    A bit is flipped by those before it, so that the first of them that is wrong shows itself: each
    round puts one more right.

    Raises
    ------
    ValueError
        It is none.
    """
    wanted = int(ipaddress.ip_address(text))
    wanted |= V4_MAPPED if ":" not in text else 0
    guess = wanted
    for _ in range(_BITS):
        halves = (np.array([half], np.uint64) for half in (guess >> 64, guess & _LOW))
        hi, lo = table.computed(*halves)
        wrong = (int(hi[0]) << 64 | int(lo[0])) ^ wanted
        if not wrong:
            break
        guess ^= 1 << (wrong.bit_length() - 1)
    return address_text(guess >> 64, guess & _LOW)
