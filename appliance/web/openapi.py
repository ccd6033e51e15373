"""OpenAPI 3.1 from the route table itself; nothing is described twice.

A route's `schema` comes from `operation`, whose example also gives the answer's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance import __version__
from appliance.contracts import PUBLIC, Route
from appliance.web.calls import path_parts, provided_arguments
from appliance.web.guard import changes_something
from appliance.web.missing_parts import DESCRIPTION, HEADER
from appliance.web.parameters import PARAMETERS

VERSION = "3.1.0"
_PART = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)(?::[^>]*)?>")
_METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")

Operation = Mapping[str, Any]

_TEXT: Mapping[str, Any] = {"type": "string"}
_PROBLEM: Mapping[str, Any] = {
    "anyOf": [_TEXT, {"type": "object", "additionalProperties": _TEXT}],
}
REFUSAL: Mapping[str, Any] = {
    "description": "One error as text, several as an array",
    "anyOf": [
        {"$ref": "#/components/schemas/Error"},
        {
            "type": "object",
            "properties": {"error": {"anyOf": [_TEXT, {"type": "array", "items": _PROBLEM}]}},
            "required": ["error"],
        },
        {"type": "object", "properties": {"message": _TEXT}, "required": ["message"]},
    ],
}
"""What the documented routes of users answer when they refuse."""

_REFUSED: Mapping[str, Any] = {
    "description": "Refused",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
}


@dataclass(frozen=True, slots=True)
class OrNull:
    """A value of an example in whose place null may stand."""

    value: object


@dataclass(frozen=True, slots=True)
class AnyValue:
    """A value of an example whose type is data."""

    value: object


@dataclass(frozen=True, slots=True)
class AnyKeys:
    """An object of an example whose keys are data."""

    value: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BodyExample:
    """An example of a body, as JSON.

    Attributes
    ----------
    required
        Names without which the route refuses it.
    """

    values: Mapping[str, object]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerExample:
    """An answer, where there is more to say about it.

    Attributes
    ----------
    status
        Of HTTP when all went well.
    refuses
        Statuses whose answers have a form of their own, `REFUSAL`.
    headers
        Of the answer when all went well: name and what it says.
    """

    value: object
    status: int = 200
    refuses: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Whole(dict[str, object]):
    """An object of an example that always has all of its keys."""


def operation(
    summary: str,
    example: object = None,
    *,
    query: Sequence[str] = (),
    tag: str = "",
    body: Mapping[str, object] | BodyExample | None = None,
    content_type: str = "application/json",
) -> Operation:
    """Describe a route.

    Parameters
    ----------
    summary
        What it answers, in one line.
    example
        An answer, or an `AnswerExample`; its schema is made from it.
    query
        Names of `appliance.web.parameters.PARAMETERS`.
    body
        An example of the body, as JSON.
    """
    answer = example if isinstance(example, AnswerExample) else AnswerExample(example)
    described: dict[str, Any] = {
        "summary": summary,
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": PARAMETERS[name].description,
                "schema": PARAMETERS[name].schema,
            }
            for name in query
        ],
        "responses": {
            str(answer.status): _success(summary, answer, content_type),
            **dict.fromkeys(map(str, answer.refuses), _REFUSED),
        },
    }
    if tag:
        described["tags"] = [tag]
    if body is not None:
        given = body if isinstance(body, BodyExample) else BodyExample(body)
        schema = schema_of(given.values) | {"required": list(given.required)}
        form = {"schema": schema, "example": shown_example(given.values)}
        types = ("application/json", "application/x-www-form-urlencoded")
        described["requestBody"] = {"content": dict.fromkeys(types, form)}
    return described


def _success(summary: str, answer: AnswerExample, content_type: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {}}
    if answer.value is not None:
        content = {"schema": schema_of(answer.value), "example": shown_example(answer.value)}
    described: dict[str, Any] = {"description": summary, "content": {content_type: content}}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": _TEXT} for name, text in answer.headers.items()
        }
    return described


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the description of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _describe(route)
    return {
        "openapi": VERSION,
        "info": {
            "title": "NetFlow appliance",
            "version": __version__,
            "description": "Octets and packets are scaled by sampling; answers are at most ten"
            " seconds old.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "x-apiauth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-apiauth",
                    "description": "Bearer and the token",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "access_token",
                    "description": "For browsers. A GET that changes something takes it only from"
                    " one that sends Sec-Fetch-Site or Origin.",
                },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {
                        "success": {"const": False},
                        "message": _TEXT,
                        "code": {**_TEXT, "description": "Where programs have to tell why"},
                    },
                    "required": ["success", "message"],
                },
                "Refusal": REFUSAL,
            },
        },
    }


def shown_example(example: object) -> object:
    """Return an example as JSON, without what only its schema says."""
    if isinstance(example, OrNull | AnyKeys | AnyValue):
        return shown_example(example.value)
    if isinstance(example, Mapping):
        return {name: shown_example(value) for name, value in example.items()}
    if isinstance(example, list | tuple):
        return [shown_example(item) for item in example]
    return example


def schema_of(example: object) -> dict[str, Any]:
    """Return the JSON schema that an example suggests."""
    if isinstance(example, AnyValue):
        return {}
    if isinstance(example, OrNull):
        inner = schema_of(example.value)
        return {**inner, "type": [inner["type"], "null"]}
    if isinstance(example, AnyKeys):
        inner = schema_of(next(iter(example.value.values())))
        return {"type": "object", "additionalProperties": inner}
    if isinstance(example, Mapping):
        properties = {str(name): schema_of(value) for name, value in example.items()}
        required = {"required": list(properties)} if isinstance(example, Whole) else {}
        return {"type": "object", "properties": properties, **required}
    if isinstance(example, list | tuple):
        return {"type": "array", "items": schema_of(example[0]) if example else {}}
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))
    return {"type": next((name for kind, name in kinds if isinstance(example, kind)), "null")}


def _describe(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = dict(route.schema or {})
    summary = schema.pop("summary", (route.handler.__doc__ or route.path).splitlines()[0])
    parts = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in path_parts(route.path)
    ]
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    responses = dict(schema.pop("responses", {"200": {"description": summary}}))
    if "missing" in provided_arguments(route):
        responses = {status: _may_be_partial(each) for status, each in responses.items()}
    responses["default"] = {"description": "An error", "content": {"application/json": error}}
    described = {
        "operationId": _identifier(route),
        "summary": summary,
        **schema,
        "parameters": [*parts, *schema.get("parameters", ())],
        "responses": responses,
        "security": _security(route),
        "x-required-role": route.role,
        "x-changes": changes_something(route),
        "x-open-to-bound-users": route.role == PUBLIC or route.open_to_bound_users,
    }
    if route.method not in _METHODS_WITH_BODY:
        described.pop("requestBody", None)
    return described


def _may_be_partial(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of an answer that says what is missing."""
    header = {HEADER: {"description": DESCRIPTION, "schema": _TEXT}}
    return {**response, "headers": {**response.get("headers", {}), **header}}


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.role == PUBLIC:
        return []
    ways: list[dict[str, list[str]]] = [{"x-apiauth": []}, {"bearer": []}, {"cookie": []}]
    return [*ways, {}] if route.open_without_auth or route.open_from_loopback else ways


def _identifier(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.path)
    slash = "Slash" if route.path.endswith("/") else ""
    return route.method.lower() + "".join(word[:1].upper() + word[1:] for word in words) + slash
