"""Named reports: what they can say, and when they are due."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugins.reports.named_reports import (
    SETTLED_SECONDS,
    NamedReport,
    ReportError,
    report_from_values,
)
from appliance.plugins.reports.periods import KINDS

VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str, zone: Any = VIENNA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("kind", "before", "due", "period"),
    [
        ("daily", "2026-01-31T06:59:59", "2026-01-31T07:00:00", "2026-01-30"),
        ("weekly", "2026-02-02T06:59:59", "2026-02-02T07:00:00", "2026-01-26"),
        ("monthly", "2026-02-01T06:59:59", "2026-02-01T07:00:00", "2026-01-01"),
    ],
)
def test_report_when_its_hour_comes_then_due_by_the_local_clock(
    kind: str, before: str, due: str, period: str
) -> None:
    report = NamedReport("r", kind, hour=7, zone="Europe/Vienna")
    found = report.due_period(at(due), UTC)
    assert found.since == at(f"{period}T00:00:00")
    # Until then it is the one before, which a machine that was off makes up for.
    assert report.due_period(at(before), UTC).until == found.since
    assert report.next_due_at(at(before), UTC) == at(due)


def test_report_when_the_hour_is_midnight_then_after_late_flows() -> None:
    report = NamedReport("r", "daily", hour=0)
    midnight = at("2026-01-31T00:00:00", UTC)
    assert report.due_period(midnight, UTC).until == midnight - 86_400
    assert report.due_period(midnight + SETTLED_SECONDS, UTC).until == midnight


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
@pytest.mark.parametrize("hour", [2, 3, 23])
def test_report_when_clocks_change_then_once_that_day(day: str, hour: int) -> None:
    report = NamedReport("r", "daily", hour=hour, zone="Europe/Vienna")
    start = at(f"{day}T00:00:00")
    end = report.due_period(start + 2 * 86_400, UTC).until
    due = [report.due_period(moment, UTC) for moment in range(int(start), end, 600)]
    assert [period.until <= start for period in due] == [True] * len(due)
    assert len(set(due)) == 2
    assert report.next_due_at(start, UTC) - start in {(hour + n) * 3600 for n in (-1, 0, 1)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_next_when_asked_at_any_time_then_ahead_and_then_due(kind: str) -> None:
    report = NamedReport("r", kind, hour=5, zone="Europe/Vienna")
    for day in range(0, 70, 3):
        now = at("2026-01-01T04:30:00") + day * 86_400
        due = report.next_due_at(now, UTC)
        assert now < due <= now + 32 * 86_400
        before, after = report.due_period(due - 1, UTC), report.due_period(due, UTC)
        assert after.since == before.until


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"name": ""}, "name: expected"),
        ({"name": "a/b"}, "name: expected"),
        ({"name": "a\nb"}, "name: expected"),
        ({"name": "Weekly"}, "name: Weekly is a word of appliance report itself"),
        ({"name": "send"}, "name: send is a word"),
        ({"kind": "yearly"}, "kind: unknown word, expected daily, weekly, monthly"),
        ({"hour": "24"}, "hour: expected 0 to 23"),
        ({"hour": "x"}, "hour: expected a whole number"),
        ({"hour": True}, "hour: expected a whole number"),
        ({"rows": 51}, "rows: expected 1 to 50"),
        ({"zone": "Mars/Base"}, "zone: expected a time zone such as"),
        ({"zone": "../etc/passwd"}, "zone: expected a time zone such as"),
        ({"to": ["a@b.example", "nobody"]}, "to: 'nobody' is no address"),
        ({"to": ["a@b.example\r\nBcc: c@d.example"]}, "to: expected printable texts"),
        ({"to": [f"a{n}@b.example" for n in range(51)]}, "to: at most 50"),
        ({"sections": []}, "sections: expected one at least"),
        ({"sections": ["total"]}, "unknown section, did you mean totals?"),
        ({"sections": 5}, "sections: expected a list of texts"),
        ({"is_on": "yes"}, "is_on: expected true or false"),
        ({"colour": "red"}, "unknown key"),
    ],
)
def test_report_when_a_value_does_not_fit_then_one_sentence(
    values: dict[str, Any], text: str
) -> None:
    with pytest.raises(ReportError, match=r".*") as problem:
        report_from_values({"name": "r", **values})
    assert text in str(problem.value)
    assert "\n" not in str(problem.value)


def test_report_when_written_and_read_then_the_same() -> None:
    report = NamedReport(
        "weekly, for the NOC", "daily", ("a@b.example",), 23, "Europe/Vienna", "port 443",
        ("totals", "source/24"), ("Acme",), 5, False,
    )  # fmt: skip
    assert report_from_values(report.as_dict()) == report


_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.sampled_from([*NamedReport.__dataclass_fields__, "x"]), _VALUES))
def test_report_when_of_any_values_then_a_report_or_a_sentence(values: dict[str, Any]) -> None:
    with contextlib.suppress(ReportError):
        report = report_from_values({"name": "r", **values})
        assert report_from_values(report.as_dict()) == report
