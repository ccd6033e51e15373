"""The address by which a record names its exporter: IANA elements 130 and 131."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.flows import V4_MAPPED

_IPV4, _IPV6 = 130, 131
_IPV4_BITS = np.uint64(0xFFFF_FFFF)


def exporter_halves(
    plan: DecodePlan, records: Records
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Return exporterIPv4Address or exporterIPv6Address of each record as halves.

    Returns
    -------
    tuple or None
        uint64, shape (n_records,) each, IPv4 as ::ffff:a.b.c.d; 0 where a record names none (the
        unspecified address). None when the layout has neither element.
    """
    at4, at6 = plan.first_index.get((0, _IPV4)), plan.first_index.get((0, _IPV6))
    if at4 is None and at6 is None:
        return None
    hi = lo = np.zeros(records.n_records, np.uint64)
    if at6 is not None:
        hi, lo = records.halves(at6)
    if at4 is not None:
        short = records.halves(at4)[1] & _IPV4_BITS
        use_short = (short > 0) & ((hi | lo) == 0)
        lo = np.where(use_short, short | np.uint64(V4_MAPPED), lo)
    return hi, lo
