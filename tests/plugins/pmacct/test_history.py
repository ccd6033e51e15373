"""Bins where clocks are changed: New York on 14 March and 7 November 2027."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugins.pmacct.configuration.time_slots import History, parse_history
from appliance.plugins.pmacct.tables.history import bins, grid_start

ZONE = ZoneInfo("America/New_York")
SPRING, AUTUMN = datetime.datetime(2027, 3, 14), datetime.datetime(2027, 11, 7)
WINTER, SUMMER = datetime.datetime(2027, 1, 20, 9, 5), datetime.datetime(2027, 7, 20, 9, 5)

pytestmark = pytest.mark.usefixtures("new_york")


def second(moment: datetime.datetime) -> int:
    return int(moment.replace(tzinfo=ZONE).timestamp())


def local_bin(moment: int, started: datetime.datetime, length: str, roundoff: str) -> str:
    history, _ = parse_history(length)
    assert history is not None
    start = grid_start(second(started), history, roundoff)
    (found,) = bins(np.array([moment]), start, history)
    return datetime.datetime.fromtimestamp(int(found), ZONE).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize("started", [WINTER, SUMMER])
@pytest.mark.parametrize(
    ("length", "roundoff", "moment", "expected"),
    [
        ("1d", "d", SPRING + datetime.timedelta(hours=1), "2027-03-14 00:00"),
        ("1d", "d", SPRING + datetime.timedelta(hours=23, minutes=30), "2027-03-14 00:00"),
        ("1d", "h", AUTUMN + datetime.timedelta(minutes=30), "2027-11-07 00:00"),
        ("1d", "d", AUTUMN + datetime.timedelta(hours=23, minutes=30), "2027-11-07 00:00"),
        ("1w", "w", SPRING + datetime.timedelta(hours=23, minutes=30), "2027-03-08 00:00"),
        ("1w", "w", AUTUMN + datetime.timedelta(days=1), "2027-11-08 00:00"),
        ("4h", "d", SPRING + datetime.timedelta(hours=3, minutes=30), "2027-03-14 00:00"),
        ("4h", "d", AUTUMN + datetime.timedelta(hours=8), "2027-11-07 08:00"),
        ("1M", "M", AUTUMN + datetime.timedelta(hours=12), "2027-11-01 00:00"),
    ],
)
def test_bins_when_clocks_are_changed_then_their_local_boundary_stays(
    started, length, roundoff, moment, expected
):
    assert local_bin(second(moment), started, length, roundoff) == expected


def test_bins_when_an_hour_comes_twice_then_two_bins():
    first = second(AUTUMN.replace(hour=1, minute=30))
    history = History(1, "h")
    start = grid_start(second(WINTER), history, "h")
    found = bins(np.array([first, first + 3600]), start, history)
    assert (found[1] - found[0], found[0]) == (3600, first - 1800)


@pytest.mark.parametrize("started", [WINTER, SUMMER])
@pytest.mark.parametrize(
    ("month", "expected"), [(1, 1), (3, 1), (4, 4), (6, 4), (7, 7), (9, 7), (10, 10), (12, 10)]
)
def test_quarters_when_started_in_any_month_then_begin_in_january(started, month, expected):
    moment = second(datetime.datetime(2027, month, 15, 12))
    assert local_bin(moment, started, "3M", "d") == f"2027-{expected:02}-01 00:00"


@given(st.integers(-(2**31), 2**32), st.integers(1, 100), st.sampled_from("smhdwM"))
def test_bins_when_any_moment_then_not_behind_it(moment, count, unit):
    history = History(count, unit)
    start = grid_start(second(WINTER), history, "d")
    (found,) = bins(np.array([moment]), start, history)
    assert found <= moment
    assert bins(np.array([found]), start, history)[0] == found
