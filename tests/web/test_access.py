"""Every route of the whole appliance, tried by everybody: closed unless a table says otherwise."""

from __future__ import annotations

import re
import time

import jwt
import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.contracts import ADMINISTRATOR, PUBLIC, SIGNED_IN
from appliance.plugins.auth import tokens
from appliance.plugins.auth.tokens import role_token
from appliance.web.application import all_routes
from appliance.web.guard import changes_something
from tests.web.appliance import FORM, made_app, made_appliance

LEAST_ROUTES = 40
OTHER_SECRET = b"another secret of 32 octets here"

PUBLIC_ROUTES = {
    ("POST", "/auth"),
    ("GET", "/signout"),
    ("GET", "/api/v1/account/ways"),
    ("GET", "/api/docs"),
    ("GET", "/api/openapi.json"),
    ("GET", "/v1/api"),
    ("GET", "/v1/api/"),
}
"""What anybody may call. The pages of a console, which are no API, are beside them."""


DANGEROUS = re.compile(r"/(restart|shutdown|reboot|start|stop)$")
"""What such a route does to the machine or the collector, no test may do."""


def is_page(path: str) -> bool:
    """Tell whether a path is outside both APIs."""
    return not path.startswith(("/api/", "/v1/api", "/auth", "/signout", "/metrics"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an appliance and a token of each kind."""
    made = made_appliance(tmp_path_factory.mktemp("access"))
    secret = read_secret(secret_path(made.app.settings))
    assert secret is not None
    now = time.time()
    claims = {"role": ADMINISTRATOR, "iss": tokens.ISSUER, "iat": int(now), "nbf": int(now)}
    kinds = {
        "none": "",
        "expired": role_token(secret, ADMINISTRATOR, 60, now - 3600),
        "foreign": role_token(OTHER_SECRET, ADMINISTRATOR, 3600, now),
        "unsigned": jwt.encode({**claims, "exp": int(now) + 3600}, "", algorithm="none"),
        "user": made.token,
    }
    yield made, kinds
    made.close()


def routes(folder):
    app = made_app(folder)
    return [entry.value for entry in all_routes(app.routes)]


def test_routes_when_listed_then_only_the_known_ones_are_public(tmp_path):
    table = routes(tmp_path)
    assert len(table) >= LEAST_ROUTES
    public = {(r.method, r.path) for r in table if r.role == PUBLIC and not is_page(r.path)}
    assert public == PUBLIC_ROUTES
    assert all(r.role for r in table), "a route that nobody may call"
    open_to_all = {r.path for r in table if r.open_without_auth}
    assert all(path.startswith("/v1/api/device/get/") for path in open_to_all)
    assert {r.path for r in table if r.open_from_loopback} == {"/metrics", "/api/v1/health"}


def test_routes_when_below_admin_then_for_administrators_only(tmp_path):
    below = [r for r in routes(tmp_path) if r.path.startswith("/api/v1/admin")]
    assert len(below) >= 15
    assert {r.role for r in below} == {ADMINISTRATOR}
    changing = [r for r in routes(tmp_path) if r.method != "GET" and changes_something(r)]
    own = ("/api/v1/account/", "/api/v1/console/views", "/api/v1/explore/jobs/")
    assert {r.role for r in changing if r.path.startswith(own)} == {SIGNED_IN}
    others = [r for r in changing if not r.path.startswith((*own, "/auth"))]
    assert {r.role for r in others} == {ADMINISTRATOR}


def test_routes_when_a_post_only_reads_then_it_is_a_question(tmp_path):
    reading = {r.path for r in routes(tmp_path) if r.method != "GET" and not changes_something(r)}
    explored = {f"/api/v1/explore/{name}" for name in ("top", "series", "flows", "export")}
    assert reading == {"/api/v1/decode", *explored}


def test_routes_when_they_act_on_a_get_then_marked_as_changing(tmp_path):
    acting = [r for r in routes(tmp_path) if DANGEROUS.search(r.path)]
    assert all(route.changes for route in acting if route.method == "GET")


@pytest.mark.parametrize("kind", ["none", "expired", "foreign", "unsigned", "user"])
@pytest.mark.parametrize("way", ["x-apiauth", "bearer", "cookie"])
def test_route_when_called_without_the_right_then_refused(whole, kind, way):
    made, kinds = whole
    token = kinds[kind]
    header = {
        "x-apiauth": {"HTTP_X_APIAUTH": f"Bearer {token}"},
        "bearer": {"HTTP_AUTHORIZATION": f"Bearer {token}"},
        "cookie": {"HTTP_COOKIE": f"access_token={token}"},
    }[way]
    tried = 0
    for route in [entry.value for entry in all_routes(made.app.routes)]:
        if route.role == PUBLIC or (kind == "user" and route.role == SIGNED_IN):
            continue
        path = re.sub(r"<[^>]*>", "1", route.path)
        reply = made.client(route.method, path, b"a=b", **header, **FORM)
        expected = (
            (403, "Administrative privileges required")
            if kind == "user"
            else (401, "No valid token provided")
        )
        assert (reply.status, reply.json["message"]) == expected, (route.method, path)
        assert reply.json["success"] is False
        tried += 1
    assert tried >= (15 if kind == "user" else LEAST_ROUTES - 10)


def test_route_when_read_by_an_administrator_then_let_in(whole):
    """What changes something is tried by the tests of each route; here only what reads."""
    made, _ = whole
    tried = 0
    for route in [entry.value for entry in all_routes(made.app.routes)]:
        if route.method != "GET" or route.changes or DANGEROUS.search(route.path):
            continue
        path = re.sub(r"<[^>]*>", "1", route.path)
        for token in (made.admin, made.token):
            status = made.client.get(path, token).status
            if token == made.admin or route.role != ADMINISTRATOR:
                assert status not in (401, 403, 405), path
        tried += 1
    assert tried >= 25


def test_cookie_when_another_site_s_page_sends_it_then_no_route_changes_anything(whole):
    made, _ = whole
    tried = 0
    for route in [entry.value for entry in all_routes(made.app.routes)]:
        if not changes_something(route):
            continue
        path = re.sub(r"<[^>]*>", "1", route.path)
        for sign in (
            {"HTTP_SEC_FETCH_SITE": "cross-site"},
            {"HTTP_SEC_FETCH_SITE": "same-site"},
            {"HTTP_ORIGIN": "https://evil.example"},
            {"HTTP_ORIGIN": "null"},
        ):
            cookie = {"HTTP_COOKIE": f"access_token={made.admin}", **sign}
            reply = made.client(route.method, path, **cookie)
            assert (reply.status, reply.json["message"]) == (
                403,
                "The request comes from another site",
            ), path
        tried += 1
    assert tried >= 12
    assert [user.username for user in made.store.users()] == ["root", "user"]
