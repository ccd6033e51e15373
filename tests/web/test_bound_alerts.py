"""A bound user tries to get out by alerts: rules, their tests on the past, alerts and messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contracts import USER, UserChange
from appliance.plugins.alerts.alert_settings import USER_RULES
from appliance.plugins.alerts.own_routes import NOT_BOUND
from appliance.plugins.alerts.store import Alert, alert_store
from appliance.plugins.alerts.user_rules import user_store
from appliance.web.caller_filter import UNUSABLE
from tests.web.appliance import JSON
from tests.web.building import Reply
from tests.web.test_bound_filters import SOUP, VALID
from tests.web.two_tenants import FILTER, N_FLOWS, NAMES, OCTETS, Tenants, made_tenants, marks

OWN = "/api/v1/account/alerts"
ALL = "/api/v1/alerts"
ADMIN = "/account"
BUSY = {"measure": "bps", "by": "source", "window": 60, "limit": "1", "clear": "1"}


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    made = made_tenants(tmp_path_factory.mktemp("tenants"))
    yield made
    made.appliance.close()


def call(tenants: Tenants, method: str, path: str, body: Any = None, token: str = "") -> Reply:
    octets = b"" if body is None else json.dumps(body).encode()
    kind = JSON if body is not None else {}
    return tenants.appliance.client(method, path, octets, token=token or tenants.bound, **kind)


def put(tenants: Tenants, name: str, token: str = "", **values: Any) -> Reply:
    return call(tenants, "PUT", f"{OWN}/rules/{name}", BUSY | values, token)


def account_of(tenants: Tenants, name: str) -> int:
    user = tenants.appliance.store.user_named(name)
    assert user is not None
    return user.id


def begun(tenants: Tenants, name: str | None, sentence: str, text: str = FILTER) -> int:
    """Keep an alert of a user, or of the appliance, and return its number."""
    configured = tenants.appliance.app.settings
    if name is None:
        store = alert_store(configured)
    else:
        store = user_store(configured, account_of(tenants, name), 10, text)
    evidence = ({"source": "10.2.0.1" if "secret" in sentence else "10.1.0.1"},)
    facts = ("r", "", "warning", (), time.time(), None, 1.0, sentence, evidence)
    return store.open_alert(Alert(0, *facts, None, None, None))


def names(reply: Reply) -> set[str]:
    return {rule["name"] for rule in reply.json["rules"]}


def test_rules_when_of_others_then_as_if_they_were_not_there(tenants: Tenants) -> None:
    other = tenants.add_bound("neighbour", "ip 10.2.0.0/16")
    assert call(tenants, "PUT", f"{ALL}/rules/secret of all", BUSY, tenants.appliance.admin).status
    assert put(tenants, "secret of neighbour", other).status == 200
    assert put(tenants, "mine").status == 200
    listed = call(tenants, "GET", f"{OWN}/rules")
    assert "mine" in names(listed)
    assert not marks(listed)
    for name in ("secret of all", "secret of neighbour", "none"):
        gone = call(tenants, "DELETE", f"{OWN}/rules/{name}")
        tried = call(tenants, "GET", f"{OWN}/rules/{name}/test")
        assert (gone.status, tried.status) == (404, 404)
        assert gone.json["message"] == tried.json["message"] == f"no rule is called '{name}'"
    # The same name is another rule: nobody's is changed, and nothing says that it was there.
    assert put(tenants, "secret of neighbour", severity="info").status == 200
    theirs = call(tenants, "GET", f"{OWN}/rules", token=other).json["rules"]
    assert {r["severity"] for r in theirs if r["name"] == "secret of neighbour"} == {"warning"}
    assert call(tenants, "DELETE", f"{OWN}/rules/secret of neighbour").status == 200
    assert "secret of neighbour" in names(call(tenants, "GET", f"{OWN}/rules", token=other))
    assert call(tenants, "DELETE", f"{OWN}/rules/mine").status == 200


def test_alerts_when_of_others_then_not_counted_paged_or_acknowledged(tenants: Tenants) -> None:
    other = tenants.add_bound("elsewhere", "ip 10.2.0.0/16")
    for _ in range(5):
        begun(tenants, None, "secret of all")
        begun(tenants, "elsewhere", "secret of elsewhere", "ip 10.2.0.0/16")
    own = begun(tenants, "tenant", "mine")
    listed = call(tenants, "GET", OWN)
    assert ([one["id"] for one in listed.json["alerts"]], listed.json["open"]) == ([own], 1)
    assert not marks(listed)
    for query in ("limit=1", "before=99", "open=true", "limit=1000&before=1000000"):
        reply = call(tenants, "GET", f"{OWN}?{query}")
        assert [one["sentence"] for one in reply.json["alerts"]] == ["mine"], query
    for query in ("user=elsewhere", "userId=1", "bound_to=any", "rule=r"):
        assert call(tenants, "GET", f"{OWN}?{query}").status == 400
    # Five of another have the numbers 1 to 5; here there is one.
    for number in (own + 1, 5, 0, -1, 10**18, "x"):
        seen = call(tenants, "PUT", f"{OWN}/{number}", {"Comment": "out"})
        assert seen.status == 404
        assert not marks(seen)
    assert call(tenants, "PUT", f"{OWN}/{own}", {"Comment": "known"}).json["comment"] == "known"
    theirs = call(tenants, "GET", OWN, token=other).json
    assert [one["comment"] for one in theirs["alerts"]] == [None] * 5
    everybody = call(tenants, "GET", ALL, token=tenants.appliance.admin).json
    assert {one["sentence"] for one in everybody["alerts"]} == {"secret of all"}
    assert {one["comment"] for one in everybody["alerts"]} == {None}


def test_routes_of_all_and_of_each_user_when_called_by_a_bound_user_then_closed(
    tenants: Tenants,
) -> None:
    number = account_of(tenants, "tenant")
    for path in ("", f"/{number}", "/1"):
        for end in ("alerts", "alerts/rules", "alerts/rules/SYN flood/test"):
            assert call(tenants, "GET", f"/api/v1/admin/account{path}/{end}").status in (403, 404)
    for method, path in (
        ("PUT", f"/api/v1/admin/account/{number}/alerts/rules/r"),
        ("DELETE", f"/api/v1/admin/account/{number}/alerts/rules/r"),
        ("PUT", f"/api/v1/admin/account/{number}/alerts/1"),
        ("PUT", f"{ALL}/rules/r"),
        ("PUT", f"{ALL}/1"),
        ("DELETE", f"{ALL}/rules/SYN flood"),
    ):
        body = {} if method == "PUT" else None
        assert call(tenants, method, path, body).status == 403, path
    for path in (ALL, f"{ALL}/rules", f"{ALL}/rules/SYN flood/test"):
        assert call(tenants, "GET", path).status == 403


@pytest.mark.parametrize(
    "text",
    [
        *("", "any", "ip 10.2.0.0/16", "any or src ip 10.2.0.0/16", "not ip 10.1.0.0/16"),
        "exporter 192.0.2.2 or exporter 192.0.2.1",
    ],
)
@pytest.mark.parametrize("measure", ["bps", "share"])
def test_rule_when_tried_on_the_past_then_of_the_own_flows_only(
    tenants: Tenants, text: str, measure: str
) -> None:
    for by in ("source", "", "exporter", "ingress_interface", "destination"):
        assert put(tenants, "try", filter=text, by=by, measure=measure).status == 200
        reply = call(tenants, "GET", f"{OWN}/rules/try/test?last=2h")
        assert reply.status == 200
        assert not marks(reply)
        peaks = [alert["peak"] for alert in reply.json["alerts"]]
        # All own flows of a minute together; of a share, all that the user sees.
        most = 100 if measure == "share" else N_FLOWS * OCTETS * 8 / 60
        assert all(peak <= most + 0.01 for peak in peaks)
        if measure == "share" and by in ("", "exporter") and text in ("", "any"):
            assert peaks
            assert set(peaks) == {100}


@pytest.mark.parametrize(
    "text", [") or (any", "any) or (any", "ip in @secretlist", "ip in @nothere", 'ip "', "prt 80"]
)
def test_filter_of_a_rule_when_it_breaks_out_then_refused(tenants: Tenants, text: str) -> None:
    reply = put(tenants, "out", filter=text)
    assert reply.status == 400
    assert [mark for mark in marks(reply) if mark not in text] == []
    assert "out" not in names(call(tenants, "GET", f"{OWN}/rules"))


@pytest.mark.parametrize("field", NAMES)
def test_name_in_a_rule_when_hidden_then_as_one_that_nobody_has(
    tenants: Tenants, field: str
) -> None:
    answers = []
    for name in (NAMES[field][1], "nobody-has-this"):
        reply = put(tenants, "named", filter=f'{field} "{name}"')
        tried = call(tenants, "GET", f"{OWN}/rules/named/test?last=2h")
        told = (reply.status, reply.body.decode(), tried.status, tried.json.get("alerts"))
        answers.append(json.dumps(told).replace(name, "NAME"))
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    "values",
    [
        *({"measure": name, "by": "exporter"} for name in ("lost", "waiting", "sampling_changes")),
        {"condition": "utilisation", "by": "ingress_interface", "limit": "90"},
    ],
    ids=str,
)
def test_rule_when_it_cannot_be_limited_then_refused_in_one_sentence(
    tenants: Tenants, values: dict[str, str]
) -> None:
    reply = put(tenants, "health", **values)
    assert reply.status == 400
    assert "bound to a filter cannot have it" in reply.json["message"]
    listed = call(tenants, "GET", f"{OWN}/rules").json
    assert set(listed["measures"]) == {
        *("bps", "pps", "fps", "share", "sources", "destinations", "ports"),
    }
    assert "utilisation" not in listed["conditions"]


@pytest.mark.parametrize("key", ["user", "bound_to", "send_to", "owner", "mail_to", "account"])
def test_rule_when_it_names_a_user_or_a_target_then_refused(tenants: Tenants, key: str) -> None:
    for body in ({key: "json://203.0.113.77/hook"}, {"name": "SYN flood"}):
        assert call(tenants, "PUT", f"{OWN}/rules/strange", BUSY | body).status == 400
    assert "strange" not in names(call(tenants, "GET", f"{OWN}/rules"))


def test_rules_when_as_many_as_allowed_then_no_more(tenants: Tenants) -> None:
    token = tenants.add_bound("many", FILTER)
    most = tenants.appliance.app.settings[USER_RULES.name]
    for number in range(most):
        assert put(tenants, f"r{number}", token).status == 200
    refused = put(tenants, "one more", token)
    assert (refused.status, refused.json["message"]) == (
        400,
        f"{most} rules are the most, and all are there",
    )
    # Ready-made ones that are changed count as well.
    switched = call(tenants, "PUT", f"{OWN}/rules/SYN flood", {"is_on": True}, token)
    assert switched.status == 400
    assert put(tenants, "r0", token, severity="info").status == 200


def test_alert_when_the_filter_is_another_now_then_not_shown(tenants: Tenants) -> None:
    token = tenants.add_bound("moved", "ip 10.2.0.0/16")
    number = begun(tenants, "moved", "secret", "ip 10.2.0.0/16")
    account = account_of(tenants, "moved")
    assert len(call(tenants, "GET", OWN, token=token).json["alerts"]) == 1
    body = {"filter": FILTER}
    assert tenants.appliance("PUT", f"{ADMIN}/{account}/filter", body).status == 200
    listed = call(tenants, "GET", OWN, token=token)
    assert (listed.json, marks(listed)) == ({"alerts": [], "open": 0, "next": None}, [])
    assert call(tenants, "PUT", f"{OWN}/{number}", {"Comment": ""}, token).status == 404
    of_admin = tenants.appliance.get(f"{ADMIN}/{account}/alerts")
    assert [one["id"] for one in of_admin["alerts"]] == [number]


def test_user_when_made_again_with_the_same_name_then_has_nothing_of_before(
    tenants: Tenants,
) -> None:
    token = tenants.add_bound("again", "ip 10.2.0.0/16")
    assert put(tenants, "secret", token).status == 200
    begun(tenants, "again", "secret", "ip 10.2.0.0/16")
    before = account_of(tenants, "again")
    assert tenants.appliance("DELETE", f"/user/{before}").status == 200
    token = tenants.add_bound("again", "ip 10.2.0.0/16")
    for path in (OWN, f"{OWN}/rules"):
        reply = call(tenants, "GET", path, token=token)
        assert (reply.status, "secret" in reply.body.decode()) == (200, False)
    users = {one["userId"]: one for one in tenants.appliance.get(f"{ADMIN}/alerts")["users"]}
    assert users[before]["problem"] == f"user {before} is gone: the rules are not looked at"
    assert tenants.appliance.get(f"{ADMIN}/{before}/alerts")["open"] == 1
    body = {"limit": "5"}
    assert tenants.appliance("PUT", f"{ADMIN}/{before}/alerts/rules/secret", body).status == 409
    assert tenants.appliance("DELETE", f"{ADMIN}/{before}/alerts/rules/secret").status == 200


def test_rule_when_made_by_an_administrator_who_is_bound_later_then_not_the_users(
    tenants: Tenants,
) -> None:
    made = tenants.appliance
    number = made.add("demoted", "Administrator")
    token = made.sign_in("demoted").json["token"]
    assert call(tenants, "PUT", f"{ALL}/rules/secret plan", BUSY, token).status == 200
    refused = call(tenants, "GET", OWN, token=token)
    assert (refused.status, refused.json["message"]) == (404, NOT_BOUND)
    change = UserChange({}, (USER,), ("Administrator",), filter=FILTER)
    made.store.change_user(number, change, time.time())
    token = made.sign_in("demoted").json["token"]
    listed = call(tenants, "GET", f"{OWN}/rules", token=token)
    assert not marks(listed)
    assert call(tenants, "DELETE", f"{OWN}/rules/secret plan", token=token).status == 404
    assert "secret plan" in names(call(tenants, "GET", f"{ALL}/rules", token=made.admin))


def test_user_when_bound_to_nothing_any_more_then_no_own_alerts_and_nothing_is_looked_at(
    tenants: Tenants,
) -> None:
    token = tenants.add_bound("freed", FILTER)
    assert put(tenants, "r", token).status == 200
    account = account_of(tenants, "freed")
    assert tenants.appliance("DELETE", f"{ADMIN}/{account}/filter").status == 200
    assert put(tenants, "r", token, filter="any").status == 404
    for method, end in (("GET", "/test"), ("PUT", "")):
        path = f"{ADMIN}/{account}/alerts/rules/r{end}"
        reply = tenants.appliance(method, path, {"limit": "5"})
        assert (reply.status, "is bound to no filter" in reply.json["message"]) == (409, True)
    assert tenants.appliance.get(f"{ADMIN}/{account}/alerts/rules")["rules"]


@pytest.mark.parametrize("text", ["any", "ip in @gone", "ip 10.1.0.0/33"])
def test_filter_of_the_account_when_it_cannot_be_used_then_nothing_is_told(
    tenants: Tenants, text: str
) -> None:
    name = f"unusable{abs(hash(text))}"
    token = tenants.add_bound(name, FILTER)
    assert put(tenants, "r", token).status == 200
    begun(tenants, name, "mine", text)
    account, accounts = account_of(tenants, name), tenants.appliance.store
    bound: Any = accounts
    with bound.writing():
        table = bound.models.account_filter
        table.update(bound_to=text).where(table.account == account).execute()
    for method, path in (
        *(("GET", OWN), ("GET", f"{OWN}/rules"), ("GET", f"{OWN}/rules/r/test")),
        *(("PUT", f"{OWN}/rules/r"), ("DELETE", f"{OWN}/rules/r"), ("PUT", f"{OWN}/1")),
    ):
        reply = call(tenants, method, path, {} if method == "PUT" else None, token)
        assert (reply.status, reply.json["message"]) == (403, UNUSABLE), (method, path)
    shown = {one["userId"]: one for one in tenants.appliance.get(f"{ADMIN}/alerts")["users"]}
    assert "is bound to no usable filter" in shown[account]["problem"]


def test_token_of_a_bound_user_when_used_then_has_the_users_rules(tenants: Tenants) -> None:
    account = account_of(tenants, "tenant")
    body = {"name": "alerting", "role": USER, "userId": account}
    token = tenants.appliance("POST", "/token", body).json["token"]
    assert put(tenants, "by a program", token).status == 200
    assert "by a program" in names(call(tenants, "GET", f"{OWN}/rules"))
    assert call(tenants, "GET", f"{OWN}/rules", token=token).json["mail_to"] is None
    assert call(tenants, "DELETE", f"{OWN}/rules/by a program", token=token).status == 200


def test_administrator_when_making_a_rule_for_a_user_then_within_the_filter(
    tenants: Tenants,
) -> None:
    account = account_of(tenants, "tenant")
    path = f"{ADMIN}/{account}/alerts/rules/given"
    assert tenants.appliance("PUT", path, BUSY | {"filter": "any"}).status == 200
    tried = tenants.appliance("GET", f"{path}/test?last=2h")
    assert tried.status == 200
    assert tried.json["alerts"]
    assert not marks(tried)
    assert "given" in names(call(tenants, "GET", f"{OWN}/rules"))
    refused = tenants.appliance("PUT", path, {"filter": "ip in @secretlist"})
    assert refused.status == 400
    entries = [entry["action"] for entry in tenants.appliance.get("/audit")["audit"]]
    assert f"PUT /api/v1/admin{path}" in entries
    assert call(tenants, "DELETE", f"{OWN}/rules/given").status == 200
    for number in ("99999", "x", "0"):
        reply = tenants.appliance("GET", f"{ADMIN}/{number}/alerts/rules")
        assert reply.status == 404


def test_names_of_rules_when_strange_then_never_another_file(tenants: Tenants) -> None:
    for name in ("..%2f1", "%2e%2e%2f..%2falerts", "r%00", "1%2fr"):
        reply = put(tenants, name)
        assert reply.status in (200, 400, 404, 405), name
    folder = tenants.appliance.app.settings["data_directory"] / "alerts_of_users"
    assert {path.suffix for path in folder.iterdir()} == {".sqlite"}
    assert all(path.stem.isdecimal() for path in folder.iterdir())


def test_audit_when_a_bound_user_changes_rules_then_recorded(tenants: Tenants) -> None:
    assert put(tenants, "noted").status == 200
    assert call(tenants, "DELETE", f"{OWN}/rules/noted").status == 200
    entries = tenants.appliance.get("/audit?limit=50")["audit"]
    acts = [entry["action"] for entry in entries if entry["who"] == "tenant"]
    assert f"PUT {OWN}/rules/noted" in acts
    assert f"DELETE {OWN}/rules/noted" in acts


def test_tests_on_the_past_when_several_at_a_time_then_one_of_a_user(tenants: Tenants) -> None:
    from appliance.plugins.alerts.own_routes import TURNS

    assert put(tenants, "turn").status == 200
    with TURNS.of("tenant"):
        assert call(tenants, "GET", f"{OWN}/rules/turn/test?last=1h").status == 429
    assert call(tenants, "GET", f"{OWN}/rules/turn/test?last=1h").status == 200


@given(text=SOUP | st.text(max_size=40) | VALID, by=st.sampled_from(["", "source", "exporter"]))
@settings(max_examples=60, deadline=None)
def test_rule_when_its_filter_is_any_text_then_no_flow_outside(
    tenants: Tenants, text: str, by: str
) -> None:
    for own in (text, f"{text}) or (any"):
        reply = put(tenants, "any text", filter=own, by=by)
        assert reply.status in (200, 400)
        if reply.status == 400:
            continue
        tried = call(tenants, "GET", f"{OWN}/rules/any text/test?last=1h")
        # The rule's sentence is not in the answer, so whatever is, is of flows.
        assert not marks(tried)
        peaks = [alert["peak"] for alert in tried.json["alerts"]]
        assert all(peak <= N_FLOWS * OCTETS * 8 / 60 + 0.01 for peak in peaks)
        assert len(peaks) <= 2 * N_FLOWS
