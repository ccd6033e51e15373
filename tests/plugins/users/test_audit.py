from __future__ import annotations

import pytest

from appliance.contracts import AuditEntry
from appliance.errors import StorageError
from appliance.web import audit
from tests.web.appliance import PASSWORD


def entries(appliance) -> list[tuple]:
    """Return who, what, detail and result, oldest first, without the signing in of the start."""
    found = appliance.get("/audit?limit=1000")["audit"]
    rows = [(e["who"], e["action"], e["detail"], e["status"], e["result"]) for e in found]
    return rows[::-1][2:]


def test_act_when_done_then_who_what_and_how_it_ended_without_secrets(appliance):
    appliance("POST", "/user", f"username=third&password={PASSWORD}&email=a@b.de")
    number = appliance.store.user_named("third").id
    appliance("PUT", f"/user/{number}", "addRole=Administrator&password=short")
    appliance("GET", "/user")
    path = "/api/v1/admin/user"
    made, changed = "username=third, password=***, email=a@b.de", "addRole=Administrator"
    assert entries(appliance) == [
        ("root", f"POST {path}", made, 201, "done"),
        ("root", f"PUT {path}/{number}", f"{changed}, password=***, user third", 400, "refused"),
    ]
    (newest, *_) = appliance.get("/audit")["audit"]
    assert list(newest) == [
        *("auditId", "time", "who", "address", "action", "detail", "status", "result"),
    ]
    assert newest["address"] == "203.0.113.9"
    assert newest["time"].endswith("Z")
    assert PASSWORD not in str(appliance.get("/audit"))


def test_act_when_a_user_is_meant_by_number_then_the_name_too(appliance):
    appliance("POST", "/user", f"username=third&password={PASSWORD}")
    number = appliance.store.user_named("third").id
    for method, end in (
        *(("PUT", "/role/User"), ("DELETE", "/role/User"), ("DELETE", "/User")),
        *(("PUT", "?email=a@b.de"), ("DELETE", "")),
    ):
        appliance(method, f"/user/{number}{end}")
    details = [entry["detail"] for entry in appliance.get("/audit?limit=5")["audit"]]
    assert [detail.rpartition(", ")[2] for detail in details] == ["user third"] * 5


def test_act_when_refused_then_recorded_with_who_tried(appliance):
    appliance("DELETE", "/user/1", token=appliance.token)
    appliance("DELETE", "/user/1", token="nonsense")
    appliance("GET", "/user", token=appliance.token)
    appliance.sign_in("nobody\r\nroot", "wrong")
    assert entries(appliance) == [
        ("user", "DELETE /api/v1/admin/user/1", "", 403, "refused"),
        ("", "DELETE /api/v1/admin/user/1", "", 401, "refused"),
        ("nobody\\r\\nroot", "POST /auth", "sign in", 401, "refused"),
    ]


def test_refused_attempts_when_very_many_then_bounded_and_counted(appliance, monkeypatch):
    monkeypatch.setattr(audit, "REFUSED_A_MINUTE", 5)
    appliance.ahead_seconds = 60 - appliance.now() % 60
    for _ in range(12):
        appliance("POST", "/user", token="")
    assert len(entries(appliance)) == 5
    appliance.ahead_seconds += 61
    appliance("POST", "/user", token="")
    found = entries(appliance)
    assert len(found) == 6
    assert found[-1][2] == "7 refused attempts before this are not recorded"
    appliance("POST", "/token", "name=x")
    assert len(entries(appliance)) == 7


def test_trail_when_an_hour_has_passed_then_old_entries_go(appliance, monkeypatch):
    monkeypatch.setattr(audit, "MOST_ENTRIES", {"strangers": 2})
    appliance.store.record(AuditEntry(1.0, "x", "", "old"))
    for _ in range(4):
        appliance("POST", "/user", token="")
    assert "old" in [entry[1] for entry in entries(appliance)]
    appliance.ahead_seconds += 3700
    appliance("POST", "/user", token="")
    found = [(entry.who, entry.status) for entry in appliance.store.audit(100)]
    assert ("x", None) not in found
    assert sum(status == 401 for _, status in found) == 2


def test_trail_when_read_in_pages_then_each_entry_once(appliance):
    for number in range(7):
        appliance("POST", "/token", f"name=t{number}")
    whole = [entry["auditId"] for entry in appliance.get("/audit?limit=1000")["audit"]]
    seen, page = [], appliance.get("/audit?limit=3")
    while True:
        seen += [entry["auditId"] for entry in page["audit"]]
        if page["next"] is None:
            break
        page = appliance.get(f"/audit?limit=3&before={page['next']}")
    assert seen == whole == sorted(whole, reverse=True)
    assert len(seen) == 9


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "before=0", "before=x", "before=-1"])
def test_trail_when_a_page_is_odd_then_400(appliance, query):
    assert appliance("GET", f"/audit?{query}").status == 400


def test_act_when_it_cannot_be_recorded_then_not_done(appliance, monkeypatch):
    def broken(entry):
        raise StorageError("full")

    monkeypatch.setattr(appliance.store, "record", broken)
    assert appliance("POST", "/token", "name=x").status == 503
    assert appliance.get("/token") == {"tokens": []}


def test_act_when_its_end_is_never_recorded_then_begun(appliance):
    appliance.store.record(AuditEntry(2e9, "root", "", "GET /api/v1/admin/device/restart"))
    assert appliance.get("/audit")["audit"][0]["result"] == "begun"
