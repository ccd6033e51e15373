"""Rows of the flow log made into what roll-ups count: who, what, which way, how much.

All of it is done column by column; columns that do not vary stay single values (stride 0), and what
few values have is found once for each of them. Only rows of kind FLOW count. Octets and packets are
scaled by the sampling rate of their row and rounded to whole numbers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flowlog import Rows, batch_from_rows
from appliance.flows import COLUMN, V4_MAPPED, AnyArray, RecordKind, is_constant, summed_columns
from appliance.plugins.rollups.bins import FIRST, LAST
from appliance.services import Services, service_ports

IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint64]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FLOW_COLUMNS = (
    "collection_time_milliseconds",
    "exporter_address_hi",
    "exporter_address_lo",
    "exporter_transport_port",
    "observation_domain_id",
    "record_kind",
    "source_address_hi",
    "source_address_lo",
    "destination_address_hi",
    "destination_address_lo",
    "source_transport_port",
    "destination_transport_port",
    "protocol_identifier",
    "octet_delta_count",
    "packet_delta_count",
    "delta_flow_count",
    "sampling_rate",
    "flow_direction",
    "application_id",
)
KEY_COLUMNS = (
    "ingress_interface",
    "egress_interface",
    "bgp_source_as_number",
    "bgp_destination_as_number",
)
"""Columns that sums are kept by as they are; see `capped_sums`."""

LARGEST_COUNT = 1 << 48
"""Of one record, scaled: what claims more than 281 TB is taken for that much, so that no sum of an
honest number of records leaves 64 bits."""

LARGEST_RATE = 1 << 32
_ONES = 0xFFFF_FFFF_FFFF_FFFF


def key_columns() -> tuple[str, ...]:
    """Return the columns that sums are kept by, those of plugins among them."""
    return (*KEY_COLUMNS, *(column.name for part in summed_columns() for column in part))


def flow_columns() -> tuple[str, ...]:
    """Return the columns of the log that are read."""
    return (*FLOW_COLUMNS, *key_columns())


@dataclass(slots=True)
class Flows:
    """Flows as columns of equal length; those that do not vary may be of stride 0.

    Attributes
    ----------
    minutes
        Starts of minutes, seconds UTC.
    exporter
        Position in `exporters`, the (hi, lo) addresses of this piece.
    direction
        0 ingress, 1 egress.
    port
        The service port.
    session
        See `session_number`; 0 where no flow of the piece has an application.
    keys
        The columns of `key_columns` by name, 0 for none.
    flows
        How many flows each stands for; None when it is one each.
    """

    n: int
    minutes: IntArray
    exporter: IntArray
    exporters: list[tuple[int, int]]
    direction: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    port: NDArray[np.uint16]
    application: WordArray
    session: WordArray
    source: tuple[WordArray, WordArray]
    destination: tuple[WordArray, WordArray]
    keys: Mapping[str, AnyArray]
    octets: IntArray
    packets: IntArray
    flows: IntArray | None = None

    def where(self, chosen: NDArray[Any]) -> Flows:
        """Return the flows at these places."""
        return Flows(
            len(chosen),
            self.minutes[chosen],
            self.exporter[chosen],
            self.exporters,
            self.direction[chosen],
            self.protocol[chosen],
            self.port[chosen],
            self.application[chosen],
            self.session[chosen],
            (self.source[0][chosen], self.source[1][chosen]),
            (self.destination[0][chosen], self.destination[1][chosen]),
            {name: column[chosen] for name, column in self.keys.items()},
            self.octets[chosen],
            self.packets[chosen],
            None if self.flows is None else self.flows[chosen],
        )


@dataclass(slots=True)
class LocalNetworks:
    """Tells which addresses are inside.

    Attributes
    ----------
    tests
        (mask, value) of the high half, then of the low half.
    """

    tests: list[tuple[int, int, int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, networks: Iterable[Network]) -> LocalNetworks:
        """Prepare the test of some networks."""
        tests = []
        for network in networks:
            base, length = int(network.network_address), network.prefixlen
            if network.version == 4:
                base, length = V4_MAPPED | base, length + 96
            mask = ((1 << length) - 1) << (128 - length)
            tests.append((mask >> 64, base >> 64, mask & _ONES, base & _ONES))
        return cls(tests)

    def contain(self, address: tuple[WordArray, WordArray]) -> NDArray[np.bool_]:
        """Tell for each address whether it is in one of the networks."""
        hi, lo = address
        found = np.zeros(len(lo), bool)
        for high_mask, high, low_mask, low in self.tests:
            above = (hi[:1] if is_constant(hi) else hi) & np.uint64(high_mask)
            same = above == np.uint64(high)
            if low_mask and same.any():
                below = (lo & np.uint64(low_mask)) == np.uint64(low)
                found |= below if same.all() else below & same
            else:
                found |= same
        return found


class Classifier:
    """Turns rows of the log into `Flows`."""

    def __init__(self, services: Services, local: LocalNetworks) -> None:
        self.services, self.local = services, local

    def flows(self, pieces: Sequence[Rows], only: tuple[int, int] | None = None) -> Flows:
        """Classify rows that were read with `flow_columns`.

        Parameters
        ----------
        only
            The address (hi, lo) of an exporter whose flows are wanted; None for all.
        """
        columns = _join_pieces(pieces)
        wanted = {"record_kind": int(RecordKind.FLOW)}
        if only is not None:
            wanted |= {"exporter_address_hi": only[0], "exporter_address_lo": only[1]}
        for name, value in wanted.items():
            columns = _where_equal(columns, name, value)
        return self._classify(columns)

    def _classify(self, columns: dict[str, AnyArray]) -> Flows:
        exporter, exporters = _exporters(columns)
        source, destination = (
            (columns[f"{side}_address_hi"], columns[f"{side}_address_lo"])
            for side in ("source", "destination")
        )
        rate = columns["sampling_rate"]
        protocol = columns["protocol_identifier"]
        ports = [columns[f"{side}_transport_port"] for side in ("source", "destination")]
        return Flows(
            n=len(rate),
            minutes=_minutes(columns["collection_time_milliseconds"]),
            exporter=exporter,
            exporters=exporters,
            direction=self._directions(columns["flow_direction"], source, destination),
            protocol=protocol,
            port=service_ports(self.services, protocol, *ports),
            application=columns["application_id"],
            session=_sessions(columns),
            source=source,
            destination=destination,
            keys={name: columns[name] for name in key_columns()},
            octets=_scale(columns["octet_delta_count"], rate),
            packets=_scale(columns["packet_delta_count"], rate),
            flows=_flow_counts(columns["delta_flow_count"]),
        )

    def _directions(
        self,
        told: NDArray[np.uint8],
        source: tuple[WordArray, WordArray],
        destination: tuple[WordArray, WordArray],
    ) -> NDArray[np.uint8]:
        unknown = (told[:1] if is_constant(told) else told) > 1
        if not unknown.any():
            return told
        outward = self.local.contain(source)
        inside = np.flatnonzero(outward)
        if len(inside):
            there = (destination[0][inside], destination[1][inside])
            outward[inside] = ~self.local.contain(there)
        found = outward.view(np.uint8)
        return found if unknown.all() else np.where(unknown, found, told)


def _join_pieces(pieces: Sequence[Rows]) -> dict[str, AnyArray]:
    batches = [batch_from_rows(piece) for piece in pieces]
    n = sum(batch.n_records for batch in batches)
    joined: dict[str, AnyArray] = {}
    for name in flow_columns():
        parts = [batch.column(name) for batch in batches if batch.n_records]
        if not parts:
            joined[name] = np.zeros(0, COLUMN[name].dtype)
        elif all(is_constant(part) and part[0] == parts[0][0] for part in parts):
            joined[name] = np.broadcast_to(parts[0][:1], (n,))
        else:
            joined[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return joined


def _where_equal(columns: dict[str, AnyArray], name: str, value: int) -> dict[str, AnyArray]:
    column = columns[name]
    if is_constant(column) and len(column) and int(column[0]) == value:
        return columns
    chosen = np.flatnonzero(column == column.dtype.type(value))
    if len(chosen) == len(column):
        return columns
    return {name: column[chosen] for name, column in columns.items()}


def _minutes(milliseconds: IntArray) -> IntArray:
    if not len(milliseconds):
        return milliseconds
    few = milliseconds[:1] if is_constant(milliseconds) else milliseconds
    if few.min() // 60_000 == few.max() // 60_000:
        few = few[:1]
    minutes: IntArray = np.clip(few // 60_000, FIRST // 60, LAST // 60) * 60
    return minutes if len(few) > 1 else np.broadcast_to(minutes, milliseconds.shape)


def _exporters(columns: dict[str, AnyArray]) -> tuple[IntArray, list[tuple[int, int]]]:
    """Number the exporters of a piece; their rows stand in runs, as datagrams do."""
    hi, lo = columns["exporter_address_hi"], columns["exporter_address_lo"]
    if is_constant(hi) and is_constant(lo) and len(lo):
        return np.broadcast_to(np.int64(0), lo.shape), [(int(hi[0]), int(lo[0]))]
    starts = np.flatnonzero((lo[1:] != lo[:-1]) | (hi[1:] != hi[:-1])) + 1
    starts = np.concatenate(([0], starts))[: len(lo)]
    runs = np.empty(len(starts), [("hi", np.uint64), ("lo", np.uint64)])
    runs["hi"], runs["lo"] = hi[starts], lo[starts]
    if len(runs) and (runs["hi"] == runs["hi"][0]).all():
        _, first, codes = np.unique(runs["lo"], return_index=True, return_inverse=True)
    else:
        _, first, codes = np.unique(runs, return_index=True, return_inverse=True)
    exporters = [(int(run["hi"]), int(run["lo"])) for run in runs[first]]
    lengths = np.diff(np.append(starts, len(lo)))
    return np.repeat(codes, lengths), exporters


def session_number(port: AnyArray, domain: AnyArray) -> WordArray:
    """Number the sessions of an address: the port they send from, and the observation domain."""
    number: WordArray = port.astype(np.uint64)
    number <<= np.uint64(32)
    number |= domain
    return number


def _sessions(columns: dict[str, AnyArray]) -> WordArray:
    """Number the sessions where applications need them, so that other flows stay few groups."""
    application = columns["application_id"]
    port, domain = columns["exporter_transport_port"], columns["observation_domain_id"]
    if not (application[:1] if is_constant(application) else application).any():
        return np.broadcast_to(np.uint64(0), application.shape)
    if is_constant(port) and is_constant(domain):
        return np.broadcast_to(session_number(port[:1], domain[:1]), application.shape)
    number = session_number(port, domain)
    number *= application > 0
    return number


def _flow_counts(counts: WordArray) -> IntArray | None:
    if is_constant(counts) and (not len(counts) or counts[0] == 1):
        return None
    return np.minimum(counts, np.uint64(LARGEST_COUNT)).astype(np.int64)


def _scale(counts: WordArray, rates: NDArray[np.float64]) -> IntArray:
    """Scale by the rate; one that is absent or makes no sense is 1."""
    few = rates[:1] if is_constant(rates) else rates
    sane = (few >= 1) & (few <= LARGEST_RATE)
    if not sane.any() or (few[sane] == 1).all():
        if len(counts) and int(counts.max()) < LARGEST_COUNT:
            return counts.view(np.int64)
        found: IntArray = np.minimum(counts, np.uint64(LARGEST_COUNT)).astype(np.int64)
        return found
    product = np.rint(counts * np.where(sane, few, 1.0))
    return np.minimum(product, LARGEST_COUNT).astype(np.int64)
