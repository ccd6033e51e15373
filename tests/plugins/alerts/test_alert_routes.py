"""Alerts over the web and on the command line."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import USER, UserChange
from appliance.plugins.alerts.alert_metrics import AlertMetrics
from appliance.plugins.alerts.store import Alert, AlertStore, alert_store
from appliance.plugins.alerts.user_rules import user_store
from tests.plugins.test_explore import NOW_MS, flows
from tests.web.appliance import JSON

__all__ = ["flows"]

BASE = "/api/v1/alerts"
RULE = {"measure": "bps", "by": "source", "limit": "100", "window": 60, "filter": "port 443"}


@pytest.fixture
def alerts(settings: Any) -> AlertStore:
    return alert_store(settings)


def put(client: Any, path: str, body: Any, token: str = "administrator") -> Any:
    return client("PUT", f"{BASE}/{path}", json.dumps(body).encode(), token=token, **JSON)


def begun(
    store: AlertStore, sentence: str = "a rule: it is bad", ended: float | None = None
) -> int:
    facts = ("a rule", "10.0.0.1", "warning", (0, 1), NOW_MS / 1000, None, 5.0, sentence, ())
    number = store.open_alert(Alert(0, *facts, None, None, None))
    if ended is not None:
        store.update_alert(number, 7.0, ended)
    return number


def test_alerts_when_there_are_some_then_newest_first_in_pages(
    client: Any, alerts: AlertStore
) -> None:
    assert client.get(BASE).json == {"alerts": [], "open": 0, "next": None}
    numbers = [begun(alerts, ended=NOW_MS / 1000 + 60 if n % 2 else None) for n in range(5)]
    first = client.get(f"{BASE}?limit=2").json
    assert [alert["id"] for alert in first["alerts"]] == numbers[:2:-1]
    assert (first["open"], first["next"]) == (3, numbers[3])
    rest = client.get(f"{BASE}?limit=10&before={first['next']}").json
    assert [alert["id"] for alert in rest["alerts"]] == numbers[2::-1]
    assert rest["next"] is None
    still = client.get(f"{BASE}?open=true").json["alerts"]
    assert [alert["ended"] for alert in still] == [None] * 3
    assert "keys" not in still[0]


def test_alert_when_seen_then_by_whom_and_what_they_say(client: Any, alerts: AlertStore) -> None:
    number = begun(alerts)
    answer = put(client, str(number), {"Comment": "a backup, <b>known</b>"})
    assert (answer.status, answer.json["comment"]) == (200, "a backup, <b>known</b>")
    assert answer.json["acknowledged_by"]
    assert put(client, "999", {"Comment": ""}).status == 404
    assert put(client, "x", {"Comment": ""}).status == 404
    assert put(client, str(number), {"Comment": "x" * 501}).status == 400
    assert put(client, str(number), {}, token="user").status == 403


def test_rule_when_added_changed_switched_and_deleted_then_as_asked(client: Any) -> None:
    made = put(client, "rules/my rule", RULE)
    assert made.status == 200, made.json
    assert made.json["sentence"] == "at least 100 bits a second of port 443 by source, over 60 s"
    assert put(client, "rules/my rule", {"is_on": False, "limit": "2.5"}).json["limit"] == 2.5
    known = {rule["name"]: rule for rule in client.get(f"{BASE}/rules").json["rules"]}
    assert (known["my rule"]["is_on"], known["my rule"]["ready_made"]) == (False, False)
    assert known["SYN flood"]["ready_made"]
    gone = client("DELETE", f"{BASE}/rules/my rule", token="administrator")
    assert gone.json == {"deleted": "my rule"}
    assert client("DELETE", f"{BASE}/rules/my rule", token="administrator").status == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"limit": "5", "measure": "bsp"}, "measure: unknown word, did you mean bps?"),
        ({"limit": "5", "filter": "prot tcp"}, "ine 1, column 1: expected a field"),
        ({}, "limit: expected a number above 0"),
        ({"limit": ["5", "6"]}, "limit: expected one value"),
        ({"limit": "5", "lmit": "6"}, "Unknown parameters: lmit"),
    ],
)
def test_rule_when_it_does_not_fit_then_400_with_one_sentence(
    client: Any, body: Any, error: str
) -> None:
    answer = put(client, "rules/r", body)
    assert answer.status == 400
    assert error in json.dumps(answer.json).replace("\\", "")
    assert "r" not in {rule["name"] for rule in client.get(f"{BASE}/rules").json["rules"]}


def test_rule_when_somebody_without_the_role_changes_it_then_refused(client: Any) -> None:
    assert put(client, "rules/r", RULE, token="user").status == 403
    assert client("DELETE", f"{BASE}/rules/SYN flood", token="user").status == 403


@pytest.mark.usefixtures("flows")
def test_rule_when_tried_on_the_past_then_when_it_would_have_been_in_alert(client: Any) -> None:
    # 10.0.0.n sends n x 600 octets a minute: n x 80 bit/s.
    put(client, "rules/r", {**RULE, "limit": "200", "clear": "200"})
    answer = client.get(f"{BASE}/rules/r/test?last=1h", token="administrator").json
    assert answer["step_seconds"] == 60
    assert sorted({alert["subject"] for alert in answer["alerts"]}) == ["10.0.0.3", "10.0.0.4"]
    peaks = {alert["subject"]: alert["peak"] for alert in answer["alerts"]}
    assert peaks == pytest.approx({"10.0.0.3": 240, "10.0.0.4": 320})
    whole = [alert for alert in answer["alerts"] if alert["subject"] == "10.0.0.4"]
    assert len(whole) == 1
    put(client, "rules/r", {"condition": "below", "by": "", "clear": None, "limit": "1"})
    answer = client.get(f"{BASE}/rules/r/test?last=1h", token="administrator").json
    assert all(alert["subject"] == "" for alert in answer["alerts"])


def test_rule_when_the_past_does_not_tell_then_one_sentence(client: Any) -> None:
    path = f"{BASE}/rules/scan of many hosts/test"
    answer = client.get(path, token="administrator")
    assert answer.status == 400, answer.json
    assert "bps, pps, fps" in str(answer.json)
    assert client.get(f"{BASE}/rules/none/test", token="administrator").status == 404
    longest = client.get(f"{BASE}/rules/SYN flood/test?last=200d", token="administrator")
    assert longest.status == 400


def test_commands_when_rules_are_set_and_listed_then_as_over_the_web(
    conf: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = conf(f"data_directory: {tmp_path / 'var'}\n")

    def run(*arguments: str) -> tuple[int, str]:
        code = run_command_line(group, ["-confPath", f"{folder}/", "alerts", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert run() == (0, "no alert is open, no rule is on: see appliance alerts rules\n")
    code, text = run("set", "big", "--measure", "pps", "--limit", "1000", "--filter", "port 53")
    assert (code, text) == (0, "big is on: at least 1k packets a second of port 53, over 60 s\n")
    assert run("on", "SYN flood")[0] == 0
    listed = run("rules")[1].splitlines()
    assert [line for line in listed if line.startswith("on ")] == [
        line for line in listed if "big " in line or "SYN flood " in line
    ]
    assert run("off", "big") == (0, "big is off\n")
    assert run("delete", "big") == (0, "big is deleted\n")
    code, text = run("delete", "big")
    assert (code, text) == (1, "appliance: no rule is called 'big'\n")
    number = begun(AlertStore(tmp_path / "var" / "alerts.sqlite"), "a rule: \x1b[31mred")
    code, text = run()
    assert str(number) in text
    assert "a rule" in text
    assert "\x1b" not in text
    assert json.loads(run("--json")[1])[0]["peak"] == 5.0
    code, text = run("message")
    assert (code, text) == (1, "appliance: alerts.send_to names nobody\n")


def test_commands_when_of_a_user_then_within_the_filter_and_listed_with_the_name(
    conf: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = conf(f"data_directory: {tmp_path / 'var'}\n")

    def run(*arguments: str) -> tuple[int, str]:
        code = run_command_line(group, ["-confPath", f"{folder}/", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    with closing(open_app(folder).open_accounts()) as accounts:
        values = {"username": "customer17", "password_hash": "x"}
        change = UserChange(values, (USER,), filter="ip 198.51.100.0/24")
        number = accounts.create_user(change, 1.0)
        accounts.create_user(UserChange({**values, "username": "free"}, (USER,)), 1.0)
    of_user = ("--user", "customer17")
    made = run("alerts", "set", "busy", "--limit", "5M", *of_user)
    assert made == (1, "appliance: limit: expected a number\n")
    made = run("alerts", "set", "busy", "--limit", "5000000", *of_user)
    assert made == (0, "busy is on: at least 5M bits a second, over 60 s\n")
    lines = run("alerts", "rules")[1].splitlines()
    assert [line for line in lines if line.startswith("on ")] == [
        line for line in lines if "customer17: busy " in line
    ]
    assert "SYN flood" in run("alerts", "rules", *of_user)[1]
    assert "flows lost" not in run("alerts", "rules", *of_user)[1]
    listed = json.loads(run("alerts", "rules", "--json")[1])
    assert {rule["name"]: rule["user"] for rule in listed}["busy"] == "customer17"
    code, text = run("alerts", "test", "busy", "--last", "1h", *of_user)
    assert (code, "in alert 0 times" in text) == (0, True)
    settings = open_app(folder).settings
    begun(user_store(settings, number, 10, "ip 198.51.100.0/24"), "busy: of the customer")
    assert "of the customer" in run("alerts", *of_user)[1]
    assert "of the customer" not in run("alerts")[1]
    lossy = ("--measure", "lost", "--by", "exporter", "--limit", "1")
    code, text = run("alerts", "set", "lossy", *lossy, *of_user)
    assert (code, "bound to a filter cannot have it" in text) == (1, True)
    for command in (("set", "r", "--limit", "1"), ("on", "SYN flood"), ("test", "SYN flood")):
        assert run("alerts", *command, "--user", "free") == (
            1,
            "appliance: free is bound to no filter, so has no rules\n",
        )
    assert run("alerts", "--user", "nobody") == (1, "appliance: no user is named nobody\n")
    with closing(open_app(folder).open_accounts()) as accounts:
        accounts.delete_user(number)
    assert f"user {number}: busy " in run("alerts", "rules")[1]
    assert "is gone: the rules are not looked at" in run("alerts", "rules")[1]


def test_metrics_when_users_have_alerts_then_counted_apart(settings: Any) -> None:
    begun(alert_store(settings))
    for account in (7, 12):
        begun(user_store(settings, account, 10, "ip 10.0.0.1"))
    metrics = {family.name: family for family in AlertMetrics(settings).collect()}
    values = {
        name: {sample.labels["severity"]: sample.value for sample in family.samples}["warning"]
        for name, family in metrics.items()
    }
    assert values == {"appliance_open_alerts": 1, "appliance_open_user_alerts": 2}
