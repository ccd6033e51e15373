"""The columns of the plugin; apart, as every process asks for them."""

from __future__ import annotations

import numpy as np

from appliance import Column
from appliance.plugins.names.networks import KINDS

SIDES = ("source", "destination")
TRAFFIC_DIRECTION = "traffic_direction"

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
            doc=f"country of the {side} address (ISO 3166-1)",
        )
        for side in SIDES
    ),
    *(
        Column(
            f"{side}_{kind}",
            np.dtype("u4"),
            has_names=True,
            doc=_KIND_DOCS[kind].format(side=side),
        )
        for kind in KINDS
        for side in SIDES
    ),
    Column(
        TRAFFIC_DIRECTION,
        np.dtype("u1"),
        has_names=True,
        doc="way of traffic between networks: inbound, outbound, through or internal",
    ),
)
