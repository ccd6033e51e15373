"""`/`: what answers here and where to go from it, as JSON for programs and a page for browsers.

A plugin that registers `GET /` takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape
from typing import Any

from appliance import __version__
from appliance.contracts import Answer
from appliance.web.guard import NEED_AUTH
from appliance.web.html_page import PageStyle, html_answer

TITLE = "NetFlow appliance"

LINKS: Mapping[str, tuple[str, str, str]] = {
    "console": ("/console/", "Console", "The pages for people."),
    "manual": ("/manual/", "Manual", "How to use it, chapter by chapter."),
    "documentation": ("/api/docs", "API", "Every route, with examples."),
    "openapi": ("/api/openapi.json", "OpenAPI", "The same for programs."),
    "devices": ("/v1/api/", "Exporter devices", "Whether their API runs; needs no token."),
    "health": ("/api/v1/health", "Health", "How the appliance is; for a token."),
    "metrics": ("/metrics", "Metrics", "Figures for Prometheus; for a token."),
}
"""By name: path, title, and what is there."""

_STYLE = PageStyle(
    """
body{max-width:34rem;padding:10vh 1.25rem 2rem}
h1{font-size:1.6rem;line-height:1.25;margin:0}
p{margin:.4rem 0 1.75rem}p,small{color:var(--faint)}
ul{list-style:none;margin:0;padding:0}li{border-top:1px solid var(--line)}
a{display:block;padding:.75rem .25rem;color:inherit;text-decoration:none}
a b{display:block;color:var(--accent)}a:hover b,a:focus-visible b{text-decoration:underline}
code{overflow-wrap:anywhere}
footer{border-top:1px solid var(--line);padding:1rem .25rem}
"""
)


def start_answer(environ: Mapping[str, Any], paths: Collection[str]) -> Answer:
    """Return the page where HTML is preferred to JSON, else JSON; the console where there is one.

    Parameters
    ----------
    paths
        Of the routes that there are; links to others are left out.
    """
    links = {name: link for name, link in LINKS.items() if link[0] in paths}
    if not has_console(environ):
        links.pop("console", None)
    if "console" in links and prefers_html(str(environ.get("HTTP_ACCEPT", ""))):
        return Answer(b"", 302, headers={"Location": LINKS["console"][0], "Vary": "Accept"})
    if prefers_html(str(environ.get("HTTP_ACCEPT", ""))):
        return html_answer(TITLE, _STYLE, _body(links), Vary="Accept")
    return Answer(start_document(links), headers={"Vary": "Accept"})


def has_console(environ: Mapping[str, Any]) -> bool:
    """Tell whether the listener of a request may serve the console: not where it needs no token."""
    return environ.get(NEED_AUTH, True) is not False


def start_document(links: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    """Return what programs are told."""
    return {
        "name": "netflow-appliance",
        "version": __version__,
        "message": "The APIs of a NetFlow appliance answer here",
        "links": {name: path for name, (path, _, _) in links.items()},
    }


def _body(links: Mapping[str, tuple[str, str, str]]) -> str:
    rows = "".join(
        f'<li><a href="{escape(path)}"><b>{escape(title)}</b> {escape(text)}'
        f" <small><code>{escape(path)}</code></small></a></li>"
        for path, title, text in links.values()
    )
    return (
        f"<h1>{TITLE}</h1><p>Its APIs answer here.</p><ul>{rows}</ul>"
        f"<footer><small>Version {escape(__version__)}. A token comes from <code>POST /auth</code>"
        " or <code>appliance token create</code>.</small></footer>"
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
