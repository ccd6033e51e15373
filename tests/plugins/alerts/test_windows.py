"""Windows: what is measured over the last seconds."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugins.alerts import windows
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.windows import Window
from tests.plugins.alerts.conftest import START, flows

EVERY = np.arange


def values(window: Window, until: int) -> dict[tuple[int, ...], float]:
    found = window.values(until)
    return dict(zip(map(tuple, found.keys.tolist()), found.values.tolist(), strict=True))


@given(
    flows_of=st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 3), st.integers(0, 5), st.integers(1, 9)),
        max_size=60,
    ),
    pieces=st.integers(1, 4),
)
def test_window_when_flows_come_in_any_order_then_sums_and_numbers_are_right(
    flows_of: list[tuple[int, int, int, int]], pieces: int
) -> None:
    """Each flow: second, source, port, octets; the last 10 seconds count."""
    until = START + 30
    rules = [
        Rule("b", measure="bps", by="source", window=10, limit=1),
        Rule("f", measure="fps", window=10, limit=1),
        Rule("p", measure="ports", by="source", window=10, limit=1),
        Rule("s", measure="share", by="source", window=10, limit=1),
    ]
    made = [Window(rule) for rule in rules]
    for part in np.array_split(np.array(flows_of, np.int64).reshape(-1, 4), pieces):
        if not len(part):
            continue
        batch = flows(
            len(part),
            START,
            collection_time_milliseconds=(START + part[:, 0]) * 1000,
            source_address_lo=part[:, 1],
            destination_transport_port=part[:, 2],
            octet_delta_count=part[:, 3],
            sampling_rate=np.full(len(part), 2.0),
        )
        for window in made:
            window.add(batch, EVERY(len(part)))
    octets, ports = defaultdict[Any, float](float), defaultdict[Any, set[int]](set)
    counted = [one for one in flows_of if 20 <= one[0] < 30]
    for _, source, port, n in counted:
        octets[0, source] += 2 * n
        ports[0, source].add(port)
    rates, total, different, shares = (values(window, until) for window in made)
    assert rates == pytest.approx({key: 8 * n / 10 for key, n in octets.items()})
    assert total == pytest.approx({(): len(counted) / 10} if counted else {})
    assert different == {key: len(found) for key, found in ports.items()}
    whole = sum(octets.values())
    assert shares == pytest.approx({key: 100 * n / whole for key, n in octets.items()})


def test_window_when_addresses_are_invented_then_bounded_and_the_largest_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MAX_GROUPS", 1000)
    window = Window(Rule("r", measure="bps", by="source", window=10, limit=1))
    random = np.random.default_rng(1)
    for second in range(10):
        n = 20_000
        sources = random.integers(0, 2**63, n).astype("u8")
        octets = np.full(n, 60)
        sources[:100], octets[:100] = 7, 1500
        batch = flows(n, START + second, source_address_lo=sources, octet_delta_count=octets)
        window.add(batch, EVERY(n))
    found = values(window, START + 10)
    assert len(found) <= 10_000
    assert found[0, 7] == pytest.approx(100 * 1500 * 8)
    assert window.cut_groups > 0


def test_window_when_there_are_very_many_different_values_then_about_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MAX_PAIRS", 5000)
    window = Window(Rule("r", measure="destinations", by="source", window=10, limit=1))
    n, random = 100_000, np.random.default_rng(1)
    for second in range(5):
        batch = flows(
            n,
            START + second,
            source_address_lo=np.arange(n) % 2,
            destination_address_lo=random.integers(0, 2**62, n).astype("u8"),
        )
        window.add(batch, EVERY(n))
    found = values(window, START + 10)
    assert set(found) == {(0, 0), (0, 1)}
    for counted in found.values():
        assert counted == pytest.approx(250_000, rel=0.2)
