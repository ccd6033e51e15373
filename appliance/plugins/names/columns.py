"""The columns of the plugin; apart, as every process asks for them."""

from __future__ import annotations

import numpy as np

from appliance import Column
from appliance.plugins.names.networks import DIRECTIONS, KINDS

SIDES = ("source", "destination")
TRAFFIC_DIRECTION = "traffic_direction"

SUMS_KEPT = {"country": 2000, "network": 2000, "site": 500, "role": 100}
"""So many pairs of both sides have sums of a month; one country and all others are 498 of them."""

_KIND_DOCS = {
    "network": "network that the {side} address is in",
    "site": "site of the network of the {side} address",
    "role": "role of the network of the {side} address",
}

COLUMNS = (
    *(
        Column(
            f"{side}_country",
            np.dtype("u2"),
            letters=True,
            sums_kept=SUMS_KEPT["country"],
            doc=f"country of the {side} address (ISO 3166-1)",
        )
        for side in SIDES
    ),
    *(
        Column(
            f"{side}_{kind}",
            np.dtype("u4"),
            has_names=True,
            sums_kept=SUMS_KEPT[kind],
            doc=_KIND_DOCS[kind].format(side=side),
        )
        for kind in KINDS
        for side in SIDES
    ),
    Column(
        TRAFFIC_DIRECTION,
        np.dtype("u1"),
        has_names=True,
        sums_kept=len(DIRECTIONS),
        doc="way of traffic between networks: inbound, outbound, through or internal",
    ),
)
