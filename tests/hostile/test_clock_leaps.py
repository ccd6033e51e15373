"""A clock that leaps ahead does not cost the flow log."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from appliance.flowlog import FlowLogLimits, FlowLogReader, FlowLogWriter, Maintainer
from appliance.flowlog.expiry_clock import LEAP_FILE, ExpiryClock, read_leap
from appliance.flows import FlowBatch

NOW = 1_700_000_000_000
DAY = 86_400_000


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_clock_when_it_goes_on_as_it_should_then_believed(tmp_path: Path) -> None:
    passed = Monotonic()
    clock = ExpiryClock(tmp_path, passed)
    for day in range(10):
        assert clock.is_believed(NOW + day * DAY, NOW)
        passed.seconds += 86_400


@pytest.mark.parametrize("looked_before", [False, True])
def test_clock_when_it_leaps_then_believed_after_an_hour(
    tmp_path: Path, looked_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    passed = Monotonic()
    clock = ExpiryClock(tmp_path, passed)
    if looked_before:
        assert clock.is_believed(NOW, NOW)
    for _ in range(60):
        passed.seconds += 59
        assert not clock.is_believed(NOW + 400 * DAY + int(passed.seconds * 1000), NOW)
    passed.seconds += 120
    assert clock.is_believed(NOW + 400 * DAY + int(passed.seconds * 1000), NOW)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "400." in caplog.text


def test_clock_when_it_comes_back_then_believed_at_once(tmp_path: Path) -> None:
    passed = Monotonic()
    clock = ExpiryClock(tmp_path, passed)
    assert clock.is_believed(NOW, NOW)
    passed.seconds += 10
    assert not clock.is_believed(NOW + 400 * DAY, NOW)
    passed.seconds += 10
    assert clock.is_believed(NOW + 20_000, NOW)
    assert read_leap(tmp_path) is None


def test_clock_when_somebody_confirms_it_then_believed_at_once(tmp_path: Path) -> None:
    clock = ExpiryClock(tmp_path, Monotonic())
    assert not clock.is_believed(NOW + 400 * DAY, NOW)
    assert not clock.is_believed(NOW + 400 * DAY, NOW)
    leap = read_leap(tmp_path)
    assert leap is not None
    assert leap.days == 400
    (tmp_path / LEAP_FILE).unlink()
    assert clock.is_believed(NOW + 400 * DAY, NOW)


def test_clock_when_the_loader_starts_anew_meanwhile_then_still_not_believed(
    tmp_path: Path,
) -> None:
    assert not ExpiryClock(tmp_path, Monotonic()).is_believed(NOW + 400 * DAY, NOW)
    # Flows have been written since, with the time that is not believed.
    newest = NOW + 400 * DAY
    passed = Monotonic()
    clock = ExpiryClock(tmp_path, passed)
    assert not clock.is_believed(newest + 1000, newest)
    passed.seconds += 3601
    assert clock.is_believed(newest + 3_602_000, newest)
    assert read_leap(tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"[" * 100_000, b"{}", b'{"now_ms": [], "expected_ms": 1}', b"\xff"]
)
def test_leap_when_its_file_is_damaged_then_as_if_there_were_none(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / LEAP_FILE).write_bytes(content)
    assert read_leap(tmp_path) is None
    assert ExpiryClock(tmp_path, Monotonic()).is_believed(NOW, NOW)


def test_clock_when_the_log_is_empty_then_believed(tmp_path: Path) -> None:
    assert ExpiryClock(tmp_path, Monotonic()).is_believed(NOW, 0)


def test_flow_log_when_the_clock_leaps_then_kept_for_an_hour(tmp_path: Path) -> None:
    writer = FlowLogWriter(tmp_path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    writer.append(FlowBatch(1, {"collection_time_milliseconds": np.array([NOW])}))
    writer.flush({}, NOW)
    writer.close(NOW)
    passed = Monotonic()
    limits = FlowLogLimits(retention_seconds=30 * 86_400)
    maintainer = Maintainer(tmp_path, limits, clock=ExpiryClock(tmp_path, passed))
    ahead = 10**13  # the year 2286: the files' own times on disk are of today
    maintainer.run_once(ahead)
    assert len(FlowLogReader(tmp_path).snapshot(False).files) == 1
    passed.seconds += 3700
    maintainer.run_once(ahead + 3_700_000)
    assert not FlowLogReader(tmp_path).snapshot(False).files
