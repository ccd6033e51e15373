"""What is known of exporters: commits, limits, and what gives way."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.collector import exporters
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pending_sets import PendingSets
from appliance.collector.sessions import SILENCE_MS
from appliance.decoding.messages.faults import Fault
from appliance.decoding.results import DecodeResult, NameFact, WaitingSet
from appliance.decoding.sampling.knowledge import Sampling, SamplingFact, Subject, with_facts
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.decoding.templates.timeline import Senders, SessionDomain, TemplateChange

NOW = 1_700_000_000_000


def scope(exporter: int = 1, port: int = 2000, domain: int = 0, version: int = 9) -> SessionDomain:
    return SessionDomain(0, exporter, port, domain, version)


def template(number: int = 300, n_fields: int = 1) -> Template:
    return Template(number, tuple(FieldSpecifier(1 + n, 4) for n in range(n_fields)))


def announce(states: ExporterStates, of: SessionDomain, made: Template, now: int = NOW) -> None:
    states.learn_template(TemplateChange(of, made, 0), now)


def waiting(
    of: SessionDomain, set_id: int = 300, octets: int = 100, received: int = NOW
) -> WaitingSet:
    return WaitingSet(of, set_id, bytes(octets), received, 0, NOW, 0)


def known_at_once(**limits: int) -> ExporterStates:
    """Return states in which every exporter is named by the settings."""
    return ExporterStates(ExporterLimits(**limits), lambda _: True)


def heard(states: ExporterStates, *of: SessionDomain, now: int = NOW, **known: Any) -> None:
    state = SequenceState(datagrams=1, **known)
    states.commit(DecodeResult(sequences=dict.fromkeys(of, state)), now)


LATER = NOW + SILENCE_MS


def lent(
    states: ExporterStates, to: SessionDomain, now: int = LATER, *speak: SessionDomain
) -> Template | None:
    """Return the template 300 that a session is lent in a block that it sends at a time."""
    senders = Senders(frozenset(of.session for of in (to, *speak)), now)
    return states.borrow_template(to, 300, senders)


def test_template_when_announced_then_own_and_lent_within_its_domain_and_version() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope())
    announce(states, scope(), template())
    assert states.own_template(scope(), 300) == template()
    assert states.own_template(scope(exporter=2), 300) is None
    assert lent(states, scope(port=9)) == template()
    assert lent(states, scope(port=9, domain=1)) is None
    assert lent(states, scope(port=9, version=10)) is None
    assert lent(states, scope(exporter=2, port=9)) is None


def test_template_when_its_session_still_speaks_then_not_lent() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope())
    announce(states, scope(), template())
    assert lent(states, scope(port=9), LATER - 1) is None
    assert lent(states, scope(port=9), LATER, scope()) is None


def test_template_when_its_session_spoke_after_the_other_began_then_never_lent() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope())
    announce(states, scope(), template())
    heard(states, scope(port=9), now=NOW + 10)
    assert lent(states, scope(port=9)) == template()
    heard(states, scope(), now=NOW + 20)
    assert lent(states, scope(port=9), LATER + 10**9) is None


def test_template_when_sessions_that_followed_each_other_told_it_then_the_last_lends() -> None:
    states = ExporterStates(ExporterLimits())
    for port in (2000, 2001):
        heard(states, scope(port=port), now=NOW + port)
        announce(states, scope(port=port), template(n_fields=port - 1999), NOW + port)
    assert lent(states, scope(port=9), LATER + 2001) == template(n_fields=2)


def test_template_when_sessions_of_one_time_told_different_ones_then_none_lends() -> None:
    states = ExporterStates(ExporterLimits())
    for now, port in enumerate((2000, 2001, 2000)):
        heard(states, scope(port=port), now=NOW + now)
        announce(states, scope(port=port), template(n_fields=port - 1999), NOW + now)
    assert lent(states, scope(port=9), LATER + 2) is None
    announce(states, scope(port=2001), template(n_fields=1), NOW + 2)
    assert lent(states, scope(port=9), LATER + 2) == template(n_fields=1)


def test_sampling_when_another_session_told_it_then_lent_only_while_that_is_silent() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope())
    told = with_facts(Sampling(), [SamplingFact(Subject("domain", 0), 10)])
    states.learn_sampling(scope().session, 9, told, NOW)
    new = scope(port=9).session
    assert states.borrow_sampling(new, 9, Senders(frozenset({new}), LATER)) == told
    assert states.borrow_sampling(new, 10, Senders(frozenset({new}), LATER)) == Sampling()
    assert states.borrow_sampling(new, 9, Senders(frozenset({new}), LATER - 1)) == Sampling()


def test_sessions_when_too_many_then_the_one_unheard_of_goes_with_what_it_told() -> None:
    states = ExporterStates(ExporterLimits(sessions=2))
    for port in (1, 2, 1, 3):
        heard(states, scope(port=port))
        told = with_facts(Sampling(), [SamplingFact(Subject("domain", port), 10)])
        states.learn_sampling(scope(port=port).session, 9, told, NOW)
        states.learn_name(NameFact(scope(port=port).session, "interface", 1, "a", ""), NOW)
    state = states.exporters[0, 1]
    assert list(state.sessions) == [1, 3]
    assert {port for _, port in state.sampling_of} == {1, 3}
    assert state.n_names == 2
    assert states.counts["sessions_forgotten"] == 1
    for port in (4, 5):
        heard(states, scope(port=port))
    assert (state.n_names, state.n_subjects) == (0, 0)


def test_options_facts_when_sessions_told_too_many_then_the_one_unheard_of_goes() -> None:
    states = ExporterStates(ExporterLimits(subjects=30))
    for port in (1, 2):
        heard(states, scope(port=port))
        facts = [SamplingFact(Subject("selector", 0, number), 10) for number in range(8)]
        states.learn_sampling(scope(port=port).session, 9, with_facts(Sampling(), facts), NOW)
    assert list(states.exporters[0, 1].sessions) == [2]


def test_template_when_repeated_then_neither_new_nor_changed() -> None:
    states = ExporterStates(ExporterLimits())
    for made in (template(), template(), template(n_fields=2)):
        announce(states, scope(), made)
    assert states.counts == {"templates_new": 1, "templates_changed": 1}
    assert states.news == 2


@pytest.mark.parametrize(
    "limits", [ExporterLimits(templates=3), ExporterLimits(template_fields=30)]
)
def test_templates_when_too_many_then_the_one_announced_longest_ago_goes(
    limits: ExporterLimits,
) -> None:
    states = ExporterStates(limits)
    for number in (300, 301, 302, 300, 303):
        announce(states, scope(), template(number, 10))
    known = [number for number in (300, 301, 302, 303) if states.own_template(scope(), number)]
    assert known == [300, 302, 303]
    assert {number for _, number in states.exporters[0, 1].tellers} == {300, 302, 303}
    assert states.counts["templates_forgotten"] == 1


def test_templates_when_not_repeated_for_longer_than_allowed_then_forgotten() -> None:
    states = ExporterStates(ExporterLimits(template_ms=1000))
    announce(states, scope(), template(300), NOW)
    announce(states, scope(), template(301), NOW + 600)
    states.expire(NOW + 1100)
    assert states.own_template(scope(), 300) is None
    assert states.own_template(scope(), 301) is not None
    assert states.counts["templates_expired"] == 1


def test_exporters_when_too_many_then_the_one_unheard_of_goes() -> None:
    states = known_at_once(exporters=2, newcomers=0)
    for exporter in (1, 2, 1, 3):
        heard(states, scope(exporter))
    assert [lo for _, lo in states.exporters] == [1, 3]
    assert states.counts["exporters_forgotten"] == 1
    assert states.appeared == [(0, 1), (0, 2), (0, 3)]


def test_scopes_when_too_many_then_the_one_unheard_of_goes() -> None:
    states = ExporterStates(ExporterLimits(scopes=2))
    for port in (1, 2, 1, 3):
        heard(states, scope(port=port), last=port)
    assert states.sequence(scope(port=1)).last == 1
    assert states.sequence(scope(port=2)).last == 0
    assert states.counts["scopes_forgotten"] == 1


def test_memory_when_all_exporters_take_too_much_then_the_ones_unheard_of_go() -> None:
    states = known_at_once(octets=100_000)
    for exporter in range(20):
        made = TemplateChange(scope(exporter), template(n_fields=100), 0)
        states.commit(DecodeResult(templates=[made]), NOW)
    assert states.octets <= 100_000
    assert 5 < len(states.exporters) < 20
    assert (0, 19) in states.exporters
    assert states.octets == sum(state.octets for state in states.exporters.values())


def test_memory_when_one_exporter_takes_it_all_then_its_own_limits_hold() -> None:
    states = ExporterStates(ExporterLimits(octets=1, templates=4))
    for number in range(256, 300):
        made = TemplateChange(scope(), template(number), 0)
        states.commit(DecodeResult(templates=[made]), NOW)
    assert len(states.exporters[0, 1].templates) == 4


def test_octets_when_everything_comes_and_goes_then_back_to_nothing() -> None:
    states = ExporterStates(ExporterLimits(template_ms=1, waiting_ms=1))
    told = with_facts(Sampling(), [SamplingFact(Subject("domain", 0), 10)])
    result = DecodeResult(
        templates=[TemplateChange(scope(), template(n_fields=3), 0)],
        waiting=[waiting(scope(), 301)],
        sampling={(scope().session, 9): told},
        sequences={scope(): SequenceState(datagrams=1)},
    )
    heard(states, scope())
    states.open_session(scope().session, NOW, NOW)
    nothing = states.octets
    states.commit(result, NOW)
    before = states.octets
    states.commit(result, NOW + 5)  # repeated: only the second waiting Set is more
    assert before < states.octets < before + 1000
    states.expire(NOW + 10_000)
    states.learn_sampling(scope().session, 9, Sampling(), NOW)
    assert states.octets == states.exporters[0, 1].octets == nothing


def test_names_when_too_many_then_refused_but_known_ones_change() -> None:
    states = ExporterStates(ExporterLimits(names=2))
    for number, name in ((1, "a"), (2, "b"), (3, "c"), (1, "d")):
        states.learn_name(NameFact((0, 1, 2000), "interface", number, name, ""), NOW)
    assert states.exporters[0, 1].sessions[2000].names == {
        ("interface", 1): ("d", ""), ("interface", 2): ("b", "")
    }  # fmt: skip
    assert states.counts["names_refused"] == 1


def test_pending_sets_when_full_then_refused_and_counted() -> None:
    states = ExporterStates(ExporterLimits(waiting_octets=2000))
    states.commit(DecodeResult(waiting=[waiting(scope()) for _ in range(3)]), NOW)
    assert len(states.waiting(scope(), 300)) == 2
    assert states.counts["waiting_sets_refused"] == 1


def test_waiting_sets_when_too_old_then_dropped_and_counted() -> None:
    states = ExporterStates(ExporterLimits(waiting_ms=1000))
    sets = [waiting(scope(), received=NOW), waiting(scope(), received=NOW + 900)]
    states.commit(DecodeResult(waiting=sets), NOW)
    states.expire(NOW + 1500)
    assert [w.received_ms for w in states.waiting(scope(), 300)] == [NOW + 900]
    assert states.counts["waiting_sets_expired"] == 1


def test_waiting_sets_when_their_scope_restarts_then_given_up_but_not_what_was_released() -> None:
    states = ExporterStates(ExporterLimits())
    sets = [waiting(scope(), 300), waiting(scope(), 301), waiting(scope(port=2001), 300)]
    states.commit(DecodeResult(waiting=sets), NOW)
    first = states.waiting(scope(), 300)[0]
    states.commit(DecodeResult(released=[first], restarted=[scope()]), NOW)
    assert states.counts["waiting_sets_given_up"] == 1
    assert not states.waiting(scope(), 300)
    assert len(states.waiting(scope(port=2001), 300)) == 1
    assert not states.waiting(scope(), 301)


def test_pending_sets_when_sets_leave_then_nothing_is_left_behind() -> None:
    pending = PendingSets()
    for set_id in (300, 301, 300):
        pending.add(waiting(scope(), set_id))
    assert len(pending) == 3
    assert [w.serial for w in pending.waiting(scope(), 300)] == [1, 3]
    for found in pending.waiting_of(scope()):
        assert pending.remove(found)
        assert not pending.remove(found)
    assert (len(pending), pending.octets) == (0, 0)
    assert not pending._of_template
    assert not pending._of_scope


def test_changes_when_taken_then_each_once_and_forgotten_only_what_was_told() -> None:
    states = known_at_once(exporters=1, newcomers=0)
    heard(states, scope(1))
    assert states.take_changes() == ({scope(1)}, set())
    heard(states, scope(2))
    heard(states, scope(3))  # 2 was never told
    assert states.take_changes() == ({scope(3)}, {scope(1)})
    assert states.take_changes() == (set(), set())
    heard(states, scope(1))
    heard(states, scope(3))
    assert states.take_changes() == ({scope(3)}, set())


def test_counts_when_committed_then_of_the_exporter_and_of_all() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope(), lost=5, restarts=1, late=2)
    heard(states, scope(), lost=7, restarts=1, late=2)
    counts = states.exporters[0, 1].counts
    assert (counts["lost"], counts["restarts"], counts["late"]) == (7, 1, 2)
    states.commit(DecodeResult(faults=[Fault(0, "set_length", "?")]), NOW)
    assert states.counts["malformed_set_length"] == 1


def test_unknown_elements_when_too_many_then_counted_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporters, "MAX_ELEMENTS", 2)
    states = ExporterStates(ExporterLimits())
    for element in (1, 2, 3, 1):
        result = DecodeResult()
        result.unknown_elements[9, element] += 5
        states.commit(result, NOW)
    assert states.unknown_elements == {(9, 1): 10, (9, 2): 5}
    assert states.counts["unknown_elements_uncounted"] == 5


def test_sampling_when_of_two_protocols_then_each_has_its_own_and_both_are_shown() -> None:
    states = ExporterStates(ExporterLimits())
    for version, rate in ((9, 10), (10, 20)):
        told = with_facts(Sampling(), [SamplingFact(Subject("domain", version), rate)])
        states.learn_sampling(scope().session, version, told, NOW)
    assert states.sampling(scope().session, 9).by_domain == {9: 10}
    assert states.exporters[0, 1].sampling().by_domain == {9: 10, 10: 20}


def test_skew_when_a_header_comes_then_by_how_much_it_is_ahead() -> None:
    states = ExporterStates(ExporterLimits())
    heard(states, scope(), export_ms=NOW + 5000)
    assert states.exporters[0, 1].skew_ms == 5000
    states.restore_sequence(scope(2), SequenceState(export_ms=5), NOW)
    assert states.exporters[0, 2].skew_ms == 0
