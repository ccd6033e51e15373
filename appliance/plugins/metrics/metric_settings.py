"""What the configuration says about metrics."""

from __future__ import annotations

from appliance import Integer, Setting

INTERFACES = Setting(
    "metrics.interfaces",
    Integer(0, 100_000),
    1000,
    "How many interfaces `/metrics` tells the traffic of, in and out apart: those with the most"
    " octets of the day over all exporters. Each takes six lines, and one for its name.",
)
