"""What a collector tells others of sampling, and what it makes of what they told."""

from __future__ import annotations

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.other_collectors import told_applications, told_sampling
from appliance.contracts import SavedApplication, SavedSampling
from appliance.decoding.messages.session_numbers import Transport, connection_number
from appliance.decoding.results import NameFact
from appliance.decoding.sampling.knowledge import (
    Learning,
    Sampling,
    SamplingFact,
    Subject,
    with_facts,
)

EXPORTER = (0, 0xFFFF_C000_0201)
CONNECTION = connection_number(1, Transport.TCP, 2000)
HERE, THERE = Subject("selector", 7, 1), Subject("selector", 8, 1)


def sampling(**rates: float) -> Sampling:
    subjects = {"here": HERE, "there": THERE}
    return with_facts(Sampling(), [SamplingFact(subjects[at], rate) for at, rate in rates.items()])


def told(*sessions: tuple[int, int, int, float]) -> list[float]:
    """Return the rates that are told where sessions (port, heard first, last) told others."""
    states = ExporterStates(ExporterLimits())
    for port, first_ms, last_ms, rate in sessions:
        session = (*EXPORTER, port)
        states.open_session(session, first_ms, last_ms)
        states.learn_sampling(session, 9, sampling(here=rate), last_ms)
    return [saved.rate for saved in told_sampling(states)]


def test_sampling_when_told_then_by_exporter_and_subject_and_nothing_else() -> None:
    states = ExporterStates(ExporterLimits())
    facts = [
        SamplingFact(HERE, 100.0),
        SamplingFact(Subject("init", 7), 1_700_000_000_000),
        SamplingFact(Subject("exporter", 7), 1 << 100),
    ]
    states.learn_sampling((*EXPORTER, 2000), 9, with_facts(Sampling(), facts), 1)
    assert list(told_sampling(states)) == [SavedSampling("192.0.2.1", 7, 9, "selector", 1, 100.0)]


def test_sampling_when_sessions_differ_then_told_only_where_one_followed_the_other() -> None:
    assert told((2000, 0, 500, 100.0), (3000, 100, 600, 100.0)) == [100.0]
    assert told((2000, 0, 500, 100.0), (3000, 501, 600, 200.0)) == [200.0]
    assert told((3000, 501, 600, 200.0), (2000, 0, 500, 100.0)) == [200.0]
    assert told((2000, 0, 501, 100.0), (3000, 501, 600, 200.0)) == []
    assert told((CONNECTION, 0, 500, 100.0)) == []


def test_names_when_told_then_those_of_applications_by_session() -> None:
    states = ExporterStates(ExporterLimits())
    for kind, number, name in (("application", 9, "webex"), ("interface", 1, "eth0")):
        states.learn_name(NameFact((*EXPORTER, 2000), kind, number, name, ""), 1)
    assert list(told_applications(states)) == [SavedApplication("192.0.2.1", 2000, 9, "webex")]


def test_sampling_of_others_when_asked_for_then_of_the_same_domain_and_after_the_own() -> None:
    def rate(own: Sampling, of_others: Sampling, subject: Subject = HERE) -> float | None:
        return Learning(own, None, of_others).value(subject, 0)

    nothing = Sampling()
    others = Sampling({HERE: 512.0})
    assert rate(nothing, others) == 512.0
    assert rate(nothing, others, THERE) is None
    assert rate(sampling(here=64.0), others) == 64.0
    # What the exporter told here of another domain is a guess.
    assert rate(sampling(there=64.0), others) == 512.0
    assert rate(sampling(here=64.0), others, THERE) == 64.0


def test_sampling_of_others_when_over_a_connection_then_none() -> None:
    states = ExporterStates(ExporterLimits())
    states.sampling_of_others = {(EXPORTER, 9): Sampling({HERE: 512.0})}
    assert states.borrow_sampling_of_others((*EXPORTER, 2000), 9).told == {HERE: 512.0}
    assert not states.borrow_sampling_of_others((*EXPORTER, 2000), 10).told
    assert not states.borrow_sampling_of_others((*EXPORTER, CONNECTION), 9).told
