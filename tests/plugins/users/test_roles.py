from __future__ import annotations

import pytest

from appliance.contracts import ADMINISTRATOR, USER


@pytest.fixture
def path(appliance) -> str:
    """Return the path of `user`."""
    return f"/user/{appliance.store.user_named('user').id}"


@pytest.mark.parametrize("spelling", ["role/", ""])
def test_role_when_added_and_deleted_then_the_documented_messages(appliance, path, spelling):
    one = f"{path}/{spelling}Administrator"
    reply = appliance("PUT", one)
    message = "Role - Administrator added to User - user"
    assert (reply.status, reply.json) == (200, {"message": message})
    reply = appliance("PUT", one)
    message = "User - user already has role - Administrator"
    assert (reply.status, reply.json) == (409, {"message": message})
    listed = appliance.get(f"{path}/role")
    assert list(listed) == ["userId", "username", "roles"]
    assert listed["roles"] == [ADMINISTRATOR, USER]
    reply = appliance("DELETE", one)
    message = "Role - Administrator deleted from User - user"
    assert (reply.status, reply.json) == (200, {"message": message})
    reply = appliance("DELETE", one)
    message = "User - user does not have role Administrator"
    assert (reply.status, reply.json) == (404, {"message": message})


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("role", ["Root", "administrator", "role", "Ü"])
def test_role_when_there_is_none_of_that_name_then_404(appliance, path, method, role):
    target = f"{path}/{role}".encode().decode("latin1")
    reply = appliance(method, target)
    assert (reply.status, reply.json["message"]) == (404, f"No role found with name - {role}")
