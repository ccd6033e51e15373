"""`/api/docs`: the OpenAPI description as one page without script and without foreign resources."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b2733;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d5dde5}
details{border:1px solid #d5dde5;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}summary b{display:inline-block;min-width:4rem;color:#0a6b52}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f3f6f9;padding:.8rem;overflow:auto}
table{border-collapse:collapse}td{padding:.15rem .9rem .15rem 0;vertical-align:top}
.role{color:#5b6b7a}
@media(prefers-color-scheme:dark){body{color:#dde5ec;background:#12181f}
h2,details{border-color:#33404d}pre{background:#1b242e}summary b{color:#4fd1a8}.role{color:#93a3b3}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)


def docs_page(document: Mapping[str, Any]) -> str:
    """Return the page as HTML."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            group = (described.get("tags") or ["Other"])[0]
            groups.setdefault(group, []).append(_operation(method, path, described))
    info = document["info"]
    parts = [f"<h2>{escape(group)}</h2>{''.join(rows)}" for group, rows in groups.items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        "<p>A token goes into the header <code>x-apiauth: Bearer TOKEN</code>, into"
        " <code>Authorization: Bearer TOKEN</code> or into the cookie <code>access_token</code>."
        ' For programs: <a href="/api/openapi.json">openapi.json</a>.</p>'
        f"{''.join(parts)}</body></html>"
    )


def _operation(method: str, path: str, described: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{escape(parameter.get('description', ''))}</td></tr>"
        for parameter in described.get("parameters", ())
    )
    table = f"<table>{rows}</table>" if rows else ""
    examples = "".join(_examples(described))
    role = described.get("x-required-role") or "nobody"
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code>"
        f" {escape(described['summary'])}</summary>"
        f'<p class="role">For: {escape(role)}</p>{table}{examples}</details>'
    )


def _examples(described: Mapping[str, Any]) -> list[str]:
    found = []
    places = [("Body", described.get("requestBody", {}))]
    places += [
        ("Answer", response)
        for status, response in described["responses"].items()
        if status.startswith("2")
    ]
    for title, place in places:
        example = place.get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            text = escape(json.dumps(example, indent=2, ensure_ascii=False))
            found.append(f"<p>{title}:</p><pre>{text}</pre>")
    return found
