"""Handlers of plugins that fail in every way: every request is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from appliance.contracts import Answer, Route
from appliance.errors import RequestError
from appliance.guard import (
    PluginFailures,
)
from tests.guard.failing import RAISERS, returning
from tests.web.building import Client, FakeStore, settings_of, web_of

ANSWERS = [
    object(),
    {"x": float("nan")},
    {1, 2},
    Answer({}, status="200"),  # type: ignore[arg-type]
    Answer({}, status=7),
    Answer({}, headers={"X-A": 5}),  # type: ignore[dict-item]
    Answer({}, headers={"X-A": "a\r\nSet-Cookie: x=y"}),
    Answer({}, content_type=None),  # type: ignore[arg-type]
    Answer({}, cookies="abc"),  # type: ignore[arg-type]
    Answer({}, cookies=(5,)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("handler", [*RAISERS, *map(returning, ANSWERS)])
def test_handler_when_it_fails_then_500_and_the_other_routes_answer(
    handler: Callable[..., Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def bad() -> Any:
        return handler()

    routes = [
        Route("GET", "/bad", bad, role="public"),
        Route("GET", "/good", lambda: {"good": True}, role="public"),
    ]
    failures = PluginFailures()
    client = Client(web_of(FakeStore(), settings_of(tmp_path), routes, failures=failures))
    for _ in range(3):
        reply = client.get("/bad")
        assert (reply.status, reply.json["message"]) == (500, "Internal server error")
    assert client.get("/good").json == {"good": True}
    assert failures.report()["tests"]["route"]["count"] == 3
    assert len([r for r in caplog.records if "plugin tests: route failed" in r.getMessage()]) == 1


@pytest.mark.parametrize("form", [*RAISERS, returning(42), returning({"x": object()})])
def test_error_body_when_it_fails_then_the_form_of_all_errors(
    form: Callable[..., Any], tmp_path: Any
) -> None:
    def refuse() -> None:
        raise RequestError(409, "No")

    routes = [Route("GET", "/bad", refuse, role="public", error_body=form)]
    failures = PluginFailures()
    client = Client(web_of(FakeStore(), settings_of(tmp_path), routes, failures=failures))
    reply = client.get("/bad")
    assert (reply.status, reply.json) == (409, {"success": False, "message": "No"})
    assert failures.total == 1
