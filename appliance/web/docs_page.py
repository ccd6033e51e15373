"""`/api/docs`: the OpenAPI description as one page without script and without foreign resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from appliance.contracts import Answer
from appliance.web.html_page import PageStyle, html_answer

_STYLE = PageStyle(
    """
body{max-width:60rem;padding:1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}summary b{display:inline-block;min-width:4rem;color:var(--accent)}
pre{background:var(--code);padding:.8rem;overflow:auto}
table{border-collapse:collapse}td{padding:.15rem .9rem .15rem 0;vertical-align:top}
.role{color:var(--faint)}a{color:var(--accent)}
"""
)


def docs_page(document: Mapping[str, Any]) -> Answer:
    """Return the page."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            group = (described.get("tags") or ["Other"])[0]
            groups.setdefault(group, []).append(_operation(method, path, described))
    info = document["info"]
    parts = [f"<h2>{escape(group)}</h2>{''.join(rows)}" for group, rows in groups.items()]
    title = escape(f"{info['title']} {info['version']}")
    body = (
        f"<h1>{title}</h1><p>{escape(info['description'])}</p>"
        "<p>A token goes into the header <code>x-apiauth: Bearer TOKEN</code>, into"
        " <code>Authorization: Bearer TOKEN</code> or into the cookie <code>access_token</code>."
        ' For programs: <a href="/api/openapi.json">openapi.json</a>.</p>'
        f"{''.join(parts)}"
    )
    return html_answer(f"{info['title']} API", _STYLE, body)


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
