from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from appliance.contracts import ADMINISTRATOR, PUBLIC, SIGNED_IN
from appliance.web.openapi import AnyKeys, OrNull, Whole, schema_of, shown_example
from tests.web.building import plugin_routes

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture
def document(client):
    return client("GET", "/api/openapi.json").json


def operations(document):
    return [
        (path, method, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def test_document_when_asked_then_of_version_3_1(document):
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= set(document["info"])
    assert set(document) <= {
        "openapi",
        "info",
        "paths",
        "components",
        "servers",
        "tags",
        "security",
    }


def test_document_when_compared_with_the_routes_then_the_same(document, settings):
    routes = {
        (r.method.lower(), re.sub(r"<(\w+)>", r"{\1}", r.path)) for r in plugin_routes(settings)
    }
    described = ("/", "/api/openapi.json", "/api/docs")
    manual = ("/manual", "/manual/", "/manual/{name}", "/manual/pictures/{name}")
    own = {("get", path) for path in (*described, *manual)}
    assert {(method, path) for path, method, _ in operations(document)} == routes | own


def test_operations_when_described_then_structurally_valid(document):
    identifiers = [described["operationId"] for _, _, described in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    schemes = set(document["components"]["securitySchemes"])
    for path, method, described in operations(document):
        assert method in METHODS
        assert path.startswith("/")
        assert described["summary"]
        found = {(p["in"], p["name"]) for p in described["parameters"]}
        assert len(found) == len(described["parameters"])
        assert {name for kind, name in found if kind == "path"} == set(re.findall(r"{(\w+)}", path))
        for parameter in described["parameters"]:
            assert parameter["in"] in ("path", "query")
            assert parameter.get("required") in (
                (True,) if parameter["in"] == "path" else (True, None)
            )
            assert parameter["schema"]["type"] in ("string", "integer", "boolean")
        for status, response in described["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d|default", status)
            assert response["description"]
            for media in response["content"].values():
                resolve(document, media["schema"])
        for way in described["security"]:
            assert set(way) <= schemes


def resolve(document, schema) -> None:
    """Follow what a schema refers to, and look at its types."""
    if "$ref" in schema:
        target = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return
    kinds = schema.get("type", "object")
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        assert kind in ("object", "array", "string", "integer", "number", "boolean", "null")
    for inner in [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]:
        resolve(document, inner)


def test_operations_when_guarded_then_say_so(document):
    for path, _, described in operations(document):
        role = described["x-required-role"]
        assert role in (PUBLIC, SIGNED_IN, ADMINISTRATOR), path
        assert (described["security"] == []) == (role == PUBLIC)
    by_path = {path: described for path, _, described in operations(document)}
    assert {} in by_path["/metrics"]["security"]
    assert {} in by_path["/v1/api/device/get/all"]["security"]
    assert {} not in by_path["/api/v1/netflow/getTopApps"]["security"]


def test_analytics_when_described_then_take_range_and_device(document):
    for path, _, described in operations(document):
        if path.startswith("/api/v1/netflow/") and not path.endswith("getColumnInfo"):
            names = {parameter["name"] for parameter in described["parameters"]}
            assert {"from", "to", "last", "device", "limit"} <= names
            headers = described["responses"]["200"]["headers"]
            assert {"X-Figures", "X-Figures-Pending", "X-Range", "X-Partial"} == set(headers)
            assert "at-most-low-by=N" in headers["X-Figures"]["description"]


def test_devices_when_described_then_a_header_tells_what_is_missing(document):
    described = {path: one for path, method, one in operations(document) if method == "get"}
    for path, one in described.items():
        if "/v1/api/device/get/" in path and not path.startswith("/v1/api/device/get/by/"):
            assert "shards" in one["responses"]["200"]["headers"]["X-Partial"]["description"]


def test_schema_when_made_of_an_example_then_its_types():
    assert schema_of({"a": [1], "b": None, "c": True, "d": 1.5, "e": "x", "f": []}) == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer"}},
            "b": {"type": "null"},
            "c": {"type": "boolean"},
            "d": {"type": "number"},
            "e": {"type": "string"},
            "f": {"type": "array", "items": {}},
        },
    }


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data):
        self.text += data


def test_docs_when_asked_then_a_page_of_its_own_with_every_route(client, document):
    reply = client("GET", "/api/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(reply.body.decode())
    assert page.links == ["/api/openapi.json"]
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert b"url(" not in reply.body
    assert b"@import" not in reply.body
    for path in document["paths"]:
        assert path in page.text
    assert "User created!" in page.text, "the example of an answer with another status than 200"


def test_schema_when_null_or_any_key_is_possible_then_said_and_not_shown():
    example = Whole(a=OrNull("x"), b=AnyKeys({"some": 1}))
    assert schema_of(example)["required"] == ["a", "b"]
    assert schema_of(example)["properties"] == {
        "a": {"type": ["string", "null"]},
        "b": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    assert shown_example(example) == {"a": "x", "b": {"some": 1}}
