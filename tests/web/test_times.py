from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SettingsError
from appliance.web import times
from appliance.web.times import (
    MAX_BINS,
    UNITS,
    Interval,
    boundaries,
    local_zone,
    parse_interval,
    rfc3339,
)
from tests.web.building import settings_of

VIENNA, TEHRAN, KATHMANDU = (
    ZoneInfo(f) for f in ("Europe/Vienna", "Asia/Tehran", "Asia/Kathmandu")
)
LORD_HOWE, APIA, NEW_YORK = (
    ZoneInfo(f) for f in ("Australia/Lord_Howe", "Pacific/Apia", "America/New_York")
)
SAO_PAULO, CHATHAM = ZoneInfo("America/Sao_Paulo"), ZoneInfo("Pacific/Chatham")
ZONES = [UTC, VIENNA, TEHRAN, KATHMANDU, LORD_HOWE, APIA, NEW_YORK, SAO_PAULO, CHATHAM]


def at(text: str, zone) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def texts(unit, since: str, until: str, zone) -> list[str]:
    """Return the bounds of a local range as local times, without the last."""
    bounds = boundaries(unit, at(since, zone), at(until, zone), zone)
    return [datetime.fromtimestamp(b, zone).isoformat(timespec="minutes") for b in bounds]


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [("15m", 15, "m"), ("1M", 1, "M"), ("0h", 0, "h"), ("007d", 7, "d"), ("2y", 2, "y")],
)
def test_interval_when_a_number_and_a_unit_then_read(text, number, unit):
    assert parse_interval(text) == Interval(number, unit)


@pytest.mark.parametrize(
    "text", ["", "m", "15", "-5m", "1.5h", "1 h", "15min", "1H", "1D", "٣m", "1m\n", "9" * 99 + "s"]
)
def test_interval_when_anything_else_then_none(text):
    assert parse_interval(text) is None


@pytest.mark.parametrize(
    ("interval", "now", "zone", "start"),
    [
        ("90s", "2026-01-01T00:00:30", UTC, "2025-12-31T23:59:00"),
        ("1d", "2026-03-29T12:00:00", VIENNA, "2026-03-28T11:00:00"),
        ("2w", "2026-01-15T00:00:00", UTC, "2026-01-01T00:00:00"),
        ("1M", "2026-03-31T10:00:00", VIENNA, "2026-02-28T10:00:00"),
        ("1M", "2026-01-31T10:00:00", UTC, "2025-12-31T10:00:00"),
        ("13M", "2026-01-31T10:00:00", UTC, "2024-12-31T10:00:00"),
        ("1y", "2024-02-29T10:00:00", UTC, "2023-02-28T10:00:00"),
        ("1M", "2026-04-29T02:30:00", VIENNA, "2026-03-29T03:30:00"),
        ("99y", "2026-01-01T00:00:00", UTC, "1970-01-01T00:00:00"),
        ("999999999999999s", "2026-01-01T00:00:00", UTC, "1970-01-01T00:00:00"),
        ("999999999999999M", "2026-01-01T00:00:00", UTC, "1970-01-01T00:00:00"),
    ],
)
def test_interval_when_it_reaches_back_then_months_and_years_by_the_calendar(
    interval, now, zone, start
):
    assert parse_interval(interval).before(at(now, zone), zone) == at(start, zone)


@pytest.mark.parametrize(
    ("interval", "unit"),
    [
        *(("1s", "second"), ("60s", "second"), ("61s", "minute"), ("86400s", "minute")),
        *(("1m", "minute"), ("15m", "minute"), ("60m", "minute"), ("61m", "hour")),
        *(("1h", "minute"), ("2h", "hour"), ("3h", "hour"), ("23h", "hour"), ("24h", "day")),
        *(("1d", "hour"), ("2d", "day"), ("30d", "day")),
        *(("1w", "day"), ("2w", "week"), ("1M", "week"), ("2M", "month")),
        *(("1y", "month"), ("2y", "year"), ("20y", "year")),
    ],
)
def test_group_when_asked_then_as_the_notes_say(interval, unit):
    now = at("2026-06-15T12:00:00", UTC)
    asked = parse_interval(interval)
    assert asked.group(now - asked.before(now, UTC)) == unit


@pytest.mark.parametrize(
    ("interval", "unit"), [("100000s", "hour"), ("100000m", "day"), ("99999d", "month")]
)
def test_group_when_there_would_be_too_many_bins_then_the_next_unit(interval, unit):
    now = at("2026-06-15T12:00:00", UTC)
    asked = parse_interval(interval)
    assert asked.group(now - asked.before(now, UTC)) in (unit, "week")
    unit = asked.group(now - asked.before(now, UTC))
    assert len(boundaries(unit, asked.before(now, UTC), now, UTC)) <= MAX_BINS + 2


def test_hours_when_the_zone_has_a_half_or_quarter_then_local_hours():
    assert texts("hour", "2026-06-15T10:20", "2026-06-15T11:59", TEHRAN) == [
        f"2026-06-15T{hour}:00+03:30" for hour in (10, 11, 12)
    ]
    assert texts("hour", "2026-06-15T10:20", "2026-06-15T11:59", KATHMANDU) == [
        f"2026-06-15T{hour}:00+05:45" for hour in (10, 11, 12)
    ]


def test_hours_when_daylight_saving_begins_then_one_is_missing():
    assert texts("hour", "2026-03-29T01:10", "2026-03-29T03:10", VIENNA) == [
        "2026-03-29T01:00+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T04:00+02:00",
    ]


def test_hours_when_daylight_saving_ends_then_one_is_there_twice():
    assert texts("hour", "2026-10-25T01:10", "2026-10-25T03:10", VIENNA) == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
        "2026-10-25T04:00+01:00",
    ]


def test_hours_when_daylight_saving_is_half_an_hour_then_short_bins():
    assert texts("hour", "2026-04-05T01:10", "2026-04-05T02:10", LORD_HOWE) == [
        "2026-04-05T01:00+11:00",
        "2026-04-05T01:30+10:30",
        "2026-04-05T02:00+10:30",
        "2026-04-05T03:00+10:30",
    ]
    assert texts("hour", "2026-10-04T01:10", "2026-10-04T03:10", LORD_HOWE) == [
        "2026-10-04T01:00+10:30",
        "2026-10-04T02:30+11:00",
        "2026-10-04T03:00+11:00",
        "2026-10-04T04:00+11:00",
    ]


def test_days_when_daylight_saving_changes_then_23_and_25_hours():
    spring = boundaries(
        "day", at("2026-03-28T12:00", VIENNA), at("2026-03-30T01:00", VIENNA), VIENNA
    )
    assert [b - a for a, b in itertools.pairwise(spring)] == [86400, 82800, 86400]
    autumn = boundaries(
        "day", at("2026-10-25T12:00", VIENNA), at("2026-10-25T13:00", VIENNA), VIENNA
    )
    assert [b - a for a, b in itertools.pairwise(autumn)] == [90000]


def test_days_when_midnight_does_not_exist_then_from_the_first_moment():
    assert texts("day", "2018-11-03T12:00", "2018-11-04T12:00", SAO_PAULO) == [
        "2018-11-03T00:00-03:00",
        "2018-11-04T01:00-02:00",
        "2018-11-05T00:00-02:00",
    ]


def test_days_when_a_whole_day_does_not_exist_then_left_out():
    assert texts("day", "2011-12-29T12:00", "2011-12-31T12:00", APIA) == [
        "2011-12-29T00:00-10:00",
        "2011-12-31T00:00+14:00",
        "2012-01-01T00:00+14:00",
    ]


def test_weeks_when_asked_then_from_monday():
    assert texts("week", "2026-01-01T12:00", "2026-01-06T00:00", NEW_YORK) == [
        "2025-12-29T00:00-05:00",
        "2026-01-05T00:00-05:00",
        "2026-01-12T00:00-05:00",
    ]


def test_months_and_years_when_asked_then_of_the_calendar():
    assert texts("month", "2025-12-31T12:00", "2026-02-01T00:00", CHATHAM) == [
        "2025-12-01T00:00+13:45",
        "2026-01-01T00:00+13:45",
        "2026-02-01T00:00+13:45",
        "2026-03-01T00:00+13:45",
    ]
    assert texts("year", "2024-02-29T12:00", "2025-01-01T00:00", VIENNA) == [
        "2024-01-01T00:00+01:00",
        "2025-01-01T00:00+01:00",
        "2026-01-01T00:00+01:00",
    ]


@given(
    st.sampled_from(UNITS[1:]),
    st.integers(86400 * 365 * 3, 2_000_000_000),
    st.integers(0, 1200),
    st.sampled_from(ZONES),
)
def test_boundaries_when_any_range_then_ascending_whole_and_around_it(unit, since, bins, zone):
    until = since + bins * times._BIN_SECONDS[unit] // 10
    bounds = boundaries(unit, since, until, zone)
    assert bounds == sorted(set(bounds))
    assert len(bounds) >= 2
    assert bounds[0] <= since < bounds[1]
    assert bounds[-2] <= until < bounds[-1]
    step = 60 if unit == "minute" else 900
    assert all(bound % step == 0 for bound in bounds)


@pytest.mark.parametrize(
    ("seconds", "zone", "text"),
    [
        (1_623_757_320, timezone(timedelta(hours=4, minutes=30)), "2021-06-15T16:12:00+04:30"),
        (1_623_744_966.004006, TEHRAN, "2021-06-15T12:46:06.004006+04:30"),
        (0, UTC, "1970-01-01T00:00:00Z"),
        (0.5, ZoneInfo("Europe/London"), "1970-01-01T01:00:00.500000+01:00"),
    ],
)
def test_time_when_written_then_rfc3339(seconds, zone, text):
    assert rfc3339(seconds, zone) == text


def test_zone_when_the_setting_is_empty_then_the_machines(monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", ":Asia/Kathmandu")
    assert local_zone(None) == KATHMANDU
    assert local_zone(VIENNA) is VIENNA
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(times, "LOCAL_TIME", tmp_path / "localtime")
    assert local_zone(None) is UTC
    with open("/usr/share/zoneinfo/Asia/Tehran", "rb") as file:
        (tmp_path / "localtime").write_bytes(file.read())
    summer = datetime(2021, 6, 15, tzinfo=local_zone(None))
    assert summer.utcoffset() == timedelta(hours=4, minutes=30)
    monkeypatch.setenv("TZ", "No/Such")
    assert local_zone(None) is UTC


def test_zone_when_the_machines_is_a_link_then_it_has_the_name_of_the_zone(monkeypatch, tmp_path):
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Vienna")
    monkeypatch.setattr(times, "LOCAL_TIME", tmp_path / "localtime")
    assert str(local_zone(None)) == "Europe/Vienna"


def test_interval_when_zero_then_the_present_bin():
    now = at("2026-06-15T12:00:30", UTC)
    start = parse_interval("0m").before(now, UTC)
    assert math.isclose(start, now)
    assert boundaries("minute", start, now, UTC) == [int(now) - 30, int(now) + 30]


def test_zone_when_set_then_of_the_database_or_one_sentence(tmp_path):
    assert settings_of(tmp_path)["timezone"] is None
    assert settings_of(tmp_path, {"timezone": "Asia/Kathmandu"})["timezone"] == KATHMANDU
    for wrong in ("Nowhere/City", "../../etc/passwd", "Europe", "/etc/localtime", "+01:00"):
        with pytest.raises(SettingsError, match="timezone: expected a time zone such as Europe/V"):
            settings_of(tmp_path, {"timezone": wrong})
