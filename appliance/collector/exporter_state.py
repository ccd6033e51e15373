"""Everything that is known of one exporter's address, and how much of it is kept."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from appliance.collector.pending_sets import PendingSets
from appliance.collector.sessions import MAX_OFFERS, Offer, SessionState, borrow_value
from appliance.collector.totals_check import TotalsCheck
from appliance.decoding.messages.session_numbers import is_connection
from appliance.decoding.results import Element
from appliance.decoding.sampling.knowledge import Sampling
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.template import Template
from appliance.decoding.templates.timeline import Family, Senders, Session, SessionDomain

T = TypeVar("T")
_LONG_AGO_MS = -(1 << 62)
_NEVER_HEARD = SessionState(_LONG_AGO_MS, _LONG_AGO_MS, restored_ms=_LONG_AGO_MS)
"""What a session counts as that is known from a file of templates only."""


@dataclass(frozen=True, slots=True)
class ExporterLimits:
    """How much is kept.

    Attributes
    ----------
    exporters
        Known exporters; the one unheard of for the longest time gives way to another.
    newcomers
        Places that known exporters never take (see `newcomers`); newcomers also have those of known
        exporters that are free.
    scopes
        Observation domains of sessions (address, port, domain) of one exporter; as above.
    sessions, subjects
        Sessions of one exporter, and subjects of options facts that all of them told together; the
        one unheard of for the longest time gives way, with its sampling and names.
    templates, template_fields
        Templates of one exporter, and fields of all of them together; the one announced longest
        ago gives way.
    waiting_octets, waiting_ms
        Data Sets of one exporter that wait for their template: octets, and for how long.
    names
        Application and interface names of one exporter, each; more are not learned.
    template_ms
        A template that was not announced for so long is forgotten; 0: never.
    octets
        Memory for all exporters together, as estimated, of which newcomers have a quarter;
        newcomers give way first, then the exporter that takes most.
    """

    exporters: int = 1024
    newcomers: int = 256
    scopes: int = 4096
    sessions: int = 1024
    subjects: int = 65_536
    templates: int = 4096
    template_fields: int = 65_536
    waiting_octets: int = 1_000_000
    waiting_ms: int = 1_800_000
    names: int = 65_536
    template_ms: int = 0
    octets: int = 256_000_000


@dataclass(slots=True)
class KnownTemplate:
    """A template, who announced it, when last (milliseconds UTC), and what in it is not known."""

    scope: SessionDomain
    template: Template
    announced_ms: int
    unknown_elements: tuple[Element, ...] = ()


@dataclass(slots=True)
class ExporterState:
    """Everything known of one exporter.

    Attributes
    ----------
    sessions
        By port, the one unheard of for the longest time first.
    sampling_of
        What their options records told, by protocol version and port, the newest last.
    templates
        By scope and identifier, in the order of their announcement.
    tellers
        By domain, version and identifier: the templates of all sessions, the newest last.
    announced
        By port: which templates that session announced.
    of_kind
        The numbers of a scope's templates (False) and options templates (True).
    pending
        Data Sets that wait for their template.
    totals
        What it says that it sent, by who says it.
    counts
        What happened, by fixed words: datagrams, records, faults by reason.
    newcomer
        Whether it was first heard a moment ago, and is nobody's named exporter.
    skew_ms
        By how much the clock of its last header was ahead of ours.
    octets
        Estimate of the memory that all this takes.
    """

    sessions: OrderedDict[int, SessionState] = field(default_factory=OrderedDict)
    sampling_of: OrderedDict[tuple[int, int], Sampling] = field(default_factory=OrderedDict)
    templates: OrderedDict[tuple[SessionDomain, int], KnownTemplate] = field(
        default_factory=OrderedDict
    )
    tellers: dict[tuple[Family, int], OrderedDict[int, KnownTemplate]] = field(default_factory=dict)
    announced: dict[int, set[tuple[Family, int]]] = field(default_factory=dict)
    of_kind: dict[tuple[SessionDomain, bool], set[int]] = field(default_factory=dict)
    template_fields: int = 0
    sequences: OrderedDict[SessionDomain, SequenceState] = field(default_factory=OrderedDict)
    pending: PendingSets = field(default_factory=PendingSets)
    totals: OrderedDict[SessionDomain, TotalsCheck] = field(default_factory=OrderedDict)
    n_names: int = 0
    n_subjects: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    newcomer: bool = False
    first_seen_ms: int = 0
    last_seen_ms: int = 0
    skew_ms: int = 0
    octets: int = 0

    @property
    def newest(self) -> Iterator[KnownTemplate]:
        """The newest template of each domain, version and identifier, of whatever session."""
        newest_first = (reversed(known.values()) for known in self.tellers.values())
        lasting = (
            next((known for known in of_key if not known.scope.is_connection), None)
            for of_key in newest_first
        )
        return (known for known in lasting if known is not None)

    def sampling(self, *ports: int) -> Sampling:
        """Return what some sessions told in whatever protocol; of no port: all of them."""
        told = [
            s.told
            for (_, port), s in sorted(self.sampling_of.items(), key=_by_key)
            if not ports or port in ports
        ]
        return Sampling({subject: value for part in told for subject, value in part.items()})

    def lend(self, known: Iterable[tuple[int, T]], of: Session, senders: Senders) -> T | None:
        """Return what other sessions lend to one; `known`: port and value, the newest first."""
        hi, lo, borrower = of
        offers = []
        # What a connection told is its own.
        datagram_senders = ((port, value) for port, value in known if not is_connection(port))
        for port, value in islice(datagram_senders, MAX_OFFERS):
            if port == borrower:
                continue
            session = self.sessions.get(port, _NEVER_HEARD)
            last_ms = senders.time_ms if (hi, lo, port) in senders.sessions else session.last_ms
            silent_ms = max(last_ms, session.restored_ms)
            repeated = self._repeats(borrower, port)
            offers.append(Offer(value, session.first_ms, last_ms, silent_ms, repeated))
        own = self.sessions.get(borrower)
        return borrow_value(offers, own.first_ms if own else senders.time_ms, senders.time_ms)

    def _repeats(self, borrower: int, lender: int) -> bool:
        """Tell whether a session announced templates, and each as another one had it."""
        keys = list(islice(self.announced.get(borrower, ()), MAX_OFFERS))
        known = (self.tellers[key] for key in keys)
        return bool(keys) and all(
            lender in told and told[lender].template == told[borrower].template for told in known
        )

    @property
    def waiting_octets(self) -> int:
        """Octets of the Data Sets that wait for their template."""
        return self.pending.octets


def _by_key(item: tuple[tuple[int, int], Sampling]) -> tuple[int, int]:
    return item[0]
