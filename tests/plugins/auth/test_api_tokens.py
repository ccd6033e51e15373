from __future__ import annotations

import pytest

from appliance.contracts import ADMINISTRATOR

APPS = "/api/v1/netflow/getTopApps"


@pytest.mark.parametrize(
    "body", ["name=grafana&lifetime=90d", {"name": "grafana", "lifetime": "90d"}]
)
def test_token_when_made_then_shown_once_and_opens(appliance, body):
    reply = appliance("POST", "/token", body)
    assert reply.status == 201
    token = reply.json["token"]
    assert appliance.client.get(APPS, token).status == 200
    (listed,) = appliance.get("/token")["tokens"]
    root = appliance.store.user_named("root").id
    assert list(listed) == ["tokenId", "name", "role", "created", "expires", "userId"]
    assert (listed["name"], listed["role"], listed["userId"]) == ("grafana", "User", root)
    assert listed["expires"] > listed["created"]
    assert token not in str(listed)
    assert token not in str(appliance.get("/audit"))


@pytest.mark.parametrize("how", ["/token/{}", "/token"])
def test_token_when_deleted_then_ends_at_once(appliance, how):
    made = appliance("POST", "/token", f"name=x&role={ADMINISTRATOR}").json
    assert made["expires"] is None
    assert appliance("GET", "/user", token=made["token"]).status == 200
    body = "" if "{" in how else f"tokenId={made['tokenId']}"
    reply = appliance("DELETE", how.format(made["tokenId"]), body)
    assert (reply.status, reply.json) == (200, {"message": "Successfully deleted!"})
    assert appliance("GET", "/user", token=made["token"]).status == 401
    reply = appliance("DELETE", how.format(made["tokenId"]), body)
    assert (reply.status, reply.json["message"]) == (404, "No token found with that ID")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("", 400, "name: expected 1 to 100 printable characters"),
        ("name=" + "x" * 101, 400, "name: expected 1 to 100 printable characters"),
        ("name=a%0Ab", 400, "name: expected 1 to 100 printable characters"),
        ("name=x&role=Root", 400, "role: expected one of User, Administrator"),
        ("name=x&lifetime=soon", 400, "lifetime: expected one second to ten years, such as 90d"),
        ("name=x&lifetime=99999d", 400, "lifetime: expected one second to ten years"),
        ("name=x&owner=1", 400, "Unknown parameters: owner; expected name, role, lifetime"),
        ("name=taken", 409, "A token with that name already exists"),
    ],
)
def test_token_when_it_cannot_be_made_then_one_sentence(appliance, body, status, sentence):
    appliance("POST", "/token", "name=taken")
    reply = appliance("POST", "/token", body)
    assert (reply.status, reply.json["success"]) == (status, False)
    assert reply.json["message"].startswith(sentence)
    assert len(appliance.get("/token")["tokens"]) == 1


def test_token_when_its_maker_is_deleted_then_ends(appliance):
    appliance.add("second", ADMINISTRATOR)
    second = appliance.sign_in("second").json["token"]
    made = appliance("POST", "/token", "name=x", token=second).json["token"]
    assert appliance.client.get(APPS, made).status == 200
    appliance.store.delete_user(appliance.store.user_named("second").id)
    assert appliance.client.get(APPS, made).status == 401


@pytest.mark.parametrize("number", ["0", "x", "-1", "9" * 30, "²"])
def test_token_when_the_number_is_none_then_404(appliance, number):
    target = f"/token/{number}".encode().decode("latin1")
    assert appliance("DELETE", target).status == 404
