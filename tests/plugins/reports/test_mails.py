"""Mails and pictures of reports that hold anything: whole, escaped, and bounded."""

from __future__ import annotations

import io
from datetime import UTC
from email import message_from_bytes, policy
from html import escape
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.mail import message_octets
from appliance.plugins.reports.contents import DEFAULT_SECTIONS
from appliance.plugins.reports.mail_pages import MAX_BILLED, mail_page
from appliance.plugins.reports.mails import Envelope, report_mail
from appliance.plugins.reports.periods import KINDS, period_from_text
from appliance.plugins.reports.pictures import Chart, chart_png, height_ticks, time_ticks

ENVELOPE = Envelope("box@example.com", ("noc@example.com",), "Wien", 1_769_990_400.0)
VIENNA = ZoneInfo("Europe/Vienna")


def report(**more: Any) -> dict[str, Any]:
    """Return a report as `ReportMaker` makes it."""
    rate = {"ingress": 1e6, "egress": 2e6, "billed": 2e6, "direction": "out", "bins": 288}
    return {
        "name": "NOC", "filter": "", "sections": list(DEFAULT_SECTIONS), "kind": "daily",
        "period": "2026-01-31", "since": "2026-01-31T00:00:00+01:00",
        "until": "2026-02-01T00:00:00+01:00", "complete_from": "2026-01-31T00:00:00+01:00",
        "complete_until": "2026-02-01T00:00:00+01:00", "estimated": False, "compared": True,
        "totals": [{"measure": "octets", "value": 5e9, "before": 4e9, "change_percent": 25.0}],
        "tops": [{"by": "source", "rows": [
            {"key": "10.0.0.1", "octets": 5e9, "share_percent": 100.0, "change_percent": None},
        ]}],
        "series": {"step_seconds": 900, "bits_a_second": [1e6] * 96, "mean": 1e6, "maximum": 3e6},
        "billing": [{"kind": "interface", "name": "10.0.0.254/7", "description": "Gi0/7", **rate}],
        **more,
    }  # fmt: skip


class Text(HTMLParser):
    """Gathers tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_page_when_texts_are_anything_then_the_markup_is_ours_only(text: str) -> None:
    plain = report()
    rows = [{**plain["tops"][0]["rows"][0], "key": text}]
    billing = [{**plain["billing"][0], "name": text, "description": text}]
    changed = report(filter=text, name=text, tops=[{"by": "source", "rows": rows}], billing=billing)
    pages = [
        mail_page(one, f"{one['name']}, x", text, has_picture=True) for one in (plain, changed)
    ]
    found = []
    for page in pages:
        parser = Text()
        parser.feed(page)
        found.append([tag for tag in parser.tags if tag not in ("br", "span")])
    # The note about the filter is a row more.
    assert set(found[1]) == set(found[0])
    assert escape(text) in pages[1]


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60))
def test_mail_when_texts_are_anything_then_whole_and_read_again(text: str) -> None:
    billing = [{**report()["billing"][0], "description": text}]
    mail = report_mail(report(billing=billing, filter=text), ENVELOPE, UTC)
    again = message_from_bytes(message_octets(mail), policy=policy.default)
    assert again["Subject"] == "Wien: NOC, 2026-01-31"
    assert again.get_body(("html",)) is not None
    assert len(list(again.iter_attachments())) == 3


def test_mail_when_read_as_text_then_every_letter_is_there() -> None:
    rows = [{**report()["tops"][0]["rows"][0], "key": "10.0.0.1 ↔ 10.0.0.2"}]
    tops = [{"by": "conversation", "rows": rows}]
    mail = report_mail(report(tops=tops), ENVELOPE, UTC)
    again = message_from_bytes(message_octets(mail), policy=policy.default)
    text = again.get_body(("plain",)).get_content()
    assert "10.0.0.1 ↔ 10.0.0.2  5.0 GB  100.0 %     new" in text
    assert "\x1b" not in text


def test_files_when_names_have_other_letters_then_named_by_them_and_nothing_unsafe() -> None:
    mail = report_mail(report(name="für (A&B): x"), ENVELOPE, UTC)
    again = message_from_bytes(message_octets(mail), policy=policy.default)
    names = [str(one.get_filename()) for one in again.iter_attachments()]
    assert names[0] == "Wien-für-A-B-x-2026-01-31-traffic.csv"


def test_page_when_very_much_is_billed_then_some_and_how_many_more() -> None:
    [row] = report()["billing"]
    billing = [{**row, "name": f"10.0.0.254/{n}"} for n in range(MAX_BILLED + 7)]
    mail = report_mail(report(billing=billing), ENVELOPE, UTC)
    page = mail.get_body(("html",))
    assert page is not None
    assert "and 7 more, in the attached CSV" in page.get_content()
    [file] = [
        one for one in mail.iter_attachments() if str(one.get_filename()).endswith("billing.csv")
    ]
    assert file.get_content().count("10.0.0.254/") == MAX_BILLED + 7


def test_page_when_there_is_nothing_to_compare_with_then_no_change() -> None:
    page = mail_page(report(compared=False), "NOC", "Wien", has_picture=True)
    assert "There is no whole day before to compare with" in page
    assert "new" not in page
    assert "before 4.0 GB" not in page


def test_mail_when_there_were_no_flows_then_without_picture() -> None:
    series = {"step_seconds": 900, "bits_a_second": [0.0] * 96, "mean": None, "maximum": None}
    mail = report_mail(report(series=series, tops=[], billing=[]), ENVELOPE, UTC)
    assert {part.get_content_type() for part in mail.walk()} == {
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/csv",
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-02-15"])
def test_picture_when_of_any_period_then_marks_are_in_it(kind: str, day: str) -> None:
    period = period_from_text(kind, day, 1_800_000_000, VIENNA)
    marks = list(time_ticks(period.since, period.until, VIENNA))
    assert 5 <= len(marks) <= 8
    assert all(period.since <= at <= period.until for at, _ in marks)
    assert len({text for _, text in marks}) == len(marks)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 1e18), max_size=96),
    st.floats(-1e6, 2e6),
)
def test_picture_when_values_are_anything_then_a_png(values: list[float], stored: float) -> None:
    since = 1_769_900_400.0
    chart = Chart(since, since + 86_400, since + stored, 900, values)
    octets = chart_png(chart, VIENNA)
    assert Image.open(io.BytesIO(octets)).size == (1200, 400)
    assert len(octets) < 200_000


@given(st.floats(0, 1e18))
def test_scale_when_of_any_height_then_a_few_marks_that_hold_it(largest: float) -> None:
    top, marks = height_ticks(largest)
    assert top >= largest
    assert 1 <= len(marks) <= 9
    assert marks == sorted(set(marks))
