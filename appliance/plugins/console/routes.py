"""The console's own routes: its document, its files, and what it needs to start."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from appliance import ADMINISTRATOR, PUBLIC, SIGNED_IN, Answer, Page, Principal, Route
from appliance.plugins.console.assets import assets_of
from appliance.plugins.console.views import view_routes
from appliance.web.openapi import OrNull, operation
from appliance.web.start_page import LINKS, has_console

PREFIX = LINKS["console"][0]
TAG = "Console"


def document(environ: Mapping[str, Any], pages: tuple[Page, ...]) -> Answer:
    """Return the one document of all pages; which page it is, the browser reads in the address."""
    if not has_console(environ):
        return Answer({"success": False, "message": "Not found"}, 404)
    return assets_of(pages).document()


def page(environ: Mapping[str, Any], pages: tuple[Page, ...], place: str) -> Answer:
    """Return the document at the address of a page."""
    return document(environ, pages)


def without_slash() -> Answer:
    """Lead to the console."""
    return Answer(b"", 302, headers={"Location": PREFIX})


def asset(environ: Mapping[str, Any], pages: tuple[Page, ...], version: str, name: str) -> Answer:
    """Return a file of the console, which never changes under one address."""
    accepted = str(environ.get("HTTP_ACCEPT_ENCODING", ""))
    return assets_of(pages).answer(version, name, accepts_gzip="gzip" in accepted)


def start(principal: Principal | None, pages: tuple[Page, ...], zone: tzinfo) -> dict[str, Any]:
    """Return what the console needs before it shows anything."""
    from appliance import __version__

    roles = sorted(principal.roles) if principal else []
    is_bound = principal is not None and principal.filter is not None
    return {
        "name": principal.name if principal else "",
        "account": principal.account if principal else None,
        "filter": principal.filter if principal else None,
        "roles": roles,
        "hostname": socket.gethostname(),
        "version": __version__,
        "zone": str(zone),
        "pages": [
            {
                "title": page.title,
                "path": page.path,
                "order": page.order,
                "module": assets_of(pages).url(page),
            }
            for page in sorted(pages, key=lambda page: (page.order, page.title))
            if page.role == SIGNED_IN or {page.role, ADMINISTRATOR} & set(roles)
            if not is_bound or page.open_to_bound_users
        ],
    }


def console_routes() -> list[Route]:
    """Return the console's own routes: its document, its files and its start."""
    described = operation("The web console", content_type="text/html", tag=TAG)
    example = {
        "name": "admin",
        "account": OrNull(1),
        "filter": OrNull("ip in [192.0.2.0/24, 2001:db8:17::/48]"),
        "roles": ["Administrator"],
        "hostname": "netflow",
        "version": "0.1.0",
        "zone": "UTC",
        "pages": [
            {"title": "Biggest", "path": "biggest", "order": 80, "module": "/console/v/1/x.js"}
        ],
    }
    return [
        Route("GET", PREFIX, document, role=PUBLIC, schema=described),
        Route("GET", PREFIX.rstrip("/"), without_slash, role=PUBLIC, schema=described),
        Route(
            "GET",
            f"{PREFIX}v/<version>/<name:path>",
            asset,
            role=PUBLIC,
            schema=operation("A file of the console", content_type="text/javascript", tag=TAG),
        ),
        # Behind the files: the first route that fits is taken.
        Route("GET", f"{PREFIX}<place:path>", page, role=PUBLIC, schema=described),
        Route(
            "GET",
            "/api/v1/console",
            start,
            role=SIGNED_IN,
            schema=operation("Who is signed in, and which pages there are", example, tag=TAG),
            open_to_bound_users=True,
        ),
        *view_routes(),
    ]
