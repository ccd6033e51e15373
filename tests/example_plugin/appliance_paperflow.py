"""A worked example of a plugin: a protocol, a column, a page and a command of its own.

Paperflow is an invented protocol. Its datagrams start with version 250 (two octets, big-endian);
every eight octets after it are one flow: source port, destination port, octets (2, 2 and 4 octets).
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np

from appliance import (
    PUBLIC,
    DatagramBlock,
    Decoder,
    DecodeResult,
    DecoderState,
    Enricher,
    FlowBatch,
    Integer,
    Route,
    Setting,
    Settings,
    hookimpl,
)

VERSION = 250
HEADER_OCTETS = 2

WIRE = np.dtype(
    [
        ("source_transport_port", ">u2"),
        ("destination_transport_port", ">u2"),
        ("octet_delta_count", ">u4"),
    ]
)

COLUMNS = {
    "source_transport_port": np.uint16,
    "destination_transport_port": np.uint16,
    "octet_delta_count": np.uint64,
}

OCTETS_EACH = Setting(
    "paperflow.packet_octets",
    Integer(1, 65535),
    500,
    "How many octets a packet is taken to have; paperflow does not count packets.",
)


@dataclass(frozen=True)
class PaperflowDecoder:
    """Decodes version 250."""

    version: int = VERSION
    name: str = "paperflow"

    def decode(self, block: DatagramBlock, state: DecoderState, now_ms: int) -> DecodeResult:
        """Turn the whole block into one batch; octets after the last whole flow are padding."""
        bodies = [block.payload(row)[HEADER_OCTETS:] for row in range(len(block))]
        whole = [body[: len(body) // WIRE.itemsize * WIRE.itemsize] for body in bodies]
        records = np.frombuffer(b"".join(whole), WIRE)
        columns = {name: records[name].astype(dtype) for name, dtype in COLUMNS.items()}
        n_flows = [len(body) // WIRE.itemsize for body in whole]
        columns |= {
            "collection_time_milliseconds": np.repeat(block.received_ms, n_flows),
            "exporter_address_hi": np.repeat(block.address_hi, n_flows),
            "exporter_address_lo": np.repeat(block.address_lo, n_flows),
        }
        return DecodeResult(batches=[FlowBatch(len(records), columns)])


@dataclass(frozen=True)
class PacketGuesser:
    """Fills in the packets that paperflow does not count."""

    packet_octets: int

    def __call__(self, batch: FlowBatch) -> FlowBatch | None:
        """Return the batch with packets; leave one alone that has them."""
        if "packet_delta_count" in batch.columns:
            return None
        each = np.uint64(self.packet_octets)
        packets = (batch.column("octet_delta_count") + each - np.uint64(1)) // each
        columns = batch.columns | {"packet_delta_count": packets}
        return FlowBatch(batch.n_records, columns, batch.octets, batch.options, batch.datagrams)


def paper_sizes() -> dict[str, list[str]]:
    """Answer GET /paperflow/sizes."""
    return {"sizes": ["A4", "A5"]}


@click.command("fold")
@click.argument("times", type=int)
def fold(times: int) -> None:
    """Fold a sheet of paper."""
    click.echo(f"{2**times} layers")


@hookimpl
def register_settings() -> list[Setting[int]]:
    return [OCTETS_EACH]


@hookimpl
def register_decoders() -> list[Decoder]:
    return [PaperflowDecoder()]


@hookimpl
def register_enrichers(settings: Settings) -> list[Enricher]:
    return [PacketGuesser(settings[OCTETS_EACH])]


@hookimpl
def register_routes() -> list[Route]:
    return [Route("GET", "/paperflow/sizes", paper_sizes, role=PUBLIC)]


@hookimpl
def register_commands() -> list[click.Command]:
    return [fold]
