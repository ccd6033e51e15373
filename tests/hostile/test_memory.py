"""What strangers make the collector keep is counted at what it really takes."""

from __future__ import annotations

import tracemalloc

import pytest

from appliance.collector.exporters import ExporterLimits, ExporterStates
from tests.decoding.building import V9, a_set, datagram, decode


@pytest.mark.parametrize(("n_sets", "octets"), [(2047, 1), (60, 1000)])
def test_waiting_sets_when_counted_then_at_what_they_take(n_sets: int, octets: int) -> None:
    states = ExporterStates(ExporterLimits(waiting_octets=50_000_000))

    def send(n: int) -> None:
        sets = (a_set(256 + (at + n * n_sets) % 60_000, bytes(octets)) for at in range(n_sets))
        decode(datagram(V9.message(*sets, sequence=n)), states=states)

    send(0)  # what is kept once
    before, counted = 0, states.octets
    tracemalloc.start()
    try:
        for n in range(1, 20):
            send(n)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < 1.3 * (states.octets - counted)
