"""Cross-origin requests of browsers, by the `http.cors` settings of api_server.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "/v1/api"
"""The routes that the settings are about."""

MAX_AGE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Cors:
    """What other sites' pages may do.

    Attributes
    ----------
    allow_all
        Every origin, method and header.
    headers, methods, origins
        What is allowed otherwise; an origin is `https://host:port`.
    """

    allow_all: bool = False
    headers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def answer_headers(self, environ: Mapping[str, Any], path: str) -> dict[str, str]:
        """Return the headers that let a page of this origin read the answer."""
        origin = environ.get("HTTP_ORIGIN")
        if not is_covered(path):
            return {}
        if self.allow_all or "*" in self.origins:
            return {"Access-Control-Allow-Origin": "*"}
        headers = {"Vary": "Origin"}
        if origin in self.origins:
            headers["Access-Control-Allow-Origin"] = str(origin)
        return headers

    def preflight_headers(
        self, environ: Mapping[str, Any], path: str, methods: tuple[str, ...]
    ) -> dict[str, str]:
        """Return the headers that answer `OPTIONS`; `methods` are those of the path."""
        headers = self.answer_headers(environ, path)
        if "Access-Control-Allow-Origin" not in headers:
            return headers
        allowed = methods if self.allow_all else [m for m in methods if m in self.methods]
        asked = str(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))
        # The asked names go back only when each is a plain header name.
        plain = all(letter.isalnum() or letter in "-, " for letter in asked) and asked.isascii()
        names = (asked if plain else "") if self.allow_all else ", ".join(self.headers)
        headers["Access-Control-Allow-Methods"] = ", ".join(allowed)
        headers["Access-Control-Max-Age"] = str(MAX_AGE_SECONDS)
        if names:
            headers["Access-Control-Allow-Headers"] = names
        return headers


def is_covered(path: str) -> bool:
    """Tell whether the settings are about this path."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")
