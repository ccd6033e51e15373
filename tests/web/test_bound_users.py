"""A user who is bound to a filter tries every route of the whole appliance for what is outside."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from appliance.contracts import (
    ADMINISTRATOR,
    PUBLIC,
    SIGNED_IN,
    USER,
    AccountError,
    Registered,
    Route,
    UserChange,
    Why,
)
from appliance.errors import QueryError, StorageError
from appliance.web.application import all_routes, build_web
from appliance.web.caller_filter import UNUSABLE
from appliance.web.errors import BOUND, CLOSED_TO_BOUND
from appliance.web.service import services_of
from tests.web.appliance import FORM
from tests.web.building import Client
from tests.web.two_tenants import (
    FILTER,
    N_FLOWS,
    NAMES,
    OCTETS,
    Tenants,
    made_tenants,
    marks,
)

EXPLORE = "/api/v1/explore"
OWN_ALERTS = "/api/v1/account/alerts"
ANALYTICS = (
    *("getIngressTopTalkers", "getEgressTopTalkers", "getIngressBytesPerHour"),
    *("getEgressBytesPerHour", "getProtocolDistribution", "getIngressProtocolDistribution"),
    "getEgressProtocolDistribution",
)
ANSWERS_ABOUT_FLOWS = {
    *((method, f"{EXPLORE}/{name}") for method in ("GET", "POST") for name in
      ("top", "series", "flows", "export")),
    ("GET", f"{EXPLORE}/complete"),
    ("GET", f"{EXPLORE}/jobs/<identifier>"),
    ("DELETE", f"{EXPLORE}/jobs/<identifier>"),
    ("GET", "/api/v1/reports/<kind>"),
    *(("GET", f"/api/v1/netflow/{name}") for name in ANALYTICS),
    # Tried in test_bound_alerts.py.
    ("GET", OWN_ALERTS),
    ("PUT", f"{OWN_ALERTS}/<number>"),
    ("GET", f"{OWN_ALERTS}/rules"),
    *((method, f"{OWN_ALERTS}/rules/<name>") for method in ("PUT", "DELETE")),
    ("GET", f"{OWN_ALERTS}/rules/<name>/test"),
}  # fmt: skip
TELLS_NOTHING_OF_FLOWS = {
    ("GET", f"{EXPLORE}/fields"),
    ("GET", "/api/v1/account"),
    ("PUT", "/api/v1/account/password"),
    *((method, "/api/v1/account/totp") for method in ("GET", "POST", "PUT", "DELETE")),
    ("GET", "/api/v1/account/sessions"),
    ("DELETE", "/api/v1/account/sessions/<session>"),
    ("GET", "/api/v1/console"),
    ("GET", "/api/v1/console/views"),
    ("POST", "/api/v1/console/views"),
    ("DELETE", "/api/v1/console/views/<view_id>"),
}
OPEN = ANSWERS_ABOUT_FLOWS | TELLS_NOTHING_OF_FLOWS
"""Every route that answers a bound user. Whoever adds one tries below what it tells."""

LEAST_CLOSED = 60


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    made = made_tenants(tmp_path_factory.mktemp("tenants"))
    yield made
    made.appliance.close()


def routes(tenants: Tenants) -> list[Route]:
    return [entry.value for entry in all_routes(tenants.appliance.app.routes)]


def test_routes_when_listed_then_only_the_proven_ones_are_open_to_bound_users(tenants: Tenants):
    table = routes(tenants)
    assert {(r.method, r.path) for r in table if r.open_to_bound_users} == OPEN
    described = tenants.get("/api/openapi.json").json["paths"]
    assert described[f"{EXPLORE}/top"]["post"]["x-open-to-bound-users"] is True
    assert described["/api/v1/health"]["get"]["x-open-to-bound-users"] is False


def test_route_when_called_by_a_bound_user_then_closed_unless_it_is_open(tenants: Tenants):
    tried = 0
    for route in routes(tenants):
        if route.role == PUBLIC or (route.method, route.path) in OPEN:
            continue
        path = re.sub(r"<[^>]*>", "1", route.path)
        reply = tenants.appliance.client(route.method, path, b"", token=tenants.bound, **FORM)
        assert reply.status == 403, (route.method, path)
        if route.role == SIGNED_IN:
            assert (reply.json["message"], reply.json["code"]) == (CLOSED_TO_BOUND, BOUND), path
        assert not marks(reply), path
        tried += 1
    assert tried >= LEAST_CLOSED


def test_route_of_a_plugin_when_it_says_nothing_then_closed(tenants: Tenants):
    made = tenants.appliance
    services = services_of(made.app.web_parts(), made.stores, made.accounts)
    own = [
        Registered("stranger", Route("GET", f"/{role.split()[0]}", lambda: {"all": 1}, role=role))
        for role in (SIGNED_IN, USER)
    ]
    client = Client(build_web(own, services))
    for path in ("/signed", "/User"):
        assert client.get(path, tenants.bound).status == 403
        assert client.get(path, made.token).status == 200


QUESTIONS = [
    {},
    {"by": "source"},
    {"by": "source,destination,exporter", "other": "true"},
    {"by": "exporter"},
    {"by": "application", "measures": "sources,destinations,ports,conversations"},
    {"by": "interface", "exact": "true", "raw": "true"},
    {"by": "vrf", "dedupe": "nearest"},
    {"by": "host,service", "dedupe": "ingress"},
    {"by": "source", "filter": "any"},
    {"by": "source", "filter": "ip 10.2.0.0/16"},
    {"by": "source", "filter": "any or src ip 10.2.0.0/16"},
    {"by": "source", "filter": "not ip 10.1.0.0/16"},
    {"by": "source", "filter": "port 443) or (any"},
    {"by": "source", "filter": "exporter 192.0.2.2 or exporter 192.0.2.1"},
    {"by": "source/8,destination/8"},
    {"by": "conversation", "order": "packets"},
    {"by": "second"},
    {"by": "source_network,destination_network"},
    {"by": "source", "from": "0", "to": "4102444800"},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_top_when_asked_by_a_bound_user_then_of_the_own_flows_only(
    tenants: Tenants, question: dict[str, str]
):
    wants = question.get("filter", "")
    for reply in (
        tenants.get(f"{EXPLORE}/top", **question),
        tenants.post(f"{EXPLORE}/top", json.dumps(question | _flags(question)).encode()),
    ):
        assert reply.status in (200, 400)
        # An error repeats what the caller wrote, and nothing else.
        assert not [mark for mark in marks(reply) if mark not in wants]
        if reply.status == 200:
            answer = reply.json
            assert answer["total"]["octets"] in (0, N_FLOWS * OCTETS)
            assert (answer["rows_scanned"], answer["rows_in_range"]) == (None, None)


def _flags(question: dict[str, str]) -> dict[str, bool]:
    return {name: True for name in ("other", "exact", "raw") if name in question}


@pytest.mark.parametrize(
    "by", ["source", "application", "exporter,ingress_interface", "", "ingress_vrf"]
)
def test_series_when_asked_by_a_bound_user_then_of_the_own_flows_only(tenants: Tenants, by: str):
    reply = tenants.get(f"{EXPLORE}/series", by=by, step="1m", limit=1, last="30m")
    assert reply.status == 200
    assert not marks(reply)
    answer = reply.json
    # Also what the groups leave of the total.
    assert sum(row["statistics"]["sum"] for row in answer["rows"]) <= N_FLOWS * OCTETS
    assert answer["rows_scanned"] is None


def test_flows_when_paged_by_a_bound_user_then_every_own_flow_and_no_other(tenants: Tenants):
    sources, after = [], None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        reply = tenants.get(f"{EXPLORE}/flows", **query)
        assert not marks(reply)
        sources += [flow["source_address"] for flow in reply.json["flows"]]
        after = reply.json["next"]
        if after is None:
            break
    assert sources == [f"10.1.0.{n}" for n in range(N_FLOWS, 0, -1)]
    # A cursor of somebody else's page leads to the own flows only.
    everybody = tenants.get(f"{EXPLORE}/flows", tenants.appliance.admin, limit=1).json["next"]
    assert not marks(tenants.get(f"{EXPLORE}/flows", after=everybody))


@pytest.mark.parametrize("name", ANALYTICS)
def test_analytics_when_asked_by_a_bound_user_then_as_roll_ups_answer_of_the_own_flows(
    tenants: Tenants, name: str
):
    path = f"/api/v1/netflow/{name}"
    for query in ({}, {"last": "24h"}, {"limit": 2}, {"from": tenants.now_ms // 1000 - 7200}):
        reply = tenants.get(path, **query)
        assert reply.status == 200
        assert not marks(reply)
        octets = [v for row in reply.json for k, v in row.items() if k.startswith("Total")]
        assert 0 < sum(octets) <= N_FLOWS * (OCTETS + 1)
        # Whoever is bound to all that there is gets what roll-ups answer everybody.
        everything = tenants.get(path, tenants.everything, **query)
        everybody = tenants.get(path, tenants.appliance.token, **query)
        assert everything.json == everybody.json
        assert everything.headers.get("x-range") == everybody.headers.get("x-range")
        assert everything.headers["x-figures"] == "exact"
    assert tenants.get(path, device="1").status == 403
    assert tenants.get(path, device="192.0.2.77").status == 403
    assert tenants.get(path, last="0h").status == 400


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_export_when_asked_by_a_bound_user_then_the_own_flows_only(tenants: Tenants, form: str):
    reply = tenants.get(f"{EXPLORE}/export", format=form, columns="all")
    assert not marks(reply)
    rows: list[dict[str, Any]]
    if form == "parquet":
        rows = pq.read_table(io.BytesIO(reply.body)).to_pylist()
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    else:
        rows = [json.loads(line) for line in reply.body.splitlines()]
    assert len(rows) == N_FLOWS
    assert {row["exporter_address"] for row in rows} == {"192.0.2.1"}


@pytest.mark.parametrize("field", NAMES)
def test_name_when_hidden_then_as_one_that_nobody_has(tenants: Tenants, field: str):
    own, hidden = NAMES[field]
    for condition in ('{} "{}"', 'not {} "{}"', '{} = "{}"', '{} in ["{}", "1-2"]', '{} < "{}"'):
        answers = []
        for name in (hidden, hidden.upper(), "nobody-has-this"):
            text = condition.format(field, name)
            reply = tenants.get(f"{EXPLORE}/top", by="source", filter=text)
            told = {k: v for k, v in reply.json.items() if k not in ("seconds", "since", "until")}
            answers.append((reply.status, json.dumps(told).replace(name, "NAME")))
        assert len(set(answers)) == 1, condition
    if field != "src network":
        reply = tenants.get(f"{EXPLORE}/top", by="source", filter=f'{field} "{own}"')
        assert len(reply.json["rows"]) == N_FLOWS


def test_list_of_addresses_when_named_by_a_bound_user_then_as_one_that_there_is_not(
    tenants: Tenants,
):
    replies = [
        tenants.get(f"{EXPLORE}/top", filter=f"ip in @{name}") for name in ("secretlist", "nothere")
    ]
    assert {reply.status for reply in replies} == {400}
    said = [reply.json["message"].partition(", got")[0] for reply in replies]
    assert said[0] == said[1]


def test_completion_when_asked_by_a_bound_user_then_nothing_of_the_data(tenants: Tenants):
    texts = [
        "",
        "exporter ",
        "in if ",
        "app ",
        "vrf ",
        "ip in @",
        "src network ",
        "site ",
        "proto ",
    ]
    # Somebody else's questions do not fill what a bound user is told.
    for token in (tenants.appliance.admin, tenants.bound):
        for text in texts:
            reply = tenants.get(f"{EXPLORE}/complete", token, text=text)
            assert reply.status == 200
    for text in texts:
        reply = tenants.get(f"{EXPLORE}/complete", text=text)
        assert not marks(reply), text
        values = {one["text"] for one in reply.json["suggestions"] if one["kind"] == "value"}
        assert text == "proto " or not values, text
    assert {"tcp", "udp"} <= values


def test_report_when_asked_by_a_bound_user_then_of_the_own_flows_without_customers(
    tenants: Tenants,
):
    today = time.strftime("%Y-%m-%d", time.gmtime(tenants.now_ms / 1000))
    for kind in ("daily", "weekly", "monthly"):
        reply = tenants.get(f"/api/v1/reports/{kind}", date=today)
        assert reply.status == 200
        assert not marks(reply)
        assert all(bill["kind"] == "interface" for bill in reply.json["billing"])
        octets = {total["measure"]: total["value"] for total in reply.json["totals"]}["octets"]
        assert octets <= N_FLOWS * OCTETS
    everybody = tenants.get("/api/v1/reports/daily", tenants.appliance.admin, date=today)
    assert "secret-customer-b" in {bill["name"] for bill in everybody.json["billing"]}


def test_job_when_of_somebody_else_or_of_another_filter_then_there_is_none(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("appliance.query.engine.QueryEngine.reads_many", lambda *_: True)
    token = tenants.add_bound("jobber", FILTER)
    store = tenants.appliance.store
    user = store.user_named("jobber")
    assert user is not None

    def begin(token: str) -> str:
        reply = tenants.get(f"{EXPLORE}/top", token, by="source", exact="true")
        assert reply.status == 202
        return str(reply.json["id"])

    def states(identifier: str, token: str) -> int:
        while True:
            reply = tenants.get(f"{EXPLORE}/jobs/{identifier}", token)
            if reply.status != 200 or reply.json["state"] != "running":
                assert not marks(reply)
                return reply.status

    of_admin = tenants.get(f"{EXPLORE}/top", tenants.appliance.admin, by="source", exact="true")
    assert states(of_admin.json["id"], token) == 404
    own = begin(token)
    assert states(own, token) == 200
    assert (
        tenants.appliance.client("DELETE", f"{EXPLORE}/jobs/{own}", token=tenants.bound).status
        == 404
    )
    store.change_user(user.id, UserChange({}, filter="ip 10.1.0.1"), time.time())
    assert states(own, token) == 404
    store.change_user(user.id, UserChange({}, filter=FILTER), time.time())
    assert states(own, token) == 404


@pytest.mark.parametrize("error", [QueryError, StorageError])
def test_answer_when_the_database_says_why_it_failed_then_a_bound_user_is_not_told(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def fail(*_: object) -> None:
        raise error("cannot cast 10.2.0.1 of secret.parquet")

    monkeypatch.setattr("appliance.flowlog.search.FlowSearch.run", fail)
    for path in (f"{EXPLORE}/top", f"{EXPLORE}/flows", "/api/v1/netflow/getProtocolDistribution"):
        reply = tenants.get(path)
        assert reply.status in (400, 503)
        assert not marks(reply)
    monkeypatch.setattr("appliance.query.engine.QueryEngine.reads_many", lambda *_: True)
    job = tenants.get(f"{EXPLORE}/top", exact="true").json
    while job["state"] == "running":
        job = tenants.get(f"{EXPLORE}/jobs/{job['id']}").json
    assert job["state"] == "failed"
    assert "secret" not in job["message"]


def test_filter_when_changed_then_counts_at_once_for_sessions_and_tokens(tenants: Tenants):
    token = tenants.add_bound("changing", FILTER)
    made = tenants.appliance
    user = made.store.user_named("changing")
    assert user is not None
    path = f"/account/{user.id}/filter"

    def seen() -> int:
        reply = tenants.get(f"{EXPLORE}/top", token)
        return int(reply.json["total"]["flows"]) if reply.status == 200 else -reply.status

    assert seen() == N_FLOWS
    assert made("PUT", path, {"filter": "ip 10.1.0.1"}).status == 200
    assert seen() == 1
    assert tenants.get("/api/v1/account", token).json["filter"] == "ip 10.1.0.1"
    assert made("DELETE", path).status == 200
    assert seen() == 2 * N_FLOWS
    assert made("PUT", path, {"filter": "ip 10.3.0.0/16"}).status == 200
    assert seen() == 0
    entries = [entry["detail"] for entry in made.get("/audit")["audit"]]
    assert any("user changing is bound to ip 10.3.0.0/16" in detail for detail in entries)
    assert any("user changing is bound to no filter" in detail for detail in entries)


@pytest.mark.parametrize(
    "text", ["any", "", "# all", "ip 10.1.0.0/33", "ip in @gone", 'in if "gone"', "any or ip ::1"]
)
def test_filter_when_it_cannot_be_used_any_more_then_nothing_is_told(tenants: Tenants, text: str):
    name = f"broken{abs(hash(text))}"
    token = tenants.add_bound(name, FILTER)
    made = tenants.appliance
    user = made.store.user_named(name)
    assert user is not None
    accounts: Any = made.store
    bound = accounts.models.account_filter
    # As a list or an interface that was renamed later leaves it.
    with accounts.writing():
        bound.update(bound_to=text).where(bound.account == user.id).execute()
    for path in ("top", "series", "flows", "export"):
        reply = tenants.get(f"{EXPLORE}/{path}", token)
        assert (reply.status, reply.json["message"]) == (403, UNUSABLE), path
        assert not marks(reply)
    assert tenants.get("/api/v1/reports/daily", token).status == 403
    shown = made.get(f"/account/{user.id}/filter")
    assert shown["filter"] == text
    assert shown["problem"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("any", "leaves flows out"),
        ("", "leaves flows out"),
        ("ip 10.0.0.0/8 or any", "leaves flows out"),
        ("ipp 10.0.0.0/8", "Filter: line 1, column 1"),
        ("ip in @nothere", "one of @secretlist"),
        ("ip 10.1.0.0/16) or (any", "Filter: line 1"),
    ],
)
def test_filter_when_not_one_then_refused_with_a_sentence(tenants: Tenants, text: str, said: str):
    user = tenants.appliance.store.user_named("user")
    assert user is not None
    reply = tenants.appliance("PUT", f"/account/{user.id}/filter", {"filter": text})
    assert reply.status == 400
    assert said in reply.json["message"]
    assert tenants.appliance.store.user_named("user") == user


def test_administrator_when_bound_then_refused_both_ways(tenants: Tenants):
    made = tenants.appliance
    root, tenant = made.store.user_named("root"), made.store.user_named("tenant")
    assert root is not None
    assert tenant is not None
    said = "is bound to a filter, which no Administrator may be"
    reply = made("PUT", f"/account/{root.id}/filter", {"filter": FILTER})
    assert (reply.status, said in reply.json["message"]) == (409, True)
    reply = made("PUT", f"/user/{tenant.id}", {"addRole": ["Administrator"]})
    assert (reply.status, said in json.dumps(reply.json)) == (409, True)
    reply = made("PUT", f"/user/{tenant.id}/role/Administrator")
    assert (reply.status, said in reply.json["message"]) == (409, True)
    change = UserChange({"username": "x", "password_hash": "y"}, (ADMINISTRATOR,), filter=FILTER)
    with pytest.raises(AccountError) as refused:
        made.store.create_user(change, 1.0)
    assert [problem.why for problem in refused.value.problems] == [Why.BOUND_ADMINISTRATOR]


def test_user_when_added_with_a_filter_then_bound_from_the_first_moment(tenants: Tenants):
    made = tenants.appliance
    body = {"username": "fresh", "password": "th!s1s@paSw0RD", "filter": "ip 10.1.0.2"}
    assert made("POST", "/user", body).status == 201
    token = made.sign_in("fresh").json["token"]
    assert tenants.get(f"{EXPLORE}/top", token).json["total"]["flows"] == 1
    bad = made("POST", "/user", body | {"username": "other", "filter": "any"})
    assert bad.status == 400
    assert made.store.user_named("other") is None


def test_token_when_its_owner_is_bound_then_bound_too(tenants: Tenants):
    made = tenants.appliance
    number = made.add("former", ADMINISTRATOR)
    token = made.sign_in("former").json["token"]
    program = made("POST", "/token", {"name": "of-former", "role": USER}, token).json["token"]
    assert tenants.get(f"{EXPLORE}/top", program).json["total"]["flows"] == 2 * N_FLOWS
    change = UserChange({}, (USER,), (ADMINISTRATOR,), filter=FILTER)
    made.store.change_user(number, change, time.time())
    assert tenants.get(f"{EXPLORE}/top", program).json["total"]["flows"] == N_FLOWS
    assert tenants.get("/api/v1/health", program).status == 403


def test_token_when_made_for_a_bound_user_then_bound_as_the_user(tenants: Tenants):
    made = tenants.appliance
    tenant = made.store.user_named("tenant")
    assert tenant is not None
    body = {"name": "of-tenant", "role": USER, "userId": tenant.id}
    program = made("POST", "/token", body)
    assert (program.status, program.json["userId"]) == (201, tenant.id)
    token = program.json["token"]
    assert tenants.get(f"{EXPLORE}/top", token).json["total"]["flows"] == N_FLOWS
    assert tenants.get("/api/v1/account", token).json["filter"] == FILTER
    assert tenants.get("/api/v1/account/sessions", token).status == 403
    wrong = made("POST", "/token", body | {"name": "other", "role": ADMINISTRATOR})
    assert (wrong.status, "does not have role" in wrong.json["message"]) == (400, True)
    assert made("POST", "/token", body | {"name": "other", "userId": 999}).status == 404


def test_views_when_shared_by_others_then_not_told_to_a_bound_user(tenants: Tenants):
    path, made = "/api/v1/console/views", tenants.appliance
    body = {"name": "Secret uplink", "query": "filter=ip+10.2.0.1", "shared": "yes"}
    assert tenants.post(path, json.dumps(body).encode(), made.admin).status == 200
    assert tenants.get(path).json["views"] == []
    own = {"name": "Mine", "query": "by=source", "shared": "no"}
    assert tenants.post(path, json.dumps(own).encode()).status == 200
    assert [view["name"] for view in tenants.get(path).json["views"]] == ["Mine"]
    assert tenants.post(path, json.dumps(own | {"shared": "yes"}).encode()).status == 403


def test_console_when_asked_by_a_bound_user_then_tells_the_filter_and_the_pages_that_are_open(
    tenants: Tenants,
):
    started = tenants.get("/api/v1/console").json
    assert started["filter"] == FILTER
    assert [page["path"] for page in started["pages"]] == ["alerts", "reports"]
    everybody = tenants.get("/api/v1/console", tenants.appliance.token).json
    assert everybody["filter"] is None
    assert {"reports", "alerts"} <= {page["path"] for page in everybody["pages"]}


def test_answer_when_a_file_is_damaged_then_a_bound_user_does_not_learn_its_name(
    tenants: Tenants,
):
    folder = tenants.appliance.app.settings["data_directory"] / "flowlog" / "flows"
    now_ms = tenants.now_ms
    damaged = folder / f"0000000002-0000000003.{now_ms - 1000}-{now_ms}.parquet"
    damaged.write_bytes(b"no Parquet")
    try:
        for path in ("top", "series", "flows"):
            reply = tenants.get(f"{EXPLORE}/{path}")
            assert reply.json["left_out"] == ["a file that could not be read"]
            everybody = tenants.get(f"{EXPLORE}/{path}", tenants.appliance.token)
            assert "0000000002" in everybody.json["left_out"][0]
    finally:
        damaged.unlink()
