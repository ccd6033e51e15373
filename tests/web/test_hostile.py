"""Any query, path, headers and body, from any caller: an answer below 500, in the one shape."""

from __future__ import annotations

import json
import string
import tempfile
import time
import warnings
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.accounts.secret import SECRET_OCTETS
from appliance.plugins.auth import tokens
from tests.web.building import TOKENS, Client, FakeStore, Flow, plugin_routes, settings_of, web_of

FOLDER = tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True)
SETTINGS = settings_of(Path(FOLDER.name))
ROUTES = [(r.method, r.path) for r in plugin_routes(SETTINGS)]
ROUTES += [("GET", "/api/docs"), ("GET", "/api/openapi.json")]

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
names = st.sampled_from(["from", "to", "last", "device", "limit", "fill", "x", ""])
values = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(["15m", "1M", "9999y", "0s", "1e9", "-1", "1", "2026-02-30", "127.0.0.1"]),
)
latin = st.text(st.characters(max_codepoint=255), max_size=60)
header = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)


@pytest.fixture(scope="module")
def client():
    from appliance.contracts import ExporterRecord

    records = [ExporterRecord(1, "127.0.0.1", "", "", 1.0, 2.0)]
    store = FakeStore([Flow(1_623_757_500, 10, 1)], records)
    return Client(web_of(store, SETTINGS))


def check(reply) -> None:
    if reply.status not in (200, 204):
        assert 400 <= reply.status < 500 or (reply.status == 503 and "status" in reply.json), reply
        found = reply.json
        assert found.get("message") or found.get("error")
        # Only the documented routes of users have a form of their own.
        forms = (["success", "message"], ["message"], ["error"])
        assert found.get("success", False) is False
        assert list(found)[:2] in forms or reply.status == 503


@quick
@given(st.sampled_from(ROUTES), st.lists(st.tuples(names, values), max_size=5), st.data())
def test_query_when_anything_then_never_500(client, route, pairs, data):
    method, path = route
    for part in ("<interval>", "<device>"):
        path = path.replace(part, data.draw(values).replace("/", "") or "1")
    query = "&".join(f"{quote(name)}={quote(value, safe='+')}" for name, value in pairs)
    target = path.encode().decode("latin1").replace("?", "") + "?" + query
    check(client(method, target, token="administrator"))


@quick
@given(latin, latin)
def test_path_when_anything_then_never_500(client, path, query):
    target = "/" + path.replace("?", "")
    check(client("GET", f"{target}?{query}", token="administrator"))


@quick
@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(
    ["HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_ORIGIN", "HTTP_HOST", "HTTP_X_APIAUTH",
     "HTTP_X_FORWARDED_FOR", "HTTP_SEC_FETCH_SITE", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"]
), header), st.sampled_from(["GET", "POST", "OPTIONS", "HEAD"]))  # fmt: skip
def test_headers_when_anything_then_never_500(client, route, headers, method):
    reply = client(
        method, route[1].replace("<interval>", "15m").replace("<device>", "1"), **headers
    )
    if method != "HEAD":
        check(reply)
    for value in reply.headers.values():
        assert "\n" not in value


@quick
@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["Name", "Info", "x"]), inner, max_size=3)
            ),
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(["Name", "Info"]), st.text(max_size=300)).map(
            lambda value: json.dumps(value).encode()
        ),
    ),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", ""]),
)
def test_body_when_anything_then_never_500(client, body, kind):
    reply = client(
        "POST", "/v1/api/device/set/by/1", body, token="administrator", CONTENT_TYPE=kind
    )
    check(reply)


@quick
@given(header)
def test_token_when_anything_then_nobody(text):
    secret = b"s" * SECRET_OCTETS
    for environ in (
        {"HTTP_X_APIAUTH": text},
        {"HTTP_AUTHORIZATION": f"Bearer {text}"},
        {"HTTP_COOKIE": f"access_token={text}"},
        {"HTTP_COOKIE": text},
    ):
        carried = tokens.token_of_request(environ)
        if carried is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert tokens.claims_of(carried[0], secret) is None


@quick
@given(st.text(string.ascii_letters + string.digits + "-_=.", max_size=200), st.integers(0, 3))
def test_token_when_parts_are_invented_then_nobody(text, dots):
    secret = b"s" * SECRET_OCTETS
    token = tokens.role_token(secret, "Administrator", 600, time.time())
    assert tokens.claims_of(token, secret) is not None
    parts = token.split(".")
    parts[dots % 3] = text
    changed = ".".join(parts)
    if changed != token:
        assert tokens.claims_of(changed, secret) is None


def test_tokens_when_listed_then_the_sweep_is_not_empty():
    assert len(ROUTES) >= 24
    assert "administrator" in TOKENS
