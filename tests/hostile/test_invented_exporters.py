"""Sixty-five thousand invented senders: known exporters stay, honest newcomers find room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.newcomers import KNOWN_AFTER_MS, exporters_in_settings
from appliance.collector.saved_state import load_states, save_states
from appliance.flows import address_halves
from appliance.plugins.metrics.health import newcomer_hints
from tests.collector.running import soak_rounds
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    RECEIVED_MS,
    V9,
    a_set,
    basic,
    datagram,
    decode,
    template,
    v5,
    v5_record,
)
from tests.web.building import settings_of

LIMITS = ExporterLimits(exporters=64, newcomers=32)
ANNOUNCEMENT = V9.message(V9.templates(template(300, *BASIC)))


def invented(n: int) -> str:
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def flood(states: ExporterStates, first: int, n: int, at_ms: int = RECEIVED_MS) -> None:
    """Send a datagram from each of n addresses, in blocks."""
    for start in range(first, first + n, 500):
        numbers = range(start, min(start + 500, first + n))
        decode(
            *(datagram(v5(v5_record()), invented(k), received_ms=at_ms) for k in numbers),
            states=states,
        )


def data(states: ExporterStates, sequence: int, at_ms: int, exporter: str = EXPORTER) -> int:
    """Send 25 flows of a template that was announced before; return how many were decoded."""
    message = V9.message(a_set(300, basic() * 25), sequence=sequence)
    return len(decode(datagram(message, exporter, received_ms=at_ms), states=states).rows)


@pytest.mark.soak
def test_known_exporter_when_thousands_are_invented_then_keeps_its_template(
    figure: Callable[[str, object], None],
) -> None:
    states = ExporterStates(LIMITS)
    invented = 5000 if soak_rounds(1) == 1 else 65_536
    decode(datagram(ANNOUNCEMENT), states=states)
    later = RECEIVED_MS + KNOWN_AFTER_MS
    assert data(states, 1, later) == 25
    flood(states, 0, invented, later)
    assert data(states, 2, later + 1000) == 25
    figure("known exporters that were forgotten", states.counts["exporters_forgotten"])
    assert len(states.exporters) <= LIMITS.exporters + LIMITS.newcomers
    assert states.counts["newcomers_forgotten"] >= invented - 96
    assert states.counts["exporters_forgotten"] == 0


def test_newcomer_when_honest_in_the_middle_of_a_flood_then_stays() -> None:
    kept = 0
    for attempt in range(20):
        states = ExporterStates(LIMITS)
        flood(states, 0, 200)
        decode(datagram(ANNOUNCEMENT), states=states)
        for turn in range(20):  # it sends as often as thirty inventions
            data(states, 1 + turn, RECEIVED_MS + turn * 100)
            flood(states, 1000 + 1000 * attempt + turn * 30, 30)
        kept += data(states, 21, RECEIVED_MS + 3000) == 25
    assert kept >= 10


def test_named_exporter_when_it_is_new_then_never_gives_way() -> None:
    named = address_halves(EXPORTER)
    states = ExporterStates(LIMITS, lambda exporter: exporter == named)
    decode(datagram(ANNOUNCEMENT), states=states)
    flood(states, 0, 1000)
    assert data(states, 1, RECEIVED_MS) == 25


def test_newcomers_when_they_fill_memory_then_known_exporters_lose_nothing() -> None:
    states = ExporterStates(ExporterLimits(octets=400_000))
    decode(datagram(ANNOUNCEMENT), states=states)
    later = RECEIVED_MS + KNOWN_AFTER_MS
    data(states, 1, later)
    many = V9.templates(*(template(256 + k, *BASIC) for k in range(100)))
    for n in range(60):
        decode(datagram(V9.message(many), invented(n), received_ms=later), states=states)
    assert states.octets <= 400_000
    assert states.newcomers_octets <= 100_000
    assert data(states, 2, later) == 25


def test_exporter_when_forgotten_then_its_templates_and_what_waited_are_counted() -> None:
    states = ExporterStates(ExporterLimits(exporters=1, newcomers=1))
    decode(datagram(V9.message(a_set(300, basic())), "192.0.2.1"), states=states)
    decode(datagram(ANNOUNCEMENT, "192.0.2.2"), states=states)
    flood(states, 0, 50)
    assert states.counts["templates_forgotten"] == 1
    assert states.counts["waiting_sets_given_up"] == 1


def test_newcomers_when_the_collector_restarts_then_are_newcomers_again(tmp_path: Path) -> None:
    states = ExporterStates(LIMITS)
    decode(datagram(ANNOUNCEMENT), states=states)
    data(states, 1, RECEIVED_MS + KNOWN_AFTER_MS)
    decode(datagram(ANNOUNCEMENT, "192.0.2.99"), states=states)
    save_states(states, tmp_path / "states")
    again = ExporterStates(LIMITS)
    assert load_states(again, tmp_path / "states", RECEIVED_MS + KNOWN_AFTER_MS) == 0
    assert again.is_known(address_halves(EXPORTER))
    assert not again.is_known(address_halves("192.0.2.99"))
    assert data(again, 1, RECEIVED_MS + KNOWN_AFTER_MS, "192.0.2.99") == 25


@pytest.mark.parametrize(
    ("collector", "address", "named"),
    [
        ({}, EXPORTER, False),
        ({"allowed_exporters": ["192.0.2.0/24"]}, EXPORTER, True),
        ({"sampling_overrides": {"192.0.2.0/24": 10}}, EXPORTER, True),
        ({"sampling_overrides": {"198.51.100.0/24": 10}}, EXPORTER, False),
    ],
)
def test_exporter_when_the_settings_speak_of_it_then_named(
    tmp_path: Path, collector: dict[str, object], address: str, named: bool
) -> None:
    settings = settings_of(tmp_path, {"collector": collector})
    assert exporters_in_settings(settings)(address_halves(address)) is named


def test_health_when_newcomers_gave_way_not_long_ago_then_says_what_helps() -> None:
    status = {"newcomers": {"forgotten": 4711, "last_forgotten_ms": 1_000_000}}
    (hint,) = newcomer_hints(status, 1100.0)
    assert hint.startswith("4711 addresses sent a few datagrams only")
    assert "collector.allowed_exporters" in hint
    assert not newcomer_hints(status, 5000.0)
