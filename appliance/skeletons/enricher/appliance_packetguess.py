"""An enricher: fills in packets where an exporter counts only octets, and a column that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from appliance import Column, Enricher, FlowBatch, Integer, Setting, Settings, hookimpl

PACKET_OCTETS = Setting(
    "packetguess.packet_octets",
    Integer(1, 65535),
    500,
    "How many octets a packet is taken to have where an exporter does not count packets.",
)


PACKET_GUESS = Column(
    "packet_guess", np.dtype("u1"), doc="1 where the exporter did not count packets."
)


@dataclass(frozen=True)
class PacketGuess:
    """Adds the columns packet_delta_count and packet_guess."""

    packet_octets: int

    def __call__(self, batch: FlowBatch) -> FlowBatch | None:
        """Return the batch with packets; leave one alone that has them, and options records."""
        if batch.options or "packet_delta_count" in batch.columns:
            return None
        each = np.uint64(self.packet_octets)
        packets = (batch.column("octet_delta_count") + each - np.uint64(1)) // each
        added = {"packet_delta_count": packets, "packet_guess": np.ones(len(packets), "u1")}
        return replace(batch, columns=batch.columns | added)


@hookimpl
def register_settings() -> list[Setting[int]]:
    """Register the setting."""
    return [PACKET_OCTETS]


@hookimpl
def register_columns() -> list[Column]:
    """Register the column."""
    return [PACKET_GUESS]


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    """Register the enricher."""
    return [PacketGuess(settings[PACKET_OCTETS])]
