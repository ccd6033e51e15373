"""The columns of the plugin; apart, as every process asks for them."""

from __future__ import annotations

import numpy as np

from appliance import Column

COUNTRIES = tuple(
    Column(
        f"{side}_country",
        np.dtype("u2"),
        letters=True,
        doc=f"country of the {side} address (ISO 3166-1)",
    )
    for side in ("source", "destination")
)
