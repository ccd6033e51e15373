"""The routes of accounts on either database, with several writers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.contracts import ADMINISTRATOR, USER
from appliance.plugins.auth.tokens import role_token
from tests.web.appliance import PASSWORD, Appliance, made_appliance

WRITERS = 6


@pytest.fixture(params=["sqlite", "mariadb"])
def appliance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Appliance]:
    url = "sqlite:appliance.sqlite"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb").new_database()
    made = made_appliance(tmp_path, database=url)
    yield made
    made.close()


def statuses(appliance: Appliance, requests: list[tuple[str, str, str]]) -> list[int]:
    """Send requests at once; return their statuses in order."""

    def send(request: tuple[str, str, str]) -> int:
        status = appliance(*request).status
        # Connections belong to threads, and these threads end.
        appliance.store.close()
        return status

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def test_user_when_made_changed_and_deleted_then_as_documented(appliance: Appliance):
    assert appliance("POST", "/user", f"username=third&password={PASSWORD}").status == 201
    number = appliance.get("/user")["users"][-1]["userId"]
    assert appliance("PUT", f"/user/{number}", {"firstname": "Zoë", "addRole": USER}).status == 200
    assert appliance("PUT", f"/user/{number}/role/Administrator").status == 200
    shown = appliance.get(f"/user/{number}")
    assert (shown["firstname"], shown["role"]) == ("Zoë", [USER, ADMINISTRATOR])
    assert appliance.sign_in("third").status == 200
    assert appliance("PUT", f"/user/{number}", "email=x").status == 400
    assert appliance("DELETE", f"/user/{number}").status == 200
    assert appliance.sign_in("third").status == 401
    assert [entry["status"] for entry in appliance.get("/audit?limit=5")["audit"]] == [
        *(401, 200, 400, 200, 200),
    ]


def test_name_when_several_ask_for_it_at_once_then_one_has_it(appliance: Appliance):
    made = ("POST", "/user", f"username=wanted&password={PASSWORD}")
    assert sorted(statuses(appliance, [made] * WRITERS)) == [201, *[409] * (WRITERS - 1)]
    assert [u["username"] for u in appliance.get("/user")["users"]].count("wanted") == 1


def test_user_when_several_change_it_at_once_then_each_wholly_or_not(appliance: Appliance):
    number = appliance.store.user_named("user").id  # type: ignore[union-attr]
    path, role = f"/user/{number}", f"addRole={ADMINISTRATOR}"
    requests = [
        ("PUT", path, f"email=a{i}@b.de&firstname={'x' * (i + 1)}&{role}") for i in range(WRITERS)
    ]
    found = statuses(appliance, requests)
    assert sorted(found) == [200, *[409] * (WRITERS - 1)]
    winner = found.index(200)
    user = appliance.get(f"/user/{number}")
    assert (user["email"], len(user["firstname"])) == (f"a{winner}@b.de", winner + 1)
    assert user["role"] == [USER, ADMINISTRATOR]


def test_administrators_when_all_are_deleted_at_once_then_one_stays(appliance: Appliance):
    for i in range(WRITERS - 1):
        appliance.add(f"admin{i}", ADMINISTRATOR)
    # With a token of a role, so that a deleted caller is not refused for that.
    users = [u for u in appliance.get("/user")["users"] if ADMINISTRATOR in u["role"]]
    secret = read_secret(secret_path(appliance.app.settings))
    assert secret is not None
    appliance.admin = role_token(secret, ADMINISTRATOR, 600, appliance.now())
    found = statuses(appliance, [("DELETE", f"/user/{u['userId']}", "") for u in users])
    assert sorted(found) == [*[200] * (len(users) - 1), 409]
    left = [u for u in appliance.get("/user")["users"] if ADMINISTRATOR in u["role"]]
    assert len(left) == 1
