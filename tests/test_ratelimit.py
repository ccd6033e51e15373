"""Log lines that datagrams cause: one a minute, which says how many it stands for."""

from __future__ import annotations

import logging

import pytest

from appliance.ratelimit import RateLimited

log = logging.getLogger("test_ratelimit")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(clock: Clock, caplog: pytest.LogCaptureFixture) -> RateLimited:
    caplog.set_level(logging.INFO)
    return RateLimited(log, clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_message_when_repeated_then_once_a_minute_with_the_number_left_out(
    limited: RateLimited, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        limited.warning("malformed: %s", "header_cut")
    clock.now = 59.9
    limited.warning("malformed: %s", "header_cut")
    clock.now = 60.0
    limited.warning("malformed: %s", "header_cut")
    clock.now = 120.0
    limited.warning("malformed: %s", "header_cut")
    assert lines(caplog) == [
        "malformed: header_cut",
        "malformed: header_cut (and 5 times before)",
        "malformed: header_cut",
    ]


def test_messages_when_their_first_fact_differs_then_told_apart_by_it_only(
    limited: RateLimited, caplog: pytest.LogCaptureFixture
) -> None:
    for reason in ("a", "b"):
        for detail in range(100):
            limited.info("malformed: %s: %s", reason, detail)
    assert lines(caplog) == ["malformed: a: 0", "malformed: b: 0"]


def test_messages_when_too_many_differ_then_no_more_are_written_or_remembered(
    limited: RateLimited, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        limited.info("from %s", number)
    assert len(lines(caplog)) == limited.limit
    assert len(limited._last) == limited.limit
    assert len(limited._muted) <= limited.limit


def test_exception_when_handled_then_with_its_traceback(
    limited: RateLimited, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        {}.pop(1)
    except KeyError:
        limited.exception("decoder %s failed", "x")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


def test_levels_when_written_then_as_asked(
    limited: RateLimited, caplog: pytest.LogCaptureFixture
) -> None:
    limited.info("one")
    limited.warning("two")
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_message_when_about_errors_that_read_alike_then_once_a_minute(
    limited: RateLimited, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        limited.error("cannot be written: %s", OSError("no space"))
    assert lines(caplog) == ["cannot be written: no space"]


def test_message_when_there_were_many_others_an_hour_ago_then_written(
    limited: RateLimited, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(limited.limit + 5):
        limited.warning("damaged: %s", number)
    assert len(lines(caplog)) == limited.limit
    clock.now += 3600
    limited.warning("damaged: %s", "another")
    assert lines(caplog)[-1] == "damaged: another"
