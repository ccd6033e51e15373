"""What decoders are given and what they give back.

A decoder reads a block of datagrams and what is known about their exporters (`DecoderState`), and
returns a `DecodeResult`: columns, and everything that changed. It stores nothing; the caller
commits the result, so that a block can be decoded again, or for inspection only, with the same
outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from appliance.decoding.export_totals import TotalsReport
from appliance.decoding.interface_counters import InterfaceCounters
from appliance.decoding.messages.faults import Fault
from appliance.decoding.records.groups import Arrivals, RecordGroup
from appliance.decoding.sampling.knowledge import Sampling
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.timeline import (
    Senders,
    Session,
    SessionDomain,
    TemplateChange,
    TemplateLookup,
)
from appliance.flows import FlowBatch, RawElement

Exporter = tuple[int, int]
"""An exporter's address as halves."""

Element = tuple[int, int]
"""(enterprise number, element identifier)."""


@dataclass(frozen=True, slots=True)
class WaitingSet:
    """A Data Set whose template has not been seen yet, with what its message said.

    Attributes
    ----------
    serial
        Given by who keeps it: Sets of one exporter take effect in the order in which they came.
    """

    scope: SessionDomain
    set_id: int
    body: bytes
    received_ms: int
    sequence: int
    export_ms: int
    uptime_ms: int
    serial: int = 0


class NameFact(NamedTuple):
    """A name that an options record told.

    Attributes
    ----------
    kind
        `application` (number: `appliance.decoding.columns.mapping.application_key`) or `interface`.
    """

    session: Session
    kind: str
    number: int
    name: str
    description: str


class DecoderState(TemplateLookup, Protocol):
    """What is known of exporters before a block; decoders read it and change nothing."""

    def sampling(self, session: Session, version: int) -> Sampling:
        """Return what the options records of a session told in messages of this version."""
        ...

    def borrow_sampling(self, session: Session, version: int, senders: Senders) -> Sampling:
        """Return what another session of this address lends to one that told nothing itself."""
        ...

    def borrow_sampling_of_others(self, session: Session, version: int) -> Sampling:
        """Return what other collectors were told by this address, where they agree."""
        ...

    def sequence(self, scope: SessionDomain) -> SequenceState:
        """Return where the sequence numbers of an observation domain stand."""
        ...

    def waiting(self, scope: SessionDomain, template_id: int) -> Sequence[WaitingSet]:
        """Return the Data Sets of a scope that wait for a template."""
        ...


class ExporterTrust(StrEnum):
    """Which records may name the exporter of flows (elements 130, 131)."""

    OFF = "off"
    OPTIONS = "options"
    RECORDS = "records"
    """Options records and the flow records themselves."""


@dataclass(frozen=True)
class DecodeOptions:
    """Settings that decide what decoders make of records.

    Attributes
    ----------
    default_rate
        Sampling rate of exporters that tell none; 0: not known.
    rates
        The same for single exporters.
    renamed
        For an exporter, its element numbers and what they mean.
    raw_elements
        Elements whose octets go along as received.
    header_columns
        Which of `appliance.flows.HEADER_COLUMNS` are filled.
    trust_exporter_address
        Which records may say that another exporter than the sender saw the flows.
    v5_uptime_unit_ms
        What NetFlow v5 counts its uptimes in, milliseconds.
    """

    default_rate: float = 0.0
    rates: Mapping[Exporter, float] = field(default_factory=dict)
    renamed: Mapping[Exporter, Mapping[Element, Element]] = field(default_factory=dict)
    raw_elements: tuple[RawElement, ...] = ()
    header_columns: tuple[str, ...] = ()
    trust_exporter_address: ExporterTrust = ExporterTrust.OPTIONS
    v5_uptime_unit_ms: int = 1


@dataclass
class DecodeResult:
    """What a block held.

    Attributes
    ----------
    batches
        Columns; `datagrams` of a batch are rows of `arrivals`.
    groups
        The records behind each batch, octet for octet (for inspection), while the memory of the
        block is as it was.
    released
        Waiting Sets that were decoded.
    sampling
        By session and protocol version, where something new was told.
    sequences
        New states of the observation domains that sent something.
    tallies
        Records by scope and a fixed word: `records`, `options_records`, `total_counters` (the
        exporter sends no deltas), `sampling_assumed` (its rate is not known), `sampling_in_records`
        (they, or their headers, carry it), `interface_counters` (readings of interfaces).
    message_octets
        Octets of the messages of each scope.
    rates
        The sampling rate of a flow of each session, one of its last; 0: not known.
    totals
        What exporters say that they have sent.
    interface_counters
        What exporters send of their interfaces' own counters; None: nothing.
    faults
        What was wrong, by row of the block.
    counts
        Other things that happened, by a fixed word.
    unknown_elements
        Records by elements that no registry names.
    """

    batches: list[FlowBatch] = field(default_factory=list)
    groups: list[RecordGroup] = field(default_factory=list)
    arrivals: Arrivals | None = None
    templates: list[TemplateChange] = field(default_factory=list)
    waiting: list[WaitingSet] = field(default_factory=list)
    released: list[WaitingSet] = field(default_factory=list)
    sampling: dict[tuple[Session, int], Sampling] = field(default_factory=dict)
    sequences: dict[SessionDomain, SequenceState] = field(default_factory=dict)
    names: list[NameFact] = field(default_factory=list)
    restarted: list[SessionDomain] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tallies: Counter[tuple[SessionDomain, str]] = field(default_factory=Counter)
    message_octets: Counter[SessionDomain] = field(default_factory=Counter)
    rates: dict[Session, float] = field(default_factory=dict)
    totals: list[TotalsReport] = field(default_factory=list)
    interface_counters: InterfaceCounters | None = None
    counts: Counter[str] = field(default_factory=Counter)
    unknown_elements: Counter[Element] = field(default_factory=Counter)
