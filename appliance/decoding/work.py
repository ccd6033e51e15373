"""What the decoding of one block of template-based messages has in hand; see `templated`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.headers import Headers, Sets
from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import DecodeOptions, DecodeResult, DecoderState
from appliance.decoding.templates.template import Template
from appliance.decoding.templates.timeline import SessionDomain, Timelines

Int = NDArray[np.int64]

MAX_SCALAR_RECORDS = 8192
"""Records of variable length that are taken from one Set; the rest is dropped and counted."""

UNCOUNTABLE = -(1 << 40)
"""Marks, in `Work.unit_counts`, a datagram of which not all records can be counted."""


@dataclass(frozen=True)
class TemplatedProtocol:
    """In what NetFlow v9 and IPFIX differ.

    Attributes
    ----------
    header_octets
        Size of the message header.
    drops_whole
        A message is dropped whole when a template or a record contradicts its Set (RFC 7011 section
        9.1), not kept up to the lie. The Sets before one that ends beyond the message are kept.
    zero_set_ends
        A zero Set header ends the message.
    counts_records
        Sequence numbers count Data Records, else messages.
    window_units
        How far back a sequence number can be without being a restart.
    """

    version: int
    header_octets: int
    read_headers: Callable[[DatagramBlock], Headers]
    template_set: int
    options_set: int
    drops_whole: bool
    zero_set_ends: bool
    counts_records: bool
    window_units: int


@dataclass(frozen=True, slots=True)
class Section:
    """Data Sets in one piece of memory: those of the block, or those that had been waiting.

    Attributes
    ----------
    starts, lengths, arrival, scope, order, turn
        int64, shape (n_sets,): body in `flat`, its octets, message, scope, when it takes effect
        and when it arrived of each Set.
    template
        int64, shape (n_sets,): index into `templates`.
    belated
        bool, shape (n_sets,): Sets whose template came with a later datagram than they.
    """

    flat: NDArray[np.uint8]
    templates: list[Template]
    template: Int
    starts: Int
    lengths: Int
    arrival: Int
    scope: Int
    order: Int
    turn: Int
    belated: NDArray[np.bool_]
    template_ids: Int
    offsets: Int

    def reorder(self, order: NDArray[np.intp]) -> Section:
        """Return the same Sets in another order."""
        per_set = {f.name: getattr(self, f.name)[order] for f in fields(self)[2:]}
        return Section(self.flat, self.templates, **per_set)


@dataclass
class Work:
    """One attempt at a block.

    Attributes
    ----------
    dropped
        Datagrams that are taken for nothing. They show as a gap in the sequence numbers, so their
        records are counted as lost.
    scope_of
        int64, shape (n,): index of each datagram's scope, -1 for one that is refused or dropped.
    unit_counts
        int64, shape (n,): records of each datagram; negative where they cannot be counted.
    """

    block: DatagramBlock
    protocol: TemplatedProtocol
    options: DecodeOptions
    state: DecoderState
    headers: Headers
    sets: Sets
    dropped: set[int]
    scopes: list[SessionDomain]
    scope_of: Int
    arrivals: Arrivals
    result: DecodeResult
    unit_counts: Int
    timelines: Timelines

    def body(self, position: int) -> memoryview:
        """Return a copy of the body of the Set at a position."""
        at, length = int(self.sets.offset[position]), int(self.sets.length[position])
        row = int(self.sets.datagram[position])
        return memoryview(self.block.octets[row, at : at + length].tobytes())
