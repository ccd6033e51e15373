from __future__ import annotations

import pytest

from appliance.contracts import ADMINISTRATOR, PUBLIC, SIGNED_IN, USER, Principal, Route
from appliance.errors import RequestError
from appliance.web.errors import BOUND
from appliance.web.guard import NEED_AUTH, admit, is_cross_site, is_from_loopback
from tests.web.building import TOKENS, principal_from

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8443", "wsgi.url_scheme": "http"}


def route(role, method: str = "GET", **more) -> Route:
    return Route(method, "/x", dict, role=role, **more)


def admitted(given: Route, token: str = "", **environ):
    return admit(given, {"HTTP_X_APIAUTH": f"Bearer {token}", **environ}, principal_from)


def refused(given: Route, token: str = "", **environ) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        admitted(given, token, **environ)
    return caught.value.status, caught.value.message


def test_guard_when_route_has_no_role_then_nobody_passes():
    for token in ("", *TOKENS):
        assert refused(route(None), token)[0] == 403
        assert refused(route(""), token)[0] == 403
        opened = route(None, open_from_loopback=True, open_without_auth=True)
        assert refused(opened, token, **LOCAL, **{NEED_AUTH: False})[0] == 403


def test_guard_when_public_then_everybody_passes_unasked():
    assert admitted(route(PUBLIC)) is None


@pytest.mark.parametrize(
    ("role", "passing"),
    [
        (SIGNED_IN, {"user", "administrator", "nothing", "cookie"}),
        (USER, {"user", "administrator", "cookie"}),
        (ADMINISTRATOR, {"administrator", "cookie"}),
        ("Auditor", {"administrator", "cookie"}),
    ],
)
def test_guard_when_role_is_wanted_then_who_has_it_and_administrators_pass(role, passing):
    assert refused(route(role)) == (401, "No valid token provided")
    assert refused(route(role), "wrong") == (401, "No valid token provided")
    for token, principal in TOKENS.items():
        if token in passing:
            assert admitted(route(role), token) is principal
        else:
            status, message = refused(route(role), token)
            assert status == 403
            administrative = "Administrative privileges required"
            assert message == (
                administrative if role == ADMINISTRATOR else f"The role {role} is required"
            )


def test_guard_when_need_auth_is_false_then_only_marked_routes_open():
    environ = {NEED_AUTH: False}
    assert admitted(route(SIGNED_IN, open_without_auth=True), **environ) is None
    assert refused(route(SIGNED_IN), **environ)[0] == 401
    assert refused(route(SIGNED_IN, open_without_auth=True))[0] == 401
    assert refused(route(SIGNED_IN, open_without_auth=True), **{NEED_AUTH: True})[0] == 401


def test_guard_when_from_loopback_then_only_marked_routes_open():
    assert admitted(route(SIGNED_IN, open_from_loopback=True), **LOCAL) is None
    assert refused(route(SIGNED_IN), **LOCAL)[0] == 401


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9999", "[::1]:9999", "localhost:1"])
def test_loopback_when_local_program_asks_then_true(address, host):
    assert is_from_loopback({"REMOTE_ADDR": address, "HTTP_HOST": host})


@pytest.mark.parametrize(
    "change",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": "::ffff:192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "localhost"},
        {"HTTP_HOST": "rebound.example:8443"},
        {"HTTP_HOST": "127.0.0.1.example"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
    ],
)
def test_loopback_when_somebody_else_asks_then_false(change):
    assert is_from_loopback(LOCAL)
    assert not is_from_loopback(LOCAL | change)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, False),
        ({"HTTP_SEC_FETCH_SITE": "none"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, True),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, True),
        ({"HTTP_ORIGIN": "http://localhost:8443"}, False),
        ({"HTTP_ORIGIN": "https://localhost:8443"}, True),
        ({"HTTP_ORIGIN": "null"}, True),
        ({"HTTP_ORIGIN": "http://evil.example"}, True),
    ],
)
def test_cookie_when_the_request_is_cross_site_then_nothing_is_changed(headers, foreign):
    environ = LOCAL | headers
    assert is_cross_site(environ) is foreign
    changing = [route(USER, "POST"), route(USER, "DELETE")]
    changing += [route(USER, changes=True)] if headers else []
    for given in changing:
        if foreign:
            assert refused(given, "cookie", **environ) == (
                403,
                "The request comes from another site",
            )
        else:
            assert admitted(given, "cookie", **environ)
        assert admitted(given, "administrator", **environ)
    assert admitted(route(USER), "cookie", **environ)


@pytest.mark.parametrize("role", [SIGNED_IN, USER, ADMINISTRATOR])
def test_guard_when_the_caller_is_bound_to_a_filter_then_only_what_is_open_to_such(role):
    roles = frozenset({USER, ADMINISTRATOR})
    for text in ("ip 192.0.2.0/24", ""):
        bound = Principal("customer", roles, filter=text)
        with pytest.raises(RequestError) as caught:
            admit(route(role), {}, lambda environ, bound=bound: bound)
        assert (caught.value.status, caught.value.code) == (403, BOUND)
        opened = route(role, open_to_bound_users=True)
        assert admit(opened, {}, lambda environ, bound=bound: bound) is bound
    assert admitted(route(PUBLIC, open_to_bound_users=True)) is None
