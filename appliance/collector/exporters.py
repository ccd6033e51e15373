"""What the collector knows of its exporters: templates, sampling, sequence numbers, names, and
what waits.

`ExporterStates` answers decoders and commits what they found. Everything in it that a sender can
grow has a limit in `ExporterLimits` and a counter for what happens there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from appliance.collector.exporter_state import ExporterLimits, ExporterState, KnownTemplate
from appliance.collector.exporter_templates import ExporterTemplates
from appliance.collector.flow_durations import FlowDurations
from appliance.collector.pending_sets import waiting_octets
from appliance.collector.sessions import SessionState
from appliance.collector.totals_check import TotalsCheck
from appliance.decoding.export_totals import is_counted_by
from appliance.decoding.messages.session_numbers import is_connection
from appliance.decoding.results import DecodeResult, Element, Exporter, NameFact, WaitingSet
from appliance.decoding.sampling.knowledge import NOTHING_TOLD, Sampling
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.template import Template
from appliance.decoding.templates.timeline import Senders, Session, SessionDomain

_NOT_SEEN = SequenceState()
_COUNTED = ("lost", "datagrams", "restarts", "late")

MAX_ELEMENTS = 1024
"""Unknown elements that are counted by name; more are counted together."""

_OCTETS_PER_SCOPE, _OCTETS_PER_SUBJECT, _OCTETS_PER_NAME = 600, 200, 300
_OCTETS_PER_SESSION, _OCTETS_PER_TOTALS = 1700, 700

MAX_TOTALS = 16
"""Scopes of an exporter whose own totals are compared; the one silent for longest gives way."""


class ExporterStates(ExporterTemplates):
    """All exporters; implements `appliance.decoding.results.DecoderState`."""

    def __init__(
        self, limits: ExporterLimits, is_named: Callable[[Exporter], bool] = lambda _: False
    ) -> None:
        """Know nobody yet; see `ExporterPlaces`."""
        super().__init__(limits, is_named)
        self.unknown_elements: Counter[Element] = Counter()

    # What decoders ask.

    def borrow_template(
        self, scope: SessionDomain, template_id: int, senders: Senders
    ) -> Template | None:
        """Return the template of this domain and identifier that another session lends.

        Where no session told one here, another collector may have heard it.
        """
        if scope.is_connection:
            return None
        key = scope.family, template_id
        state = self._state(scope.exporter)
        known = state.tellers.get(key)
        if not known:
            return self.templates_of_others.get(key)
        newest_first = ((port, known[port].template) for port in reversed(known))
        return state.lend(newest_first, scope.session, senders)

    def sampling(self, session: Session, version: int) -> Sampling:
        """Return what the options records of a session told in messages of this version."""
        state = self._state(session[:2])
        return state.sampling_of.get((version, session[2]), NOTHING_TOLD)

    def borrow_sampling(self, session: Session, version: int, senders: Senders) -> Sampling:
        """Return what the options records of another session told, where it lends that."""
        state = self._state(session[:2])
        if not state.sampling_of or is_connection(session[2]):
            return NOTHING_TOLD
        newest_first = (
            (port, state.sampling_of[of_version, port])
            for of_version, port in reversed(state.sampling_of)
            if of_version == version
        )
        return state.lend(newest_first, session, senders) or NOTHING_TOLD

    def borrow_sampling_of_others(self, session: Session, version: int) -> Sampling:
        """Return what other collectors were told by this address, where they agree."""
        if is_connection(session[2]):
            return NOTHING_TOLD
        return self.sampling_of_others.get((session[:2], version), NOTHING_TOLD)

    def borrowed_sampling(self, exporter: Exporter) -> Sampling:
        """Return what others were told by an exporter, in all protocols that it speaks here."""
        versions = sorted({session.version for session in self._state(exporter).sessions.values()})
        told = (
            self.sampling_of_others.get((exporter, version), NOTHING_TOLD).told
            for version in versions
        )
        return Sampling({subject: rate for part in told for subject, rate in part.items()})

    def sequence(self, scope: SessionDomain) -> SequenceState:
        """Return where the sequence numbers of a scope stand."""
        return self._state(scope.exporter).sequences.get(scope, _NOT_SEEN)

    def waiting(self, scope: SessionDomain, template_id: int) -> Sequence[WaitingSet]:
        """Return the Data Sets of a scope that wait for a template."""
        return self._state(scope.exporter).pending.waiting(scope, template_id)

    # What the collector commits.

    def commit(self, result: DecodeResult, now_ms: int) -> None:
        """Take over what a block changed; the order is that in which single datagrams would."""
        messages: dict[SessionDomain, int] = {}
        for scope, sequence in result.sequences.items():
            changes = self._commit_sequence(scope, sequence, now_ms)
            messages[scope] = changes["datagrams"]
            self._hear(scope, changes, now_ms)
        self._take_out(result.released)
        for scope in result.restarted:
            # Its templates may mean something else now.
            given_up = self._state(scope.exporter).pending.waiting_of(scope)
            self._take_out(given_up)
            self.counts["waiting_sets_given_up"] += len(given_up)
        for change in result.templates:
            if change.is_withdrawal:
                self.withdraw_template(change)
            else:
                self.learn_template(change, now_ms)
        for (session, version), sampling in result.sampling.items():
            self.learn_sampling(session, version, sampling, now_ms)
        for waiting in result.waiting:
            self._let_wait(waiting, now_ms)
        for name in result.names:
            self.learn_name(name, now_ms)
        self._commit_counts(result, now_ms)
        self._commit_totals(result, messages, now_ms)
        self.make_room()

    def _commit_counts(self, result: DecodeResult, now_ms: int) -> None:
        self.counts.update(result.counts)
        octets = ((scope, "message_octets", n) for scope, n in result.message_octets.items())
        tallies = ((scope, word, number) for (scope, word), number in result.tallies.items())
        for scope, word, number in chain(tallies, octets):
            state = self.open(scope.exporter, now_ms)
            state.counts[word] += number
            if scope.port in state.sessions:
                state.sessions[scope.port].counts[word] += number
        for sender, rate in result.rates.items():
            session = self._state(sender[:2]).sessions.get(sender[2])
            if session is not None:
                session.sampling_rate = rate
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

    def _commit_totals(
        self, result: DecodeResult, messages: Mapping[SessionDomain, int], now_ms: int
    ) -> None:
        """Compare what exporters say that they sent with what came."""
        for report in result.totals:
            state = self.open(report.scope.exporter, now_ms)
            check = state.totals.get(report.scope)
            if check is None:
                self.grow(state, _OCTETS_PER_TOTALS)
            has_restarted = report.scope in result.restarted
            if check is None or has_restarted or not check.note(report, now_ms):
                state.totals[report.scope] = TotalsCheck.begin(report, now_ms)
            state.totals.move_to_end(report.scope)
            if len(state.totals) > MAX_TOTALS:
                state.totals.popitem(last=False)
                self.grow(state, -_OCTETS_PER_TOTALS)
        for scope, number in messages.items():
            for teller, check in self._state(scope.exporter).totals.items():
                if is_counted_by(teller, scope):
                    records = result.tallies[scope, "records"]
                    check.arrive(result.message_octets[scope], number, records)

    def note_durations(self, session: Session, durations_ms: NDArray[np.int64]) -> None:
        """Take the durations of flow records of a session, if it is known."""
        known = self._state(session[:2]).sessions.get(session[2])
        if known is not None:
            known.durations = known.durations or FlowDurations()
            known.durations.add(durations_ms)

    def count(self, exporter: Exporter, word: str, number: int) -> None:
        """Count something that happened to an exporter, if it is known."""
        if exporter in self.exporters:
            self.exporters[exporter].counts[word] += number

    def expire(self, now_ms: int) -> None:
        """Drop what waited too long, and templates past their time."""
        for exporter in self.exporters.values():
            too_old = exporter.pending.waiting_since(now_ms - self.limits.waiting_ms)
            self._take_out(too_old)
            self.counts["waiting_sets_expired"] += len(too_old)
            if self.limits.template_ms:
                is_old = partial(_is_older, before_ms=now_ms - self.limits.template_ms)
                self.counts["templates_expired"] += self.forget_templates(exporter, is_old)

    def scopes(self) -> Iterator[tuple[SessionDomain, SequenceState]]:
        """Yield every scope with its sequence numbers."""
        for state in self.exporters.values():
            yield from state.sequences.items()

    def restore_sequence(self, scope: SessionDomain, sequence: SequenceState, now_ms: int) -> None:
        """Take a scope's sequence numbers over from before a restart.

        What they counted stays in them; the counts of the exporter begin again, as those of its
        records do.
        """
        seen_ms = self._state(scope.exporter).last_seen_ms
        changes = self._commit_sequence(scope, sequence, now_ms)
        state = self.exporters[scope.exporter]
        state.counts.subtract(changes)
        state.skew_ms, state.last_seen_ms = 0, seen_ms

    def _commit_sequence(
        self, scope: SessionDomain, sequence: SequenceState, now_ms: int
    ) -> Mapping[str, int]:
        """Take a scope's sequence numbers over; return what was counted since the last ones."""
        state = self.open(scope.exporter, now_ms)
        before = state.sequences.get(scope, _NOT_SEEN)
        changes = {word: getattr(sequence, word) - getattr(before, word) for word in _COUNTED}
        state.counts.update(changes)
        state.skew_ms = sequence.export_ms - now_ms
        if before is _NOT_SEEN:
            self.grow(state, _OCTETS_PER_SCOPE)
        state.sequences[scope] = sequence
        state.sequences.move_to_end(scope)
        self.changed.add(scope)
        if len(state.sequences) > self.limits.scopes:
            forgotten, _ = state.sequences.popitem(last=False)
            self.grow(state, -_OCTETS_PER_SCOPE)
            self.forget_scopes([forgotten])
            self.counts["scopes_forgotten"] += 1
        return changes

    def end_session(self, session: Session) -> None:
        """Forget what a connection told, as it is over; its figures stay (RFC 7011 section 8)."""
        state = self.exporters.get(session[:2])
        if state is None:
            return
        number = session[2]
        self.forget_templates(state, lambda known: known.scope.port == number)
        self._forget_sampling(state, number)
        for scope in [scope for scope in state.sequences if scope.port == number]:
            del state.sequences[scope]
            self.grow(state, -_OCTETS_PER_SCOPE)
            self.forget_scopes([scope])
        for scope in [scope for scope in state.totals if scope.port == number]:
            del state.totals[scope]
            self.grow(state, -_OCTETS_PER_TOTALS)
        known = state.sessions.get(number)
        if known is not None:
            known.is_over = True
            self._forget_names(state, known)

    def learn_sampling(
        self, session: Session, version: int, sampling: Sampling, now_ms: int
    ) -> None:
        """Remember what the options records of a session told."""
        state, key = self.open(session[:2], now_ms), (version, session[2])
        self.open_session(session, now_ms, now_ms)
        before = state.sampling_of.pop(key, NOTHING_TOLD)
        self._count_subjects(state, len(sampling.told) - len(before.told))
        state.sampling_of[key] = sampling
        self.news += not is_connection(session[2])
        while state.n_subjects > self.limits.subjects and len(state.sessions) > 1:
            self._forget_session(state)

    def learn_name(self, fact: NameFact, now_ms: int) -> None:
        """Remember the name of an application or interface."""
        state = self.open(fact.session[:2], now_ms)
        known = self.open_session(fact.session, now_ms, now_ms).names
        key, names = (fact.kind, fact.number), (fact.name, fact.description)
        before = known.get(key)
        if before is None and state.n_names >= self.limits.names:
            self.counts["names_refused"] += 1
            return
        if before != names:
            self.grow(state, _name_octets(names) - (_name_octets(before) if before else 0))
            state.n_names += before is None
            known[key] = names
            self.news += not is_connection(fact.session[2])

    def open_session(self, session: Session, first_ms: int, last_ms: int) -> SessionState:
        """Return a session; one that is new was heard at these times."""
        state, port = self.open(session[:2], last_ms), session[2]
        known = state.sessions.get(port)
        if known is None:
            known = state.sessions[port] = SessionState(first_ms, last_ms)
            self.grow(state, _OCTETS_PER_SESSION)
            if len(state.sessions) > self.limits.sessions:
                self._forget_session(state)
        return known

    def _hear(self, scope: SessionDomain, changes: Mapping[str, int], now_ms: int) -> None:
        session = self.open_session(scope.session, now_ms, now_ms)
        session.last_ms, session.version = now_ms, scope.version
        session.clock_skew_ms = self.exporters[scope.exporter].skew_ms
        if changes["restarts"] > 0:
            session.restart_ms = now_ms
        session.counts.update(changes)
        self.exporters[scope.exporter].sessions.move_to_end(scope.port)

    def _forget_session(self, state: ExporterState) -> None:
        """Let the session unheard of for the longest time go; templates have their own limit."""
        port, gone = state.sessions.popitem(last=False)
        self._forget_sampling(state, port)
        self._forget_names(state, gone)
        self.grow(state, -_OCTETS_PER_SESSION)
        self.counts["sessions_forgotten"] += 1

    def _forget_sampling(self, state: ExporterState, port: int) -> None:
        for key in [key for key in state.sampling_of if key[1] == port]:
            self._count_subjects(state, -len(state.sampling_of.pop(key).told))

    def _forget_names(self, state: ExporterState, session: SessionState) -> None:
        state.n_names -= len(session.names)
        self.grow(state, -sum(map(_name_octets, session.names.values())))
        session.names.clear()

    def _count_subjects(self, state: ExporterState, number: int) -> None:
        state.n_subjects += number
        self.grow(state, _OCTETS_PER_SUBJECT * number)

    # Pending Sets.

    def _let_wait(self, waiting: WaitingSet, now_ms: int) -> None:
        state = self.open(waiting.scope.exporter, now_ms)
        size = waiting_octets(waiting)
        if state.pending.octets + size > self.limits.waiting_octets:
            self.counts["waiting_sets_refused"] += 1
            return
        state.pending.add(waiting)
        self.grow(state, size)
        self.counts["waiting_sets_kept"] += 1

    def _take_out(self, gone: Sequence[WaitingSet]) -> None:
        for waiting in gone:
            state = self.exporters.get(waiting.scope.exporter)
            if state is not None and state.pending.remove(waiting):
                self.grow(state, -waiting_octets(waiting))


def _is_older(known: KnownTemplate, before_ms: int) -> bool:
    # RFC 7011 section 8.1: over a connection a template is not repeated; it lasts as long as that.
    return known.announced_ms < before_ms and not known.scope.is_connection


def _name_octets(names: tuple[str, str]) -> int:
    return _OCTETS_PER_NAME + len(names[0]) + len(names[1])
