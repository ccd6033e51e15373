"""How an exporter is: from datagrams to the figures and sentences that people read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from appliance.collector.exporter_health import ExporterHealth, exporter_health
from appliance.collector.exporter_hints import exporter_hints
from appliance.collector.status import exporter_facts
from appliance.decoding.messages.block import Datagram
from appliance.settings.file import Settings, SettingsFile
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    IPFIX,
    RECEIVED_MS,
    UPTIME_MS,
    V9,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    number,
    template,
    v5,
    v5_record,
)
from tests.decoding.protocols import both, in_both_modes, one_option, one_record

MINUTE_MS = 60_000
OCTETS, MESSAGES, RECORDS = 40, 41, 42


def settings_of(**collector: Any) -> Settings:
    return SettingsFile(None, Path(), {"collector": collector} if collector else {}).settings()


def health_after(
    *sent: bytes | Datagram,
    now_ms: int = RECEIVED_MS,
    settings: Settings | None = None,
    one_by_one: bool = True,
    **status: Any,
) -> ExporterHealth:
    """Return how the exporter is that sent some datagrams."""
    facts = exporter_facts(decode(*sent, one_by_one=one_by_one).states, now_ms)
    # What a reader gets has been JSON.
    written = json.loads(json.dumps({"time_ms": now_ms, "exporters": facts, **status}))
    health = exporter_health(EXPORTER, written, settings or settings_of(), now_ms / 1000)
    assert health is not None
    return health


def at(payload: bytes, after_ms: int) -> Datagram:
    return datagram(payload, received_ms=RECEIVED_MS + after_ms)


def flows(protocol: Exporter, n: int, **header: Any) -> bytes:
    return protocol.message(
        protocol.templates(template(300, *BASIC)), a_set(300, basic() * n), **header
    )


@pytest.mark.parametrize(
    ("sent", "unit", "lost", "received", "percent"),
    [
        ([v5(v5_record(), sequence=n) for n in (0, 1, 5)], "flows", 3, 3, 50.0),
        ([V9.message(sequence=n) for n in (1, 2, 5)], "messages", 2, 3, 40.0),
        ([flows(IPFIX, 2, sequence=n) for n in (0, 2, 10)], "records", 6, 6, 50.0),
        # Over the end of the 32 bits, and with one that was overtaken.
        ([V9.message(sequence=n) for n in (2**32 - 1, 0, 1)], "messages", 0, 3, 0.0),
        ([flows(IPFIX, 2, sequence=n) for n in (0, 4, 2, 6)], "records", 0, 8, 0.0),
    ],
)
def test_losses_when_numbers_leap_then_in_what_the_protocol_counts(
    sent: list[bytes], unit: str, lost: int, received: int, percent: float
) -> None:
    (session,) = health_after(*sent).sessions
    assert (session.lost_unit, session.lost, session.received) == (unit, lost, received)
    assert session.lost_percent == percent


def test_losses_when_an_exporter_started_again_then_none_and_when_it_did() -> None:
    sent = [
        at(V9.message(sequence=900_000), 0),
        at(V9.message(sequence=1, uptime=5000, seconds=1_700_000_060), MINUTE_MS),
        at(V9.message(sequence=2, uptime=6000, seconds=1_700_000_061), MINUTE_MS + 1000),
    ]
    health = health_after(*sent, now_ms=RECEIVED_MS + 2 * MINUTE_MS)
    (session,) = health.sessions
    assert (session.lost, session.restarts) == (0, 1)
    assert session.last_restart == (RECEIVED_MS + MINUTE_MS) / 1000
    assert "started again once" in " ".join(exporter_hints(health))


def test_late_when_datagrams_overtake_each_other_then_counted() -> None:
    (session,) = health_after(*(flows(IPFIX, 2, sequence=n) for n in (0, 4, 2, 6))).sessions
    assert session.late == 1


@both
def test_templates_when_data_wait_then_which_one_and_how_much(protocol: Exporter) -> None:
    sent = [
        at(protocol.message(a_set(301, bytes(40)), domain=7), 0),
        at(protocol.message(a_set(301, bytes(60)), domain=7, sequence=1), 1000),
        at(protocol.message(protocol.templates(template(300, *BASIC)), sequence=2), 2000),
    ]
    health = health_after(*sent, now_ms=RECEIVED_MS + MINUTE_MS)
    (missing,) = health.missing_templates
    assert missing == {
        **{"port": 2000, "domain": 7, "id": 301},
        **{"sets": 2, "octets": 100, "since": RECEIVED_MS / 1000},
    }
    (known,) = health.known_templates
    assert (known["id"], known["fields"], known["options"]) == (300, len(BASIC), False)
    assert known["age_seconds"] == 58
    assert health.sessions[0].template_age_seconds == 58
    assert health.waiting_octets > 100
    assert "(301)" in exporter_hints(health)[0]


def test_unknown_elements_when_no_registry_names_them_then_by_enterprise_and_number() -> None:
    message = IPFIX.message(IPFIX.templates(template(300, *BASIC, (12, 4, 65_001), (3000, 2))))
    assert health_after(message).unknown_elements == ("enterprise65001.12", "v9field3000")


@pytest.mark.parametrize(
    ("sent", "collector", "rate", "source", "last"),
    [
        ([v5(v5_record(), sampling=100)], {}, 100, "exporter, in its headers", 100),
        (
            [V9.message(one_record(V9, (1, number(9, 4)), (34, number(50, 4))))],
            {"sampling_overrides": {"192.0.2.0/24": 7}},
            None,
            "exporter, in its records",
            50,
        ),
        (
            [IPFIX.message(one_option(IPFIX, (34, number(50, 4)))), flows(IPFIX, 1, sequence=1)],
            {},
            50,
            "exporter",
            50,
        ),
        (
            [flows(V9, 1)],
            {"sampling_overrides": {"192.0.2.0/24": 7}},
            7,
            "collector.sampling_overrides",
            None,
        ),
        ([flows(V9, 1)], {}, 1, "assumed", None),
    ],
)
def test_sampling_when_told_somewhere_then_the_rate_and_where_it_came_from(
    sent: list[bytes],
    collector: dict[str, Any],
    rate: float | None,
    source: str,
    last: float | None,
) -> None:
    (session,) = health_after(*sent, settings=settings_of(**collector)).sessions
    assert (session.sampling, session.sampling_source) == (rate, source)
    assert session.last_rate == last


def test_clock_when_it_is_ahead_then_by_how_many_seconds() -> None:
    health = health_after(V9.message(seconds=RECEIVED_MS // 1000 + 90))
    assert health.skew_seconds == pytest.approx(90, abs=1)
    assert "Use NTP" in " ".join(exporter_hints(health))


def test_silence_when_nothing_comes_then_for_how_long() -> None:
    health = health_after(flows(V9, 1), now_ms=RECEIVED_MS + 6 * MINUTE_MS)
    assert health.silent_seconds == 360
    assert "Nothing has come for five minutes" in exporter_hints(health)[0]


def lasting(seconds: float, n: int) -> list[bytes]:
    first = UPTIME_MS - 1000 - int(seconds * 1000)
    return [v5_record(first=first, last=UPTIME_MS - 1000)] * n


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        # Most flows are short, some are cut at the timeout, one time is wrong.
        ([(0.5, 500), (7, 90), (60, 4), (3000, 1)], 60),
        ([(0.5, 50), (1800, 50)], 1800),
        ([(1800, 50)], None),
    ],
)
def test_active_timeout_when_flows_are_cut_then_the_longest_usual_duration(
    durations: list[tuple[float, int]], expected: float | None
) -> None:
    records = [record for seconds, n in durations for record in lasting(seconds, n)]
    sent = [v5(*records[n : n + 30], sequence=n) for n in range(0, len(records), 30)]
    health = health_after(*sent)
    (session,) = health.sessions
    assert session.active_timeout_seconds == expected
    hints = " ".join(exporter_hints(health))
    assert ("set the active timeout to 60" in hints) == (expected == 1800)


def totals_record(
    protocol: Exporter, octets: int, messages: int, records: int, width: int = 8
) -> bytes:
    """Lay an options record with the exporter's own totals."""
    values = {OCTETS: octets, MESSAGES: messages, RECORDS: records}
    fields = [(element, number(value, width)) for element, value in values.items()]
    return one_option(protocol, *fields)


class CountingExporter:
    """Sends messages and its own totals, which count neither the message that carries them."""

    def __init__(self, protocol: Exporter, start: int = 10_000, width: int = 8) -> None:
        self.protocol, self.width = protocol, width
        self.octets = self.messages = self.records = start
        self.sequence = 0

    def flows(self, n: int) -> bytes:
        return self._sent(
            [self.protocol.templates(template(300, *BASIC)), a_set(300, basic() * n)], n, n
        )

    def totals(self) -> bytes:
        limit = 1 << 8 * self.width
        values = (value % limit for value in (self.octets, self.messages, self.records))
        return self._sent([totals_record(self.protocol, *values, width=self.width)], 0, 1)

    def _sent(self, sets: list[bytes], flow_records: int, units: int) -> bytes:
        message = self.protocol.message(*sets, sequence=self.sequence)
        self.sequence += 1 if self.protocol is V9 else units
        self.octets, self.messages = self.octets + len(message), self.messages + 1
        self.records += flow_records
        return message


@both
@in_both_modes
@pytest.mark.parametrize("width", [4, 8])
def test_totals_when_all_arrives_then_nothing_is_missing(
    protocol: Exporter, one_by_one: bool, width: int
) -> None:
    exporter = CountingExporter(protocol, start=2**32 - 500, width=width)
    sent = [exporter.flows(3), exporter.totals()]
    first = [at(message, 0) for message in sent]
    later = [
        exporter.flows(20), exporter.totals(), exporter.flows(2), exporter.totals(),
        exporter.flows(1),
    ]  # fmt: skip
    sent_later = [at(message, MINUTE_MS) for message in later]
    states = decode(*first, one_by_one=one_by_one).states
    decode(*sent_later, one_by_one=one_by_one, states=states)
    facts = exporter_facts(states, RECEIVED_MS + MINUTE_MS)
    status = {"time_ms": RECEIVED_MS + MINUTE_MS, "exporters": json.loads(json.dumps(facts))}
    health = exporter_health(EXPORTER, status, settings_of(), RECEIVED_MS / 1000)
    assert health is not None
    (total,) = health.totals
    assert total["flow_records"] == {"sent": 22, "received": 22, "missing": 0}
    assert total["messages"] == {"sent": 4, "received": 4, "missing": 0}
    octets = sum(map(len, [sent[1], *later[:3]]))
    assert total["octets"] == {"sent": octets, "received": octets, "missing": 0}
    assert (total["since"], total["until"]) == (
        RECEIVED_MS / 1000,
        (RECEIVED_MS + MINUTE_MS) / 1000,
    )
    assert not [hint for hint in exporter_hints(health) if "its own count" in hint]


@both
def test_totals_when_a_message_does_not_arrive_then_it_is_missing(protocol: Exporter) -> None:
    exporter = CountingExporter(protocol)
    sent = [exporter.totals(), exporter.flows(5), exporter.flows(7), exporter.totals()]
    lost = sent.pop(2)
    health = health_after(*sent)
    (total,) = health.totals
    assert total["flow_records"] == {"sent": 12, "received": 5, "missing": 7}
    assert total["messages"]["missing"] == 1
    assert total["octets"]["missing"] == len(lost)
    assert "it sent 12 flow records" in " ".join(exporter_hints(health))


@both
def test_totals_when_they_go_back_then_they_are_compared_anew(protocol: Exporter) -> None:
    exporter = CountingExporter(protocol)
    sent = [exporter.totals(), exporter.flows(5)]
    exporter.octets = exporter.messages = exporter.records = 0
    sent += [exporter.totals(), exporter.flows(2), exporter.totals()]
    (total,) = health_after(*sent).totals
    assert total["flow_records"] == {"sent": 2, "received": 2, "missing": 0}


def test_totals_when_flow_records_carry_them_then_the_last_record_counts() -> None:
    def message(totals: list[int], sequence: int) -> bytes:
        fields = ((1, 4), (RECORDS, 4))
        records = b"".join(number(100, 4) + number(total, 4) for total in totals)
        return V9.message(
            V9.templates(template(300, *fields)), a_set(300, records), sequence=sequence
        )

    (total,) = health_after(message([50, 50], 1), message([52, 52, 52], 2)).totals
    assert total["flow_records"] == {"sent": 2, "received": 2, "missing": 0}
    assert "octets" not in total


def test_totals_when_a_domain_of_v9_tells_them_then_only_its_own_messages_count() -> None:
    exporter = CountingExporter(V9)
    other = [flows(V9, 9, domain=5, sequence=n) for n in range(3)]
    sent = [exporter.totals(), other[0], exporter.flows(4), other[1], exporter.totals(), other[2]]
    (total,) = health_after(*sent).totals
    assert total["flow_records"] == {"sent": 4, "received": 4, "missing": 0}


def test_hints_when_all_is_well_then_none() -> None:
    sent = [V9.message(one_option(V9, (34, number(50, 4))))]
    sent += [flows(V9, 2, sequence=n) for n in range(1, 5)]
    assert exporter_hints(health_after(*sent)) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [({"kernel_drops": 9}, "kernel dropped 9 datagrams"), ({}, "this machine dropped nothing")],
)
def test_hints_when_datagrams_are_lost_then_where(status: dict[str, Any], words: str) -> None:
    health = health_after(*(V9.message(sequence=n) for n in (1, 2, 9)), **status)
    assert words in " ".join(exporter_hints(health))


def test_health_when_the_collector_stopped_then_silence_ends_with_its_figures() -> None:
    facts = exporter_facts(decode(flows(V9, 1)).states, RECEIVED_MS)
    status = {"time_ms": RECEIVED_MS + 5000, "exporters": facts}
    health = exporter_health(EXPORTER, status, settings_of(), RECEIVED_MS / 1000 + 9000)
    assert health is not None
    assert (health.running, health.silent_seconds) == (False, 5.0)


_NAMES = st.sampled_from(
    [*"abc", "sessions", "totals", "known_templates", "missing_templates", "unknown_elements",
     "sent", "received", "since_ms", "lost", "restart_ms", "longest_usual_ms", "sampling",
     "by_domain", "version", "records", "sampling_in_records", "2000"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=30,
)


@examples(max_examples=300, deadline=None)
@given(facts=st.dictionaries(_NAMES, _JSON, max_size=12))
def test_health_when_the_status_file_holds_anything_then_an_answer(facts: dict[str, Any]) -> None:
    status = {"time_ms": RECEIVED_MS, "exporters": {EXPORTER: facts}}
    health = exporter_health(EXPORTER, status, settings_of(), RECEIVED_MS / 1000)
    assert health is not None
    assert all(isinstance(hint, str) for hint in exporter_hints(health))
    json.dumps(asdict(health))


def test_health_when_nobody_heard_of_the_exporter_then_none() -> None:
    assert exporter_health("192.0.2.77", {"exporters": {}}, settings_of(), 0) is None


@both
def test_templates_when_the_exporter_sends_from_another_port_then_only_the_newest(
    protocol: Exporter,
) -> None:
    announcement = protocol.message(protocol.templates(template(300, *BASIC)))
    sent = [
        replace(at(announcement, after_ms), port=port)
        for after_ms, port in ((0, 2000), (10 * MINUTE_MS, 2001))
    ]
    health = health_after(*sent, now_ms=RECEIVED_MS + 11 * MINUTE_MS)
    assert [one.port for one in health.sessions] == [None]
    (known,) = health.known_templates
    assert (known["id"], known["age_seconds"]) == (300, 60)
