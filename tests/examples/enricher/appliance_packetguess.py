"""An enricher: fills in packets where an exporter counts only octets, with a setting of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from appliance import Enricher, FlowBatch, Integer, Setting, Settings, hookimpl

PACKET_OCTETS = Setting(
    "packetguess.packet_octets",
    Integer(1, 65535),
    500,
    "How many octets a packet is taken to have where an exporter does not count packets.",
)


@dataclass(frozen=True)
class PacketGuesser:
    """Adds the column packet_delta_count."""

    packet_octets: int

    def __call__(self, batch: FlowBatch) -> FlowBatch | None:
        """Return the batch with packets; leave one alone that has them, and options records."""
        if batch.options or "packet_delta_count" in batch.columns:
            return None
        each = np.uint64(self.packet_octets)
        packets = (batch.column("octet_delta_count") + each - np.uint64(1)) // each
        return replace(batch, columns=batch.columns | {"packet_delta_count": packets})


@hookimpl
def register_settings() -> list[Setting[int]]:
    """Register the setting."""
    return [PACKET_OCTETS]


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Register the enricher."""
    return [PacketGuesser(settings[PACKET_OCTETS])]
