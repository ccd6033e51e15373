from __future__ import annotations

from typing import Any

import pytest

from appliance.accounts.passwords import is_password
from appliance.contracts import ADMINISTRATOR, USER
from tests.web.appliance import PASSWORD, Appliance, made_appliance

NEW = f"username=thirdUser&password={PASSWORD}"
NOBODY = {"message": "No User found with that ID"}


@pytest.fixture
def number(appliance) -> int:
    """Return the number of `user`."""
    return appliance.store.user_named("user").id


def test_users_when_listed_then_every_key_in_the_documented_order(appliance):
    root, user = appliance.get("/user")["users"]
    keys = ["userId", "username", "password", "firstname", "lastname", "email", "role"]
    assert list(root) == list(user) == keys
    assert (user["username"], user["role"], user["email"]) == ("user", [USER], None)
    assert is_password(PASSWORD, user["password"])
    number = user["userId"]
    shown = appliance.get(f"/user/{number}")
    assert list(shown) == [
        *("userId", "username", "role", "unassignedRole", "firstname", "lastname", "email"),
    ]
    assert (shown["role"], shown["unassignedRole"]) == ([USER], [ADMINISTRATOR])


def test_users_when_hashes_are_not_to_be_shown_then_null(tmp_path):
    appliance = made_appliance(tmp_path, show_password_hashes="false")
    assert [user["password"] for user in appliance.get("/user")["users"]] == [None, None]
    appliance.close()


@pytest.mark.parametrize(
    "body",
    [
        f"{NEW}&firstname=Ann&lastname=&email=a@b.de",
        {
            "username": "thirdUser",
            "password": PASSWORD,
            "firstname": "Ann",
            "lastname": "",
            "email": "a@b.de",
        },
    ],
)
def test_user_when_added_then_there_without_a_role_and_can_sign_in(appliance, body):
    reply = appliance("POST", "/user", body)
    assert (reply.status, reply.json) == (201, {"message": "User created!"})
    found = appliance.get("/user")["users"][-1]
    names = (found["firstname"], found["lastname"], found["email"], found["role"])
    assert names == ("Ann", None, "a@b.de", [])
    token = appliance.sign_in("thirdUser").json["token"]
    assert appliance.client.get("/api/v1/netflow/getTopApps", token).status == 200
    assert appliance("GET", "/user", token=token).status == 403


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("", 400, ["No username provided", "No password provided"]),
        (f"password={PASSWORD}", 400, "No username provided"),
        (NEW.replace("third", "third-"), 400, "Invalid Characters in Username"),
        (
            "username=a_b&password=Th1saaaPass",
            400,
            [
                "Invalid Characters in Username",
                "Your password contains three repeating characters",
            ],
        ),
        (
            f"{NEW}&email=nobody&firstname=1",
            400,
            ["Invalid Characters in first name", "Invalid email address"],
        ),
        (f"username=user&password={PASSWORD}", 409, "Username already exists"),
    ],
)
def test_user_when_it_cannot_be_added_then_one_error_or_several(appliance, body, status, error):
    reply = appliance("POST", "/user", body)
    assert (reply.status, reply.json) == (status, {"error": error})
    assert len(appliance.get("/user")["users"]) == 2


def test_user_when_a_parameter_is_unknown_or_twice_then_named(appliance, number):
    for method, path in (("POST", "/user"), ("PUT", f"/user/{number}")):
        reply = appliance(method, path, f"{NEW}&isAdmin=1")
        assert reply.status == 400
        assert "Unknown parameters: isAdmin; expected username" in reply.json["error"]
        reply = appliance(method, path, f"{NEW}&username=x")
        assert (reply.status, reply.json) == (
            400,
            {"error": "username is given 2 times, expected once"},
        )


@pytest.mark.parametrize(
    "body",
    [
        "username=renamed&email=a@b.de&addRole=Administrator&deleteRole=User",
        {
            "username": "renamed",
            "email": "a@b.de",
            "addRole": ["Administrator"],
            "deleteRole": "User",
        },
    ],
)
def test_user_when_modified_then_all_of_it(appliance, number, body):
    reply = appliance("PUT", f"/user/{number}", body)
    assert (reply.status, reply.json) == (200, {"message": "User updated!"})
    shown = appliance.get(f"/user/{number}")
    assert (shown["username"], shown["email"], shown["role"]) == (
        "renamed",
        "a@b.de",
        [ADMINISTRATOR],
    )
    assert appliance("PUT", f"/user/{number}", "email=").status == 200
    assert appliance.get(f"/user/{number}")["email"] is None


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("", 400, "No Valid Parameters Provided"),
        ("username=", 400, "Invalid Characters in Username"),
        ("password=Th1saaaPass", 400, "Your password contains three repeating characters"),
        ("addRole=User", 409, "User - user already has role - User"),
        ("addRole=Root", 400, "No role found with name - Root"),
        ("deleteRole=Administrator", 409, "User - user does not have role Administrator"),
        ("username=root", 409, "Username already exists"),
        ("addRole=User&deleteRole=User", 400, "Role - User is both added and deleted"),
        (
            "username=root&addRole=User&addRole=Root",
            409,
            [
                "Username already exists",
                "No role found with name - Root",
                "User - user already has role - User",
            ],
        ),
    ],
)
def test_user_when_it_cannot_be_modified_then_errors_and_nothing_changed(
    appliance, number, body, status, error
):
    before = appliance.get(f"/user/{number}")
    reply = appliance("PUT", f"/user/{number}", f"{body}&email=a@b.de" if body else "")
    assert (reply.status, reply.json) == (status, {"error": error})
    assert appliance.get(f"/user/{number}") == before


def test_user_when_two_roles_are_given_at_once_then_both(appliance):
    appliance("POST", "/user", NEW)
    number = appliance.get("/user")["users"][-1]["userId"]
    body = "addRole=User&addRole=Administrator"
    assert appliance("PUT", f"/user/{number}", body).status == 200
    assert appliance.get(f"/user/{number}")["role"] == [USER, ADMINISTRATOR]


def test_user_when_deleted_then_gone_with_tokens(appliance, number):
    reply = appliance("DELETE", f"/user/{number}")
    assert (reply.status, reply.json) == (200, {"message": "Successfully deleted!"})
    assert appliance.client.get("/api/v1/netflow/getTopApps", appliance.token).status == 401
    reply = appliance("DELETE", f"/user/{number}")
    assert (reply.status, reply.json) == (404, NOBODY)


def test_last_administrator_when_deleted_or_demoted_then_409(appliance):
    root = appliance.store.user_named("root").id
    sentence = "User - root is the last Administrator"
    reply = appliance("DELETE", f"/user/{root}")
    assert (reply.status, reply.json) == (409, {"message": sentence})
    reply = appliance("PUT", f"/user/{root}", "deleteRole=Administrator&email=a@b.de")
    assert (reply.status, reply.json) == (409, {"error": sentence})
    reply = appliance("DELETE", f"/user/{root}/role/Administrator")
    assert (reply.status, reply.json) == (409, {"message": sentence})
    assert appliance.get(f"/user/{root}")["email"] is None


@pytest.mark.parametrize("number", ["0", "-1", "99", "x", "1.0", "9" * 30, "²"])
def test_user_when_the_number_is_none_then_404(appliance, number):
    path = f"/user/{number}".encode().decode("latin1")
    for method in ("GET", "DELETE"):
        reply = appliance(method, path)
        assert (reply.status, reply.json) == (404, NOBODY)
    reply = appliance("PUT", path, "username=x")
    assert (reply.status, reply.json) == (404, {"error": NOBODY["message"]})
    for end in ("role/User", "User"):
        for method in ("PUT", "DELETE"):
            assert appliance(method, f"{path}/{end}").json == NOBODY
    assert appliance("GET", f"{path}/role").json == NOBODY


def test_names_when_sent_as_plain_utf_8_then_kept(appliance: Appliance):
    assert appliance("POST", "/user", f"{NEW}&lastname=Müller&firstname=Zoë").status == 201
    (user,) = [user for user in appliance.get("/user")["users"] if user["username"] == "thirdUser"]
    assert (user["lastname"], user["firstname"]) == ("Müller", "Zoë")


def test_names_when_null_then_without(appliance: Appliance):
    nulls = {"firstname": None, "lastname": None, "email": None}
    new = {"username": "thirdUser", "password": "th!s1s@paSw0RD"}
    assert appliance("POST", "/user", new | nulls).status == 201
    (user,) = [user for user in appliance.get("/user")["users"] if user["username"] == "thirdUser"]
    assert {name: user[name] for name in nulls} == nulls
    path = f"/user/{user['userId']}"
    assert appliance("PUT", path, {"lastname": "Last"}).status == 200
    assert appliance.get(path)["lastname"] == "Last"
    assert appliance("PUT", path, {"lastname": None}).status == 200
    assert appliance.get(path)["lastname"] is None
    assert appliance("PUT", path, {"username": None}).json == {"error": "username: expected text"}


@pytest.mark.parametrize(("method", "path"), [("POST", "/user"), ("PUT", "/user/1")])
@pytest.mark.parametrize(
    ("body", "status"),
    [("nonsense=1", 400), ("username=a&username=b", 400), (["x"], 400), ("a=" + "x" * 10**6, 413)],
)
def test_errors_when_the_body_is_no_good_then_in_the_documented_shape(
    appliance: Appliance, method: str, path: str, body: Any, status: int
):
    reply = appliance(method, path, body)
    assert reply.status == status
    assert list(reply.json) == ["error"]
    assert appliance(method, path, body, token="").json == {
        "success": False,
        "message": "No valid token provided",
    }
