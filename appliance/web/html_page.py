"""What the pages of the core have in common: no script, nothing foreign, light and dark."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import NamedTuple

from appliance.contracts import Answer

_COMMON = """
:root{color-scheme:light dark;--text:#1b2733;--back:#fff;--line:#d5dde5;--faint:#526170;
--accent:#0a6b52;--code:#f3f6f9}
@media(prefers-color-scheme:dark){:root{--text:#dde5ec;--back:#12181f;--line:#33404d;--faint:#93a3b3;
--accent:#4fd1a8;--code:#1b242e}}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;color:var(--text);background:var(--back)}
code,pre{font:14px/1.45 ui-monospace,monospace}
"""


class PageStyle(NamedTuple):
    """The style sheet of a page, in the page itself.

    Attributes
    ----------
    css
        What it has beside the common rules.
    """

    css: str

    @property
    def text(self) -> str:
        """The whole style sheet."""
        return _COMMON + self.css

    @property
    def policy(self) -> str:
        """The header Content-Security-Policy that allows this style, own pictures, nothing else."""
        digest = base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()
        return (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self';"
            " base-uri 'none'; frame-ancestors 'none'"
        )


def html_answer(title: str, style: PageStyle, body: str, **headers: str) -> Answer:
    """Return a page.

    Parameters
    ----------
    body
        HTML, escaped by the caller.
    headers
        Further ones, their underscores for hyphens.
    """
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style.text}</style></head>"
        f"<body>{body}</body></html>"
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        page.encode(),
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": style.policy, **named},
    )
