"""Reports over a flow log of two days, as the API, the command line and CSV have them."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import appliance
from appliance.app import open_app
from appliance.errors import SettingsError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import set_plugin_columns
from appliance.plugins.reports.making import ReportMaker
from appliance.plugins.reports.periods import PeriodError, period_from_text
from appliance.plugins.reports.report_settings import CUSTOMERS, Customer
from appliance.plugins.reports.showing import report_csv, report_text
from tests.plugins.alerts.conftest import flows
from tests.plugins.reports.conftest import World
from tests.web.building import NOW, settings_of

DAY, BIN = 86_400, 300
MIDNIGHT = int(NOW) // DAY * DAY
YESTERDAY = MIDNIGHT - DAY
DATES = [f"{datetime.fromtimestamp(YESTERDAY - n, UTC):%Y-%m-%d}" for n in (0, 1)]
MEGABIT_BIN = 37_500_000
"""Octets of five minutes at 1 Mbit/s."""


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    customers = {"Acme": ["10.0.0.1/32"], "=1+1": {"in": "in if 7", "out": "out if 8"}}
    return settings_of(tmp_path, {"reports": {"customers": customers}})


@pytest.fixture
def log(settings: Any) -> None:
    """Each five minutes of two days a flow of 1 Mbit/s; yesterday 14 of 2 and 15 of 3."""
    writer = FlowLogWriter(
        settings["data_directory"] / "flowlog", FlowLogLimits(minimum_free_octets=0)
    )
    writer.start()
    for place in range(-288, 288):
        at = YESTERDAY + place * BIN
        factor = 3 if 0 <= place < 15 else 2 if 15 <= place < 29 else 1
        facts = {"ingress_interface": 7, "egress_interface": 8}
        writer.append(flows(1, at + 60, octet_delta_count=factor * MEGABIT_BIN, **facts))
    writer.append(flows(1, NOW - 60, octet_delta_count=1))
    writer.flush({}, int(NOW) * 1000)
    writer.close(int(NOW) * 1000)


@pytest.mark.usefixtures("log")
def test_report_when_asked_for_then_totals_tops_and_what_is_billed(client: Any) -> None:
    report = client.get("/api/v1/reports/daily").json
    assert (report["period"], report["estimated"]) == (
        DATES[0],
        False,
    )
    octets = report["totals"][0]
    assert octets["value"] == (288 + 14 + 30) * MEGABIT_BIN
    assert octets["before"] == 288 * MEGABIT_BIN
    assert octets["change_percent"] == pytest.approx(100 * 44 / 288)
    [source] = report["tops"][0]["rows"]
    assert (source["key"], source["share_percent"]) == ("10.0.0.1", 100)
    assert report["tops"][2]["rows"][0]["key"] == "tcp"
    billing = {row["name"]: row for row in report["billing"]}
    # 15 bins of 3 Mbit/s: 14 of 288 are left out, the next one is billed.
    inside = billing["10.0.0.254/7"]
    assert (inside["ingress"], inside["egress"], inside["direction"]) == (3e6, 0, "in")
    assert (inside["billed"], inside["bins"], inside["kind"]) == (3e6, 288, "interface")
    assert (billing["Acme"]["ingress"], billing["Acme"]["egress"]) == (0, 3e6)
    assert (billing["=1+1"]["ingress"], billing["=1+1"]["egress"]) == (3e6, 3e6)
    assert sum(report["series"]["bits_a_second"]) == pytest.approx(96 * (288 + 14 + 30) / 288 * 1e6)
    before = client.get(f"/api/v1/reports/daily?date={DATES[1]}").json
    assert {row["billed"] for row in before["billing"]} == {1e6}
    assert before["totals"][0]["change_percent"] is None


@pytest.mark.usefixtures("log")
def test_report_when_of_a_month_then_parts_of_five_days_are_one(settings: Any) -> None:
    report = ReportMaker(settings, UTC, NOW).make(period_from_text("monthly", DATES[0], NOW, UTC))
    inside = next(row for row in report["billing"] if row["name"] == "10.0.0.254/7")
    text = report_text(report)
    assert "flows are stored from" in text
    assert inside["bins"] < 8928
    assert inside["billed"] in (1e6, 2e6, 3e6)
    assert "95th percentile" in text


@pytest.mark.parametrize(("day", "is_whole"), [("2026-01-26", True), ("2026-01-19", False)])
def test_report_when_the_period_before_is_not_whole_then_no_change(
    world: World, day: str, is_whole: bool
) -> None:
    period = period_from_text("weekly", day, world.now, UTC)
    report = ReportMaker(world.settings, UTC, world.now).make(period)
    assert report["compared"] is is_whole
    assert (report["totals"][0]["change_percent"] is not None) is is_whole
    assert (report["tops"][0]["rows"][0]["change_percent"] is not None) is is_whole
    text = report_text(report)
    assert ("there is no whole week before to compare with" in text) is not is_whole
    assert ("change" in text) is is_whole


@pytest.mark.usefixtures("log")
def test_csv_when_a_name_is_a_formula_then_with_an_apostrophe(settings: Any) -> None:
    report = ReportMaker(settings, UTC, NOW).make(period_from_text("daily", "", NOW, UTC))
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(report_csv(report)))}
    assert rows["'=1+1"]["billed"] == "3000000"
    assert rows["10.0.0.254/7"]["kind"] == "interface"


def test_report_when_there_are_no_flows_then_empty(client: Any) -> None:
    report = client.get("/api/v1/reports/weekly").json
    assert {row["value"] for row in report["totals"]} == {0}
    assert [row["billed"] for row in report["billing"]] == [None, None]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("yearly", 404, "unknown report, expected daily, weekly, monthly"),
        ("daily?date=x", 400, "expected a day such as 2026-01-31"),
        ("daily?day=2026-01-31", 400, "day: unknown parameter"),
        ("daily?date=9000-01-01", 400, "expected a day that is not ahead"),
        ("daily?date=0001-01-01", 400, "expected a day"),
    ],
)
def test_report_when_there_is_no_such_one_then_one_sentence(
    client: Any, path: str, status: int, error: str
) -> None:
    answer = client.get(f"/api/v1/reports/{path}")
    assert answer.status == status
    assert error in json.dumps(answer.json)


def test_period_when_clocks_change_then_days_of_the_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 6, 1, tzinfo=zone).timestamp()
    day = period_from_text("daily", "2026-03-29", now, zone)
    assert day.until - day.since == 23 * 3600
    month = period_from_text("monthly", "2026-03-31", now, zone)
    assert month.since == datetime(2026, 3, 1, tzinfo=zone).timestamp()
    assert month.before == datetime(2026, 2, 1, tzinfo=zone).timestamp()
    assert (
        datetime.fromtimestamp(period_from_text("weekly", "", now, zone).since, zone).weekday() == 0
    )
    with pytest.raises(PeriodError):
        period_from_text("daily", "2026-02-30", now, zone)


def test_setting_when_written_as_in_the_manual_then_read(conf: Callable[[str], Path]) -> None:
    manual = (Path(appliance.__file__).parent / "manual" / "reports.md").read_text()
    (block,) = re.findall(r"^    reports:\n(?:     .*\n)+", manual, re.MULTILINE)
    customers = open_app(conf(textwrap.dedent(block))).settings[CUSTOMERS.name]
    assert customers["Acme"].ingress == "dst net 192.0.2.0/24 or dst net 2001:db8:1::/48"
    assert customers["Transit"] == Customer("in if 3", "out if 3")
    set_plugin_columns(())


@pytest.mark.parametrize("value", ["[10.0.0.1/8]", "{in: x}", "[]", "nonsense"])
def test_customer_when_not_understood_then_refused(conf: Callable[[str], Path], value: str) -> None:
    with pytest.raises(SettingsError, match="customers by name with networks"):
        open_app(conf(f"reports:\n  customers: {{Acme: {value}}}\n"))
