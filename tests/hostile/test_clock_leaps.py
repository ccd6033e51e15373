"""A clock that leaps ahead does not cost the flow log."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from appliance.flowlog import FlowLogLimits, FlowLogReader, FlowLogWriter, Maintainer
from appliance.flowlog.expiry_clock import ExpiryClock
from appliance.flows import FlowBatch

NOW = 1_700_000_000_000
DAY = 86_400_000


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_clock_when_it_goes_on_as_it_should_then_believed() -> None:
    passed = Monotonic()
    clock = ExpiryClock(passed)
    for day in range(10):
        assert clock.is_believed(NOW + day * DAY, NOW)
        passed.seconds += 86_400


@pytest.mark.parametrize("looked_before", [False, True])
def test_clock_when_it_leaps_then_believed_after_an_hour(
    looked_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    passed = Monotonic()
    clock = ExpiryClock(passed)
    if looked_before:
        assert clock.is_believed(NOW, NOW)
    for _ in range(60):
        passed.seconds += 59
        assert not clock.is_believed(NOW + 400 * DAY + int(passed.seconds * 1000), NOW)
    passed.seconds += 120
    assert clock.is_believed(NOW + 400 * DAY + int(passed.seconds * 1000), NOW)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "400." in caplog.text


def test_clock_when_it_comes_back_then_believed_at_once() -> None:
    passed = Monotonic()
    clock = ExpiryClock(passed)
    assert clock.is_believed(NOW, NOW)
    passed.seconds += 10
    assert not clock.is_believed(NOW + 400 * DAY, NOW)
    passed.seconds += 10
    assert clock.is_believed(NOW + 20_000, NOW)


def test_clock_when_the_log_is_empty_then_believed() -> None:
    assert ExpiryClock(Monotonic()).is_believed(NOW, 0)


def test_flow_log_when_the_clock_leaps_then_kept_for_an_hour(tmp_path: Path) -> None:
    writer = FlowLogWriter(tmp_path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    writer.append(FlowBatch(1, {"collection_time_milliseconds": np.array([NOW])}))
    writer.flush({}, NOW)
    writer.close(NOW)
    passed = Monotonic()
    limits = FlowLogLimits(retention_seconds=30 * 86_400)
    maintainer = Maintainer(tmp_path, limits, clock=ExpiryClock(passed))
    ahead = 10**13  # the year 2286: the files' own times on disk are of today
    maintainer.run_once(ahead)
    assert len(FlowLogReader(tmp_path).snapshot(False).files) == 1
    passed.seconds += 3700
    maintainer.run_once(ahead + 3_700_000)
    assert not FlowLogReader(tmp_path).snapshot(False).files
