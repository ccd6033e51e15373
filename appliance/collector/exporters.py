"""What the collector knows of its exporters: templates, sampling, sequence numbers, names, and
what waits.

`ExporterStates` answers decoders and commits what they found. Everything in it that a sender can
grow has a limit in `ExporterLimits` and a counter for what happens there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
    templates
        Templates of one exporter; the one announced longest ago gives way.
    waiting_octets, waiting_ms
        Data Sets of one exporter that wait for their template: octets, and for how long.
    names
        Application and interface names of one exporter, each; more are not learned.
    template_ms
        A template that was not announced for so long is forgotten; 0: never.
    """

    exporters: int = 1024
    scopes: int = 4096
    templates: int = 4096
    waiting_octets: int = 1_000_000
    waiting_ms: int = 1_800_000
    names: int = 65_536
    template_ms: int = 0


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
    templates
        By scope and identifier, in the order of their announcement.
    newest
        By domain and identifier: the newest of any session.
    counts
        What happened, by fixed words: datagrams, records, faults by reason.
    skew_ms
        By how much the clock of its last header was ahead of ours.
    """

    sampling: Sampling = _NOTHING_KNOWN
    templates: OrderedDict[tuple[Scope, int], KnownTemplate] = field(default_factory=OrderedDict)
    newest: dict[tuple[int, int], KnownTemplate] = field(default_factory=dict)
    sequences: OrderedDict[Scope, SequenceState] = field(default_factory=OrderedDict)
    waiting: dict[tuple[Family, int], list[WaitingSet]] = field(default_factory=dict)
    waiting_octets: int = 0
    names: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last_seen_ms: int = 0
    skew_ms: int = 0


_UNHEARD = ExporterState()
MAX_ELEMENTS = 1024
"""Unknown elements that are counted by name; more are counted together."""

_WAITING_OVERHEAD = 200


class ExporterStates:
    """All exporters; implements `appliance.decoding.results.DecoderState`.

    Attributes
    ----------
    changed
        Scopes whose sequence numbers changed since the caller last cleared this.
    forgotten
        Scopes that gave way to others since the caller last cleared this.
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
        self.forgotten: set[Scope] = set()
        self.appeared: list[Exporter] = []
        self.news = 0

    # What decoders ask.

    def own_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the template that this session announced."""
        known = self._state(scope.exporter).templates.get((scope, template_id))
        return None if known is None else known.template

    def newest_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the newest template of this address, domain and identifier."""
        known = self._state(scope.exporter).newest.get((scope.domain, template_id))
        return None if known is None else known.template

    def sampling(self, exporter: Exporter) -> Sampling:
        """Return the sampling rates that an exporter told."""
        return self._state(exporter).sampling

    def sequence(self, scope: Scope) -> SequenceState:
        """Return where the sequence numbers of a scope stand."""
        return self._state(scope.exporter).sequences.get(scope, _NOT_SEEN)

    def waiting(self, family: Family, template_id: int) -> Sequence[WaitingSet]:
        """Return the Data Sets that wait for a template."""
        return self._state(family[:2]).waiting.get((family, template_id), ())

    def _state(self, exporter: Exporter) -> ExporterState:
        return self.exporters.get(exporter, _UNHEARD)

    # What the collector commits.

    def commit(self, result: DecodeResult, now_ms: int) -> None:
        """Take over what a block changed; the order is that in which single datagrams would."""
        for scope, sequence in result.sequences.items():
            self._commit_sequence(scope, sequence, now_ms)
        for scope in result.restarted:
            self._give_up(scope)
        for waiting in result.released:
            self._take_out(waiting)
        for change in result.templates:
            self.learn_template(change, now_ms)
        for exporter, sampling in result.sampling.items():
            self.learn_sampling(exporter, sampling, now_ms)
        for waiting in result.waiting:
            self._let_wait(waiting, now_ms)
        for name in result.names:
            self.learn_name(name, now_ms)
        self._commit_counts(result, now_ms)

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
            for key in list(exporter.waiting):
                for waiting in [w for w in exporter.waiting[key] if self._too_old(w, now_ms)]:
                    self._take_out(waiting)
                    self.counts["waiting_sets_expired"] += 1
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
                _, gone = self.exporters.popitem(last=False)
                self.changed.difference_update(gone.sequences)
                self.forgotten.update(gone.sequences)
                self.counts["exporters_forgotten"] += 1
            state = self.exporters[exporter] = ExporterState()
            self.appeared.append(exporter)
        state.last_seen_ms = now_ms
        self.exporters.move_to_end(exporter)
        return state

    def _commit_sequence(self, scope: Scope, sequence: SequenceState, now_ms: int) -> None:
        state = self._open(scope.exporter, now_ms)
        before = state.sequences.get(scope, _NOT_SEEN)
        for word in ("lost", "datagrams", "restarts", "late"):
            state.counts[word] += getattr(sequence, word) - getattr(before, word)
        state.skew_ms = sequence.export_ms - now_ms
        state.sequences[scope] = sequence
        state.sequences.move_to_end(scope)
        self.changed.add(scope)
        if len(state.sequences) > self.limits.scopes:
            forgotten, _ = state.sequences.popitem(last=False)
            self.changed.discard(forgotten)
            self.forgotten.add(forgotten)
            self.counts["scopes_forgotten"] += 1

    def learn_template(self, change: TemplateChange, now_ms: int) -> None:
        """Remember a template, in the place of the one that its session had under this number."""
        scope, template = change.scope, change.template
        state = self._open(scope.exporter, now_ms)
        key = (scope, template.template_id)
        before = state.templates.pop(key, None)
        if before is not None and before.template == template:
            template = before.template
        else:
            self.counts["templates_new" if before is None else "templates_changed"] += 1
            self.news += 1
        known = KnownTemplate(scope, template, now_ms)
        state.templates[key] = known
        state.newest[scope.domain, template.template_id] = known
        if len(state.templates) > self.limits.templates:
            self._forget_template(state, next(iter(state.templates)))
            self.counts["templates_forgotten"] += 1

    def _forget_template(self, state: ExporterState, key: tuple[Scope, int]) -> None:
        known = state.templates.pop(key)
        newest = (key[0].domain, key[1])
        if state.newest.get(newest) is known:
            del state.newest[newest]

    def _expire_templates(self, state: ExporterState, before_ms: int) -> None:
        old = [key for key, known in state.templates.items() if known.announced_ms < before_ms]
        for key in old:
            self._forget_template(state, key)
            self.counts["templates_expired"] += 1

    def learn_sampling(self, exporter: Exporter, sampling: Sampling, now_ms: int) -> None:
        """Remember the sampling rates of an exporter."""
        self._open(exporter, now_ms).sampling = sampling
        self.news += 1

    def learn_name(self, fact: NameFact, now_ms: int) -> None:
        """Remember the name of an application or interface."""
        state = self._open(fact.exporter, now_ms)
        key = (fact.kind, fact.number)
        if key not in state.names and len(state.names) >= self.limits.names:
            self.counts["names_refused"] += 1
            return
        if state.names.get(key) != (fact.name, fact.description):
            state.names[key] = (fact.name, fact.description)
            self.news += 1

    # The waiting room.

    def _let_wait(self, waiting: WaitingSet, now_ms: int) -> None:
        state = self._open(waiting.scope.exporter, now_ms)
        size = len(waiting.body) + _WAITING_OVERHEAD
        if state.waiting_octets + size > self.limits.waiting_octets:
            self.counts["waiting_sets_refused"] += 1
            return
        state.waiting_octets += size
        state.waiting.setdefault((waiting.scope.family, waiting.set_id), []).append(waiting)
        self.counts["waiting_sets_kept"] += 1

    def _take_out(self, waiting: WaitingSet) -> None:
        state = self._state(waiting.scope.exporter)
        key = (waiting.scope.family, waiting.set_id)
        room = state.waiting.get(key, [])
        if waiting in room:
            room.remove(waiting)
            state.waiting_octets -= len(waiting.body) + _WAITING_OVERHEAD
        if not room:
            state.waiting.pop(key, None)

    def _give_up(self, scope: Scope) -> None:
        """Drop what waits of a scope that restarted: its templates may mean something else now."""
        state = self._state(scope.exporter)
        for key in [key for key in state.waiting if key[0] == scope.family]:
            for waiting in [w for w in state.waiting[key] if w.scope == scope]:
                self._take_out(waiting)
                self.counts["waiting_sets_given_up"] += 1

    def _too_old(self, waiting: WaitingSet, now_ms: int) -> bool:
        return waiting.received_ms < now_ms - self.limits.waiting_ms
