"""Named reports over the web: set, listed, shown as they were kept."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from appliance.flowlog import FLOW_LOG_FOLDER
from tests.plugins.reports.conftest import HOUR, MONDAY, World
from tests.web.appliance import JSON
from tests.web.building import Client, FakeStore, web_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""

BASE = "/api/v1/reports"
SIX = MONDAY + 6 * HOUR
BODY = {"kind": "weekly", "to": ["noc@example.com"], "hour": 6, "customers": ["=1+1"]}


@pytest.fixture
def web(world: World) -> Client:
    return Client(web_of(FakeStore([], []), world.settings, now=SIX))


def put(web: Client, name: str, body: Any) -> Any:
    path = f"{BASE}/named/{name}"
    return web("PUT", path, json.dumps(body).encode(), token="administrator", **JSON)


def test_report_when_set_then_listed_with_what_comes_next(web: Client) -> None:
    answer = put(web, "weekly one", BODY)
    assert (answer.status, answer.json["name"]) == (200, "weekly one")
    # What is not said stays as it was.
    changed = put(web, "weekly one", {"hour": "7", "is_on": False, "customers": []}).json
    assert (changed["hour"], changed["to"], changed["next"]) == (7, ["noc@example.com"], None)
    assert changed["customers"] == []
    put(web, "weekly one", {"is_on": True})
    listed = web.get(BASE, token="administrator").json
    [report] = listed["reports"]
    assert (report["to"], report["next"]) == (["noc@example.com"], "2026-02-02T07:00:00Z")
    assert report["last"] is None
    assert (listed["can_send"], listed["customers"]) == (True, ["Acme <b>&co</b>", "=1+1"])


def test_reports_when_a_user_lists_them_then_without_recipients(web: Client) -> None:
    put(web, "weekly one", BODY)
    text = json.dumps(web.get(BASE, token="user").json)
    assert "weekly one" in text
    assert "noc@example.com" not in text


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("send", BODY, "name: send is a word of appliance report itself"),
        ("r", {"kind": "yearly"}, "kind: unknown word"),
        ("r", {"kind": ["daily", "weekly"]}, "kind: expected one value"),
        ("r", {"to": "noc"}, "to: 'noc' is no address"),
        ("r", {"filter": "dst prt 5"}, "filter: line 1"),
        ("r", {"customers": ["Beta"]}, "customers: no 'Beta', expected Acme"),
        ("r", {"sections": ["nonsense"]}, "sections: unknown section"),
        ("r", {"colour": "red"}, "Unknown parameters: colour"),
    ],
)
def test_report_when_it_cannot_be_set_then_one_sentence(
    web: Client, name: str, body: Any, error: str
) -> None:
    answer = put(web, name, body)
    assert answer.status == 400
    assert error in json.dumps(answer.json)
    assert web.get(BASE).json["reports"] == []


def test_report_when_the_flows_are_gone_then_as_it_was_kept(web: Client, world: World) -> None:
    put(web, "NOC", {**BODY, "customers": []})
    world.store.put(world.store.report("NOC"), MONDAY - 1)
    world.put(to=())
    world.work(SIX)
    shutil.rmtree(world.settings["data_directory"] / FLOW_LOG_FOLDER)
    [kept] = web.get(f"{BASE}/kept").json["kept"]
    assert (kept["report"], kept["date"]) == ("NOC", "2026-01-26")
    assert kept["until"] == "2026-02-02T00:00:00Z"
    shown = web.get(f"{BASE}/named/NOC?date={kept['date']}").json
    assert shown["totals"][0]["value"] == 168_000_000
    assert shown["name"] == "NOC"
    # Of another week nothing was kept, and the flows are gone.
    other = web.get(f"{BASE}/named/NOC?date=2026-01-20").json
    assert other["totals"][0]["value"] == 0
    assert web.get(f"{BASE}/kept?name=other").json["kept"] == []


def test_report_when_deleted_then_gone_with_what_was_kept(web: Client, world: World) -> None:
    world.put(to=())
    world.work(SIX)
    assert web("DELETE", f"{BASE}/named/NOC", token="administrator").json == {"deleted": "NOC"}
    assert web.get(f"{BASE}/kept").json["kept"] == []
    for method, path in (("GET", "named/NOC"), ("DELETE", "named/NOC")):
        assert web(method, f"{BASE}/{path}", token="administrator").status == 404


def test_report_when_asked_for_with_nonsense_then_400(web: Client, world: World) -> None:
    world.put()
    assert web.get(f"{BASE}/named/NOC?date=x").status == 400
    assert web.get(f"{BASE}/named/NOC?day=2026-01-31").status == 400


def test_reports_when_a_user_sets_one_then_refused(web: Client) -> None:
    body = json.dumps(BODY).encode()
    assert web("PUT", f"{BASE}/named/r", body, token="user", **JSON).status == 403
