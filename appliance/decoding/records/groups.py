"""Records of one layout, decoded together, with what their messages say about each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.headers import Headers
from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.flows import constant

Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The messages that the records of a block came in; arrays of shape (n,), one row each.

    Rows from the number of datagrams in the block on are messages of earlier blocks, whose Data
    Sets waited for their template.
    """

    address_hi: NDArray[np.uint64]
    address_lo: NDArray[np.uint64]
    port: NDArray[np.uint16] | NDArray[np.uint64]
    received_ms: Int
    domain: Int
    sequence: Int
    export_ms: Int
    uptime_ms: Int

    def session(self, row: int) -> tuple[int, int, int]:
        """Return the session that a message came in."""
        return int(self.address_hi[row]), int(self.address_lo[row]), int(self.port[row])

    @property
    def transport_port(self) -> NDArray[np.uint16]:
        """The exporter's port, without what else is in the number of a connection."""
        if self.port.dtype == np.uint16:
            return self.port.astype(np.uint16, copy=False)
        return (self.port & np.uint64(0xFFFF)).astype(np.uint16)

    @classmethod
    def of(cls, block: DatagramBlock, headers: Headers) -> Arrivals:
        """Return the messages of a block."""
        return cls(
            *(block.address_hi, block.address_lo, block.port, block.received_ms),
            *(headers.domain, headers.sequence, headers.export_ms, headers.uptime_ms),
        )


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """Data Records of one layout.

    Attributes
    ----------
    arrival
        int64, shape (n_sets,): the message of each Set, a row of `arrivals`.
    counts
        int64, shape (n_sets,): records of each Set, in the order of `records`.
    template_ids
        int64, shape (n_sets,): identifier of each Set's template, 0 where there is none (v5).
    offsets
        int64, shape (n_sets,): where each Set's body begins in its datagram; -1 for one that
        waited.
    sampling
        float64, shape (n_records,): one packet of so many was seen, 0 where that is not known; None
        when it is known of no record.
    carries_rate
        bool, shape (n_records,): whether a record or its header told its rate itself; None: none.
    init_ms
        int64, shape (n_records,): boot time of the exporter as options records told it (IPFIX),
        milliseconds UTC, -1 where they did not; None when they did nowhere.
    exporters
        uint64, shape (n_records,) each: halves of the address that each record is from; None when
        all are from their senders.
    uptime_unit_ms
        What the uptimes of headers and records count, milliseconds.
    as_sent
        Whether the octets of the records stand in the datagram as they are here.
    """

    plan: DecodePlan
    records: Records
    arrivals: Arrivals
    arrival: Int
    counts: Int
    template_ids: Int
    offsets: Int
    sampling: NDArray[np.float64] | None = None
    init_ms: Int | None = None
    exporters: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None
    uptime_unit_ms: int = 1
    carries_rate: NDArray[np.bool_] | None = None
    as_sent: bool = True

    @property
    def n_records(self) -> int:
        """Number of records."""
        return self.records.n_records

    @property
    def needs_boot_time(self) -> bool:
        """Whether the times of its records count from a boot time that the header has not."""
        index = self.plan.first_index
        return self.plan.version == 10 and ((0, 21) in index or (0, 22) in index)

    def index(self, element: int, enterprise: int = 0, repeat: int = 0) -> int | None:
        """Return the field of an element, of several the first or, from 0, another one; None when
        the layout has none."""
        first = self.plan.first_index.get((enterprise, element))
        if first is None or not repeat:
            return first
        named = (f.enterprise == enterprise and f.element == element for f in self.plan.fields)
        places = [place for place, is_named in enumerate(named) if is_named]
        return places[repeat] if repeat < len(places) else None

    def unsigned(self, element: int, enterprise: int = 0) -> NDArray[Any] | None:
        """Return an element of every record as unsigned integers."""
        at = self.plan.first_index.get((enterprise, element))
        return None if at is None else self.records.unsigned(at)

    def has_any(self, elements: frozenset[int]) -> bool:
        """Tell whether the layout has one of these elements of IANA."""
        return not self.plan.elements.isdisjoint(elements)

    def first_unsigned(self, elements: tuple[int, ...], enterprise: int = 0) -> NDArray[Any] | None:
        """Return the first of these elements that the layout has."""
        for element in elements:
            if (enterprise, element) in self.plan.first_index:
                return self.unsigned(element, enterprise)
        return None

    def per_record(self, name: str) -> NDArray[Any]:
        """Return a field of `arrivals` for each record; a stride-0 array when all are the same."""
        values = getattr(self.arrivals, name)[self.arrival]
        return spread(values, self.counts, self.records.n_records)


def spread(values: NDArray[Any], counts: Int, total: int) -> NDArray[Any]:
    """Repeat one value for each Set over its records, without copying when all are equal."""
    n_sets = len(values)
    if n_sets == 1 or (n_sets and values[0] == values[-1] and (values == values[0]).all()):
        return constant(values, total)
    return np.repeat(values, counts)
