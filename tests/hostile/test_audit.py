"""A flood of acts that is to push out of the audit trail what an administrator did."""

from __future__ import annotations

from collections import Counter

import pytest

from appliance.contracts import ADMINISTRATORS, STRANGERS, USERS
from appliance.sql.addresses import database_address
from appliance.sql.appliance_database import appliance_database
from appliance.sql.appliance_tables import APPLIANCE_MIGRATIONS
from appliance.sql.database import SqlDatabase
from appliance.sql.migrations import migrate
from appliance.web import audit

ACT = "POST /api/v1/admin/token"


@pytest.fixture(autouse=True)
def small_rooms(monkeypatch):
    monkeypatch.setattr(audit, "MOST_ENTRIES", {ADMINISTRATORS: 20, USERS: 5, STRANGERS: 5})
    monkeypatch.setattr(audit, "EXPIRE_ENTRIES", 10)


def actions(appliance) -> Counter[tuple[str, str]]:
    return Counter((entry.who, entry.action) for entry in appliance.store.audit(1000))


def test_trail_when_a_plain_user_signs_in_all_the_time_then_administrators_acts_stay(appliance):
    assert appliance("POST", "/token", "name=important").status == 201
    for _ in range(60):
        assert appliance.sign_in("user").status == 200
    found = actions(appliance)
    assert found["root", ACT] == 1
    assert found["user", "POST /auth"] < 20


def test_trail_when_refused_attempts_flood_it_then_acts_and_other_refusals_stay(appliance):
    appliance("POST", "/token", "name=important")
    appliance("DELETE", "/user/1", token=appliance.token)
    for number in range(70):
        appliance.sign_in(f"root{number}", "wrong", REMOTE_ADDR=f"192.0.2.{number}")
    found = actions(appliance)
    assert found["root", ACT] == found["user", "DELETE /api/v1/admin/user/1"] == 1
    assert sum(who.startswith("root") and who != "root" for who, _ in found) < 20


def test_refusals_when_strangers_used_up_their_minute_then_a_users_is_still_recorded(
    appliance, monkeypatch
):
    monkeypatch.setattr(audit, "REFUSED_A_MINUTE", 3)
    appliance.ahead_seconds = 60 - appliance.now() % 60
    for _ in range(9):
        appliance("POST", "/user", token="")
    appliance("POST", "/user", token=appliance.token)
    found = actions(appliance)
    assert found["", "POST /api/v1/admin/user"] == 3
    assert found["user", "POST /api/v1/admin/user"] == 1


def test_trail_when_of_an_older_version_then_refused_entries_are_strangers(tmp_path):
    place = database_address("sqlite:appliance.sqlite", tmp_path)
    older = SqlDatabase(place, lambda db: migrate(db, APPLIANCE_MIGRATIONS[:3], "appliance"))
    with older.transaction(write=True):
        for status in (200, 401, None):
            older.execute(
                "INSERT INTO appliance_audit (happened, who, address, action, detail, status)"
                " VALUES (1, 'x', '', 'y', '', ?)",
                (status,),
            )
    older.close()
    database = appliance_database("sqlite:appliance.sqlite", tmp_path)
    with database.transaction():
        rows = database.rows("SELECT room FROM appliance_audit ORDER BY id")
    database.close()
    assert rows == [(ADMINISTRATORS,), (STRANGERS,), (ADMINISTRATORS,)]
