from __future__ import annotations

import json

import pytest

from appliance.contracts import PUBLIC, Answer, ExporterRecord, Route
from appliance.errors import QueryError, RequestError, StartupError, StorageError
from appliance.web.application import SECURITY_HEADERS
from appliance.web.cors import Cors
from tests.web.building import Client

GET_ALL = "/v1/api/device/get/all"


def raising(error: Exception):
    def handler():
        raise error

    return handler


def only(handler, path: str = "/x", method: str = "GET") -> list[Route]:
    return [Route(method, path, handler, role=PUBLIC)]


def is_error(reply, status: int) -> bool:
    """Tell whether this is the one shape of errors."""
    found = reply.json
    return (
        reply.status == status
        and reply.headers["content-type"] == "application/json"
        and list(found) == ["success", "message"]
        and found["success"] is False
        and bool(found["message"])
        and all(reply.headers[name.lower()] == value for name, value in SECURITY_HEADERS.items())
    )


def test_handler_when_it_names_services_and_path_parts_then_gets_them(client_of, store, settings):
    def handler(second, store, first, settings, now, zone, query, principal, metrics, open_store):
        assert open_store() is store
        return {"parts": [first, second], "limit": query.limit(), "now": now, "who": principal}

    client = client_of(only(handler, "/x/<first>/y/<second>"))
    assert client("GET", "/x/1/y/2?limit=3").json == {
        "parts": ["1", "2"],
        "limit": 3,
        "now": 1_623_757_576.5,
        "who": None,
    }


def test_handler_when_something_does_not_answer_then_a_header_names_it(client_of):
    def handler(missing, query):
        missing.note(["shard 2 (db3:9000, db4:9000)", "übrig"] * int(query.flag("away")))
        missing.note(["shard 2 (db3:9000, db4:9000)"] * int(query.flag("away")))
        return [1]

    client = client_of(only(handler))
    reply = client("GET", "/x?away=1")
    assert (reply.status, reply.json) == (200, [1])
    assert reply.headers["x-partial"] == r"shard 2 (db3:9000, db4:9000); \xfcbrig"
    assert "x-partial" not in client("GET", "/x").headers


def test_handler_when_it_asks_for_something_unknown_then_the_start_stops(client_of):
    with pytest.raises(StartupError, match="route GET /x: the handler asks for stroe, expected"):
        client_of(only(lambda stroe: None))
    with pytest.raises(StartupError, match="route GET /x/<id>: the handler does not take id"):
        client_of(only(lambda: None, "/x/<id>"))


def test_handler_when_it_returns_an_answer_then_as_it_says(client_of):
    made = Answer(b"a", 201, "text/plain", {"X-One": "1"})
    reply = client_of(only(lambda: made))("GET", "/x")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (201, b"a", "text/plain")
    assert reply.headers["x-one"] == "1"
    assert client_of(only(lambda: Answer([1], 202)))("GET", "/x").json == [1]
    assert client_of(only(lambda: []))("GET", "/x").body == b"[]"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RequestError(409, "Taken"), 409, "Taken"),
        (QueryError("the range is odd"), 400, "The range is odd"),
        (StorageError("secret place"), 503, "The database is not available at the moment, try"),
        (ZeroDivisionError("secret"), 500, "Internal server error"),
        (KeyError("secret"), 500, "Internal server error"),
    ],
)
def test_handler_when_it_raises_then_json_and_nothing_told(client_of, error, status, message):
    reply = client_of(only(raising(error)))("GET", "/x")
    assert is_error(reply, status)
    assert reply.json["message"].startswith(message)
    assert b"secret" not in reply.body


def test_handler_when_it_returns_what_json_does_not_know_then_500(client_of):
    assert is_error(client_of(only(object))("GET", "/x"), 500)
    assert is_error(client_of(only(lambda: float("nan")))("GET", "/x"), 500)


def test_error_when_logged_then_with_traceback_and_not_again_at_once(client_of, caplog):
    client = client_of(only(raising(ZeroDivisionError("why"))))
    for _ in range(3):
        client("GET", "/x")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "ZeroDivisionError: why" in caplog.text


def test_database_when_away_for_long_then_logged_once_a_minute(client_of, caplog):
    def away():
        raise StorageError("gone")

    client = client_of(only(away))
    for _ in range(3):
        client("GET", "/x")
    assert [record.getMessage() for record in caplog.records] == ["storage is not available: gone"]


@pytest.mark.parametrize("device", ["2", "192.0.2.2"])
def test_exporter_when_deleted_then_no_device_any_more(client, store, device):
    store.records = [
        ExporterRecord(number, f"192.0.2.{number}", "", "", 1.0, 1.0) for number in (1, 2)
    ]
    path = f"/api/v1/exporters/{device}"
    assert is_error(client("DELETE", path, token="user"), 403)
    assert is_error(client("DELETE", path), 401)
    reply = client("DELETE", path, token="administrator")
    assert (reply.status, reply.json) == (200, {"message": "Exporter 192.0.2.2 is forgotten"})
    assert [row["ID"] for row in client("GET", GET_ALL, token="user").json] == [1]
    again = client("DELETE", path, token="administrator")
    assert is_error(again, 404)
    assert again.json["message"] == f"No device {device}"


def test_path_when_unknown_then_404_in_json(client):
    for path in ("//", "/nope", "/v1/api/device", "/v1/api/device/get/all/", "/API/docs", "/x\xff"):
        assert is_error(client("GET", path), 404), path


def test_method_when_not_there_then_405_with_allow(client):
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        reply = client(method, GET_ALL)
        assert is_error(reply, 405)
        assert reply.headers["allow"] == "GET,OPTIONS"
    assert client("GET", "/v1/api/device/set/by/1").headers["allow"] == "OPTIONS,POST"


def test_head_when_asked_then_as_get_without_body(client):
    reply = client("HEAD", GET_ALL, token="user")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) == len(client.get(GET_ALL).body)
    assert client("HEAD", GET_ALL).status == 401


def test_answer_when_any_then_with_security_headers(client):
    for path in ("/v1/api/", GET_ALL, "/api/openapi.json", "/nope"):
        headers = client.get(path).headers
        for name, value in SECURITY_HEADERS.items():
            assert headers[name.lower()] == value
    assert "style-src 'sha256-" in client.get("/api/docs").headers["content-security-policy"]


def test_401_when_answered_then_says_how(client):
    reply = client("GET", GET_ALL)
    assert is_error(reply, 401)
    assert reply.headers["www-authenticate"] == "Bearer"


def test_store_when_it_fails_then_503_and_later_again(client, store):
    store.failure = StorageError("database is locked")
    reply = client.get(GET_ALL)
    assert is_error(reply, 503)
    assert reply.headers["retry-after"] == "10"
    store.failure = None
    assert client.get(GET_ALL).status == 200


def test_application_when_made_twice_then_they_share_nothing(client_of):
    one, other = client_of(only(lambda: 1, "/one")), client_of(only(lambda: 2, "/two"))
    assert (one("GET", "/one").json, one("GET", "/two").status) == (1, 404)
    assert (other("GET", "/two").json, other("GET", "/one").status) == (2, 404)


ORIGIN = "https://console.example"
PREFLIGHT = {
    "HTTP_ORIGIN": ORIGIN,
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET",
    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x-apiauth",
}


def cors_headers(reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if "access-control" in name}


def test_options_when_no_cors_is_configured_then_allow_and_nothing_else(client):
    reply = client("OPTIONS", GET_ALL, **PREFLIGHT)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    assert not cors_headers(reply)
    assert not cors_headers(client.get(GET_ALL, HTTP_ORIGIN=ORIGIN))


def test_options_when_all_is_allowed_then_stars(client_of):
    client: Client = client_of(cors=Cors(allow_all=True))
    assert cors_headers(client("OPTIONS", GET_ALL, **PREFLIGHT)) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, OPTIONS",
        "access-control-allow-headers": "x-apiauth",
        "access-control-max-age": "600",
    }
    assert cors_headers(client.get(GET_ALL, HTTP_ORIGIN=ORIGIN)) == {
        "access-control-allow-origin": "*"
    }
    assert cors_headers(client("GET", GET_ALL, HTTP_ORIGIN=ORIGIN)) != {}
    odd = PREFLIGHT | {"HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x\r\nevil: 1"}
    assert "access-control-allow-headers" not in cors_headers(client("OPTIONS", GET_ALL, **odd))


def test_options_when_some_are_allowed_then_only_they(client_of):
    cors = Cors(False, ("x-apiauth",), ("GET",), (ORIGIN,))
    client: Client = client_of(cors=cors)
    reply = client("OPTIONS", GET_ALL, **PREFLIGHT)
    assert cors_headers(reply) == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-methods": "GET",
        "access-control-allow-headers": "x-apiauth",
        "access-control-max-age": "600",
    }
    assert reply.headers["vary"] == "Origin"
    foreign = client("OPTIONS", GET_ALL, **PREFLIGHT | {"HTTP_ORIGIN": "https://evil.example"})
    assert (foreign.headers["vary"], cors_headers(foreign)) == ("Origin", {})


def test_cors_when_another_api_is_asked_then_nothing(client_of):
    client: Client = client_of(cors=Cors(allow_all=True))
    for path in ("/api/v1/netflow/getTopApps", "/metrics", "/api/docs"):
        assert not cors_headers(client.get(path, HTTP_ORIGIN=ORIGIN))
        assert not cors_headers(client("OPTIONS", path, **PREFLIGHT))


def test_json_when_text_is_not_ascii_then_escaped(client, store):
    from dataclasses import replace

    store.records[0] = replace(store.records[0], name="Zürich \u2028")
    reply = client.get(GET_ALL)
    assert reply.body.isascii()
    assert json.loads(reply.body)[0]["Name"] == "Zürich \u2028"
