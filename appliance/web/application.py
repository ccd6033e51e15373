"""Makes the WSGI application: each route wrapped once, with guard, arguments and JSON.

Bottle finds the route; everything else happens in `_respond`, so no handler and no other module
touches Bottle. There is no default application.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import bottle

from appliance.contracts import PUBLIC, THE_CORE, Answer, Principal, Registered, Route
from appliance.guard import Guard, PluginError
from appliance.guard.methods import checked_answer, in_json
from appliance.ratelimit import RateLimited
from appliance.web.audit import AuditEvent, Trail
from appliance.web.calls import PROVIDERS, Call, Services, provided_arguments
from appliance.web.cors import Cors
from appliance.web.docs_page import docs_page
from appliance.web.errors import ROUTE, error_answer, error_body, error_for
from appliance.web.guard import admit
from appliance.web.large_answers import ListTurns
from appliance.web.manual_page import manual_routes
from appliance.web.openapi import openapi_document, operation
from appliance.web.start_page import LINKS, start_answer, start_document
from appliance.web.streams import Stream, begin_stream

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}
"""Only by TLS; a browser takes no notice of it beside a certificate that it does not trust."""

RETENTION_SETTING = "audit.retention_age"

_STATUS_TEXTS = {404: "Not found", 405: "Method not allowed"}
_Environ = Mapping[str, Any]


def build_web(
    routes: Iterable[Registered[Route]], services: Services, cors: Cors | None = None
) -> Any:
    """Return the Bottle application that answers these routes and its own two.

    Parameters
    ----------
    routes
        Of all plugins; no two with one method and path.
    cors
        For the routes below `/v1/api`; None allows nothing.

    Raises
    ------
    StartupError
        A handler asks for an argument that there is not.
    """
    table = all_routes(routes)
    cors = cors or Cors()
    log = RateLimited(logging.getLogger(__name__))
    retention_seconds = services.settings[RETENTION_SETTING]
    trail = Trail(services.accounts.store, services.clock, retention_seconds)
    turns = ListTurns()
    web = bottle.Bottle()
    web.config["json.enable"] = False
    web.default_error_handler = _framework_error
    methods: dict[str, list[str]] = {}
    for entry in table:
        route = entry.value
        web.route(route.path, route.method, _wrap(entry, services, cors, (trail, log, turns)))
        methods.setdefault(route.path, []).append(route.method)
    for path, found in methods.items():
        web.route(path, "OPTIONS", _preflight(path, (*found, "OPTIONS"), cors))
    return web


def all_routes(routes: Iterable[Registered[Route]]) -> tuple[Registered[Route], ...]:
    """Return the routes of plugins and the core's own, which describe them."""
    entries = list(routes)
    table = [entry.value for entry in entries]
    n_plugins = len(table)
    if not any((route.method, route.path) == ("GET", "/") for route in table):
        table.append(_start_route(table))
    table += [
        Route(
            "GET",
            "/api/openapi.json",
            lambda: openapi_document(table),
            role=PUBLIC,
            schema=operation("This description", {"openapi": "3.1.0"}, tag="About"),
        ),
        Route(
            "GET",
            "/api/docs",
            lambda: docs_page(openapi_document(table)),
            role=PUBLIC,
            schema=operation("This description for people", content_type="text/html", tag="About"),
        ),
        *manual_routes(),
    ]
    return (*entries, *(Registered(THE_CORE, route) for route in table[n_plugins:]))


def _start_route(table: Sequence[Route]) -> Route:
    """Return the route of `/`; it knows the routes that join the table after it too."""
    return Route(
        "GET",
        "/",
        lambda environ: start_answer(environ, {route.path for route in table}),
        role=PUBLIC,
        schema=operation(
            "What answers here; HTML for browsers", start_document(LINKS), tag="About"
        ),
    )


def _wrap(
    entry: Registered[Route],
    services: Services,
    cors: Cors,
    shared: tuple[Trail, RateLimited, ListTurns],
) -> Callable[..., Any]:
    route = entry.value
    names = provided_arguments(route)
    trail, log, turns = shared
    guard = Guard(entry.plugin, ROUTE, services.failures)

    def answer(environ: _Environ, parts: Mapping[str, str], event: AuditEvent) -> Answer:
        def remembered(environ: _Environ) -> Principal | None:
            event.principal = services.principal_from(environ)
            return event.principal

        form: Callable[[str], Mapping[str, Any]] = error_body
        try:
            principal = admit(route, environ, remembered)
            # Who may not call the route learns it in the form of all routes.
            form = _error_form(route, guard)
            trail.begin(event, route, environ)
            call = Call(services, environ, principal, event)
            arguments = {name: PROVIDERS[name](call) for name in names}
            with turns.turn(route.whole_list and not _has_limit(environ)):
                returned = guard.call(lambda: route.handler(**parts, **arguments), checked_answer)
                return call.missing.told_in(begin_stream(returned, guard))
        # Whatever a request meets becomes an answer.
        except Exception as error:
            return error_answer(error_for(event.principal, error), log, form)

    def wrapped(**parts: str) -> Any:
        environ: _Environ = bottle.request.environ
        headers = cors.answer_headers(environ, route.path)
        event = AuditEvent()
        answered = answer(environ, parts, event)
        trail.end(event, route, environ, answered.status)
        return _respond(answered, headers)

    return wrapped


def _error_form(route: Route, guard: Guard) -> Callable[[str], Mapping[str, Any]]:
    """Return a function that makes the JSON of an error, as the route says or as all others."""
    own = route.error_body
    if own is None:
        return error_body

    def form(message: str) -> Mapping[str, Any]:
        try:
            return guard.call(lambda: own(message), in_json)
        except PluginError:
            return error_body(message)

    return form


def _preflight(path: str, methods: tuple[str, ...], cors: Cors) -> Callable[..., Any]:
    allow = {"Allow": ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))}

    def preflight(**_parts: str) -> Any:
        environ = bottle.request.environ
        headers = cors.preflight_headers(environ, path, methods)
        return bottle.HTTPResponse("", 204, headers=security_headers(environ) | allow | headers)

    return preflight


def _respond(answer: Answer, headers: Mapping[str, str]) -> Any:
    own = {"Content-Type": answer.content_type, **answer.headers, **headers}
    body = answer.body if isinstance(answer.body, Stream) else _octets(answer.body)
    security = security_headers(bottle.request.environ)
    response = bottle.HTTPResponse(body, answer.status, headers=security | own)
    for cookie in answer.cookies:
        response.add_header("Set-Cookie", cookie)
    return response


def security_headers(environ: _Environ) -> dict[str, str]:
    """Return the headers that every answer to a request gets."""
    by_tls = environ.get("wsgi.url_scheme") == "https"
    return SECURITY_HEADERS | (STRICT_TRANSPORT if by_tls else {})


def _has_limit(environ: _Environ) -> bool:
    return "limit" in parse_qs(str(environ.get("QUERY_STRING", "")))


def _octets(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")


def _framework_error(error: Any) -> bytes:
    """Answer what Bottle itself refuses: no such path, no such method, a bug."""
    status = int(error.status_code)
    message = _STATUS_TEXTS.get(status, "Internal server error" if status >= 500 else "Bad request")
    security = security_headers(bottle.request.environ)
    for name, value in (security | {"Content-Type": "application/json"}).items():
        bottle.response.set_header(name, value)
    return _octets(error_body(message))
