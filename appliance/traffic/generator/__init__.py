"""Believable flows from invented exporters, for demonstrations, tests and measurements."""

from __future__ import annotations

from appliance.traffic.generator.exporters import GeneratedBlock, Generator, Sums
from appliance.traffic.generator.live import Order, Transmission
from appliance.traffic.generator.profiles import (
    PROTOCOLS,
    ExporterProfile,
    demo_exporters,
    invent_exporters,
)

__all__ = [
    "PROTOCOLS",
    "ExporterProfile",
    "GeneratedBlock",
    "Generator",
    "Order",
    "Sums",
    "Transmission",
    "demo_exporters",
    "invent_exporters",
]
