"""`/`: what answers here and where to go from it, as JSON for programs and a page for browsers.

A plugin that registers `GET /` takes its place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from html import escape
from typing import Any

from appliance import __version__
from appliance.contracts import Answer

TITLE = "NetFlow appliance"

LINKS: Mapping[str, tuple[str, str, str]] = {
    "documentation": ("/api/docs", "Documentation", "Every route, with examples."),
    "openapi": ("/api/openapi.json", "OpenAPI", "The same for programs."),
    "devices": ("/v1/api/", "Exporter devices", "Whether their API runs; needs no token."),
    "health": ("/api/v1/health", "Health", "How the appliance is; for a token."),
    "metrics": ("/metrics", "Metrics", "Figures for Prometheus; for a token."),
}
"""By name: path, title, and what is there."""

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:0 auto;padding:10vh 1.25rem 2rem;
color:#1b2733;background:#fff}
h1{font-size:1.6rem;line-height:1.25;margin:0}
p{margin:.4rem 0 1.75rem}p,small{color:#526170}
ul{list-style:none;margin:0;padding:0}li{border-top:1px solid #d5dde5}
a{display:block;padding:.75rem .25rem;color:inherit;text-decoration:none}
a b{display:block;color:#0a6b52}a:hover b,a:focus-visible b{text-decoration:underline}
code{font:14px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
footer{border-top:1px solid #d5dde5;padding:1rem .25rem}
@media(prefers-color-scheme:dark){body{color:#dde5ec;background:#12181f}
p,small{color:#93a3b3}li,footer{border-color:#33404d}a b{color:#4fd1a8}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)


def start_answer(environ: Mapping[str, Any], paths: Collection[str]) -> Answer:
    """Return the page where HTML is preferred to JSON, else JSON.

    Parameters
    ----------
    paths
        Of the routes that there are; links to others are left out.
    """
    links = {name: link for name, link in LINKS.items() if link[0] in paths}
    headers = {"Vary": "Accept"}
    if prefers_html(str(environ.get("HTTP_ACCEPT", ""))):
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        page = start_page(links).encode()
        return Answer(page, content_type="text/html; charset=utf-8", headers=headers)
    return Answer(start_document(links), headers=headers)


def start_document(links: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    """Return what programs are told."""
    return {
        "name": "netflow-appliance",
        "version": __version__,
        "message": "The APIs of a NetFlow appliance answer here",
        "links": {name: path for name, (path, _, _) in links.items()},
    }


def start_page(links: Mapping[str, tuple[str, str, str]]) -> str:
    """Return the page as HTML."""
    rows = "".join(
        f'<li><a href="{escape(path)}"><b>{escape(title)}</b> {escape(text)}'
        f" <small><code>{escape(path)}</code></small></a></li>"
        for path, title, text in links.values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{TITLE}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{TITLE}</h1><p>Its APIs answer here.</p><ul>{rows}</ul>"
        f"<footer><small>Version {escape(__version__)}. A token comes from <code>POST /auth</code>"
        " or <code>appliance token create</code>.</small></footer></body></html>"
    )


def prefers_html(accept: str) -> bool:
    """Tell whether a header `Accept` prefers HTML to JSON (RFC 9110 section 12.5.1)."""
    weights = dict(map(_weight, accept.lower().split(",")))
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)


def _weight(entry: str) -> tuple[str, float]:
    """Return a media type and its quality; one that makes no sense is 0."""
    kind, *parameters = (part.strip() for part in entry.split(";"))
    quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    digits = quality.replace(".", "", 1)
    sane = digits.isascii() and digits.isdecimal() and len(quality) <= 5
    return kind, float(quality) if sane else 0.0
