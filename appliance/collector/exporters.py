"""What the collector knows of its exporters: templates, sampling, sequence numbers, names, and
what waits.

`ExporterStates` answers decoders and commits what they found. Everything in it that a sender can
grow has a limit in `ExporterLimits` and a counter for what happens there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from appliance.collector.waiting import WaitingRoom, waiting_octets
from appliance.decoding.results import DecodeResult, Element, Exporter, NameFact, WaitingSet
from appliance.wire.options import Sampling
from appliance.wire.sequence import SequenceState
from appliance.wire.template import Template
from appliance.wire.timeline import Family, Scope, TemplateChange

_NOTHING_KNOWN = Sampling()
_NOT_SEEN = SequenceState()


@dataclass(frozen=True, slots=True)
class ExporterLimits:
    """How much is kept.

    Attributes
    ----------
    exporters
        Addresses; the one unheard of for the longest time gives way to a new one.
    scopes
        Observation domains of sessions (address, port, domain) of one exporter; as above.
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
        Memory for all exporters together, as estimated; the one unheard of for the longest time
        gives way.
    """

    exporters: int = 1024
    scopes: int = 4096
    templates: int = 4096
    template_fields: int = 65_536
    waiting_octets: int = 1_000_000
    waiting_ms: int = 1_800_000
    names: int = 65_536
    template_ms: int = 0
    octets: int = 256_000_000


@dataclass(slots=True)
class KnownTemplate:
    """A template, who announced it, and when last (milliseconds UTC)."""

    scope: Scope
    template: Template
    announced_ms: int


@dataclass(slots=True)
class ExporterState:
    """Everything known of one exporter.

    Attributes
    ----------
    sampling_of
        What its options records told, by protocol version.
    templates
        By scope and identifier, in the order of their announcement.
    newest
        By domain, version and identifier: the newest of any session.
    room
        Data Sets that wait for their template.
    counts
        What happened, by fixed words: datagrams, records, faults by reason.
    skew_ms
        By how much the clock of its last header was ahead of ours.
    octets
        Estimate of the memory that all this takes.
    """

    sampling_of: dict[int, Sampling] = field(default_factory=dict)
    templates: OrderedDict[tuple[Scope, int], KnownTemplate] = field(default_factory=OrderedDict)
    newest: dict[tuple[Family, int], KnownTemplate] = field(default_factory=dict)
    template_fields: int = 0
    sequences: OrderedDict[Scope, SequenceState] = field(default_factory=OrderedDict)
    room: WaitingRoom = field(default_factory=WaitingRoom)
    names: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last_seen_ms: int = 0
    skew_ms: int = 0
    octets: int = 0

    @property
    def sampling(self) -> Sampling:
        """What it told in whatever protocol."""
        told = [sampling.told for _, sampling in sorted(self.sampling_of.items())]
        return Sampling({subject: value for part in told for subject, value in part.items()})

    @property
    def waiting_octets(self) -> int:
        """Octets of the Data Sets that wait for their template."""
        return self.room.octets


_UNHEARD = ExporterState()
MAX_ELEMENTS = 1024
"""Unknown elements that are counted by name; more are counted together."""

_OCTETS_PER_FIELD, _OCTETS_PER_TEMPLATE = 100, 600
_OCTETS_PER_SCOPE, _OCTETS_PER_SUBJECT, _OCTETS_PER_NAME = 600, 200, 300


class ExporterStates:
    """All exporters; implements `appliance.decoding.results.DecoderState`.

    Attributes
    ----------
    changed
        Scopes whose sequence numbers changed since `take_changes`.
    octets
        Estimate of the memory that all exporters take.
    appeared
        Exporters that are new since the caller last cleared this.
    news
        Grows with everything that is worth saving: templates, sampling, names.
    """

    def __init__(self, limits: ExporterLimits) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.unknown_elements: Counter[Element] = Counter()
        self.exporters: OrderedDict[Exporter, ExporterState] = OrderedDict()
        self.changed: set[Scope] = set()
        self.octets = 0
        self._reported: set[Scope] = set()
        self._forgotten: set[Scope] = set()
        self.appeared: list[Exporter] = []
        self.news = 0

    # What decoders ask.

    def own_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the template that this session announced."""
        known = self._state(scope.exporter).templates.get((scope, template_id))
        return None if known is None else known.template

    def newest_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the newest template of this address, domain and identifier."""
        known = self._state(scope.exporter).newest.get((scope.family, template_id))
        return None if known is None else known.template

    def sampling(self, exporter: Exporter, version: int) -> Sampling:
        """Return what the options records of an exporter told in messages of this version."""
        return self._state(exporter).sampling_of.get(version, _NOTHING_KNOWN)

    def sequence(self, scope: Scope) -> SequenceState:
        """Return where the sequence numbers of a scope stand."""
        return self._state(scope.exporter).sequences.get(scope, _NOT_SEEN)

    def waiting(self, family: Family, template_id: int) -> Sequence[WaitingSet]:
        """Return the Data Sets that wait for a template."""
        return self._state(family[:2]).room.waiting(family, template_id)

    def _state(self, exporter: Exporter) -> ExporterState:
        return self.exporters.get(exporter, _UNHEARD)

    # What the collector commits.

    def commit(self, result: DecodeResult, now_ms: int) -> None:
        """Take over what a block changed; the order is that in which single datagrams would."""
        for scope, sequence in result.sequences.items():
            self._commit_sequence(scope, sequence, now_ms)
        self._take_out(result.released)
        for scope in result.restarted:
            # Its templates may mean something else now.
            given_up = self._state(scope.exporter).room.waiting_of(scope)
            self._take_out(given_up)
            self.counts["waiting_sets_given_up"] += len(given_up)
        for change in result.templates:
            self.learn_template(change, now_ms)
        for (exporter, version), sampling in result.sampling.items():
            self.learn_sampling(exporter, version, sampling, now_ms)
        for waiting in result.waiting:
            self._let_wait(waiting, now_ms)
        for name in result.names:
            self.learn_name(name, now_ms)
        self._commit_counts(result, now_ms)
        self.make_room()

    def make_room(self) -> None:
        """Keep to the limit on memory."""
        while self.octets > self.limits.octets and len(self.exporters) > 1:
            self._forget_exporter()

    def _commit_counts(self, result: DecodeResult, now_ms: int) -> None:
        self.counts.update(result.counts)
        for (exporter, word), number in result.tallies.items():
            self._open(exporter, now_ms).counts[word] += number
        arrivals = result.arrivals
        for fault in result.faults:
            self.counts[f"malformed_{fault.reason}"] += 1
            if arrivals is not None:
                row = fault.datagram
                exporter = (int(arrivals.address_hi[row]), int(arrivals.address_lo[row]))
                if exporter in self.exporters:
                    self.exporters[exporter].counts["malformed"] += 1
        for element, number in result.unknown_elements.items():
            if element in self.unknown_elements or len(self.unknown_elements) < MAX_ELEMENTS:
                self.unknown_elements[element] += number
            else:
                self.counts["unknown_elements_uncounted"] += number

    def count(self, exporter: Exporter, word: str, number: int) -> None:
        """Count something that happened to an exporter, if it is known."""
        if exporter in self.exporters:
            self.exporters[exporter].counts[word] += number

    def expire(self, now_ms: int) -> None:
        """Drop what waited too long, and templates past their time."""
        for exporter in self.exporters.values():
            too_old = exporter.room.waiting_since(now_ms - self.limits.waiting_ms)
            self._take_out(too_old)
            self.counts["waiting_sets_expired"] += len(too_old)
            if self.limits.template_ms:
                self._expire_templates(exporter, now_ms - self.limits.template_ms)

    def scopes(self) -> Iterator[tuple[Scope, SequenceState]]:
        """Yield every scope with its sequence numbers."""
        for state in self.exporters.values():
            yield from state.sequences.items()

    def restore_sequence(self, scope: Scope, sequence: SequenceState, now_ms: int) -> None:
        """Take a scope's sequence numbers over from before a restart."""
        self._commit_sequence(scope, sequence, now_ms)
        self._state(scope.exporter).skew_ms = 0

    def _open(self, exporter: Exporter, now_ms: int) -> ExporterState:
        state = self.exporters.get(exporter)
        if state is None:
            if len(self.exporters) >= self.limits.exporters:
                self._forget_exporter()
            state = self.exporters[exporter] = ExporterState()
            self.appeared.append(exporter)
        state.last_seen_ms = now_ms
        self.exporters.move_to_end(exporter)
        return state

    def _forget_exporter(self) -> None:
        """Let the exporter unheard of for the longest time go."""
        _, gone = self.exporters.popitem(last=False)
        self.octets -= gone.octets
        self._forget_scopes(gone.sequences)
        self.counts["exporters_forgotten"] += 1

    def _forget_scopes(self, scopes: Iterable[Scope]) -> None:
        for scope in scopes:
            self.changed.discard(scope)
            if scope in self._reported:
                self._forgotten.add(scope)

    def _grow(self, state: ExporterState, octets: int) -> None:
        state.octets += octets
        self.octets += octets

    def take_changes(self) -> tuple[set[Scope], set[Scope]]:
        """Return the scopes whose sequence numbers changed since the last call, and those that are
        forgotten and were returned once before.
        """
        changed, forgotten = self.changed, self._forgotten - self.changed
        self.changed, self._forgotten = set(), set()
        self._reported |= changed
        self._reported -= forgotten
        return changed, forgotten

    def _commit_sequence(self, scope: Scope, sequence: SequenceState, now_ms: int) -> None:
        state = self._open(scope.exporter, now_ms)
        before = state.sequences.get(scope, _NOT_SEEN)
        for word in ("lost", "datagrams", "restarts", "late"):
            state.counts[word] += getattr(sequence, word) - getattr(before, word)
        state.skew_ms = sequence.export_ms - now_ms
        if before is _NOT_SEEN:
            self._grow(state, _OCTETS_PER_SCOPE)
        state.sequences[scope] = sequence
        state.sequences.move_to_end(scope)
        self.changed.add(scope)
        if len(state.sequences) > self.limits.scopes:
            forgotten, _ = state.sequences.popitem(last=False)
            self._grow(state, -_OCTETS_PER_SCOPE)
            self._forget_scopes([forgotten])
            self.counts["scopes_forgotten"] += 1

    def learn_template(self, change: TemplateChange, now_ms: int) -> None:
        """Remember a template, in the place of the one that its session had under this number."""
        scope, template = change.scope, change.template
        state = self._open(scope.exporter, now_ms)
        key = (scope, template.template_id)
        before = state.templates.get(key)
        if before is not None and before.template == template:
            template = before.template
        else:
            self.counts["templates_new" if before is None else "templates_changed"] += 1
            self.news += 1
        if before is not None:
            self._forget_template(state, key)
        known = KnownTemplate(scope, template, now_ms)
        state.templates[key] = known
        state.newest[scope.family, template.template_id] = known
        state.template_fields += len(template.fields)
        self._grow(state, _template_octets(template))
        while len(state.templates) > self.limits.templates or (
            state.template_fields > self.limits.template_fields and len(state.templates) > 1
        ):
            self._forget_template(state, next(iter(state.templates)))
            self.counts["templates_forgotten"] += 1

    def _forget_template(self, state: ExporterState, key: tuple[Scope, int]) -> None:
        known = state.templates.pop(key)
        state.template_fields -= len(known.template.fields)
        self._grow(state, -_template_octets(known.template))
        newest = (key[0].family, key[1])
        if state.newest.get(newest) is known:
            del state.newest[newest]

    def _expire_templates(self, state: ExporterState, before_ms: int) -> None:
        old = [key for key, known in state.templates.items() if known.announced_ms < before_ms]
        for key in old:
            self._forget_template(state, key)
            self.counts["templates_expired"] += 1

    def learn_sampling(
        self, exporter: Exporter, version: int, sampling: Sampling, now_ms: int
    ) -> None:
        """Remember what the options records of an exporter told."""
        state = self._open(exporter, now_ms)
        before = state.sampling_of.get(version, _NOTHING_KNOWN)
        self._grow(state, _OCTETS_PER_SUBJECT * (len(sampling.told) - len(before.told)))
        state.sampling_of[version] = sampling
        self.news += 1

    def learn_name(self, fact: NameFact, now_ms: int) -> None:
        """Remember the name of an application or interface."""
        state = self._open(fact.exporter, now_ms)
        key, names = (fact.kind, fact.number), (fact.name, fact.description)
        before = state.names.get(key)
        if before is None and len(state.names) >= self.limits.names:
            self.counts["names_refused"] += 1
            return
        if before != names:
            self._grow(state, _name_octets(names) - (_name_octets(before) if before else 0))
            state.names[key] = names
            self.news += 1

    # The waiting room.

    def _let_wait(self, waiting: WaitingSet, now_ms: int) -> None:
        state = self._open(waiting.scope.exporter, now_ms)
        size = waiting_octets(waiting)
        if state.room.octets + size > self.limits.waiting_octets:
            self.counts["waiting_sets_refused"] += 1
            return
        state.room.let_in(waiting)
        self._grow(state, size)
        self.counts["waiting_sets_kept"] += 1

    def _take_out(self, gone: Sequence[WaitingSet]) -> None:
        for waiting in gone:
            state = self.exporters.get(waiting.scope.exporter)
            if state is not None and state.room.take_out(waiting):
                self._grow(state, -waiting_octets(waiting))


def _template_octets(template: Template) -> int:
    return _OCTETS_PER_TEMPLATE + _OCTETS_PER_FIELD * len(template.fields)


def _name_octets(names: tuple[str, str]) -> int:
    return _OCTETS_PER_NAME + len(names[0]) + len(names[1])
