"""`/manual/`: the chapters of the manual as pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from appliance.contracts import PUBLIC, Answer, Route
from appliance.errors import RequestError
from appliance.manual import INDEX, LINK, PICTURES, Chapter, chapter_text, chapters
from appliance.web.html_page import PageStyle, html_answer
from appliance.web.openapi import operation

PATH = "/manual/"

if TYPE_CHECKING:
    from markdown_it.token import Token

_STYLE = PageStyle(
    """
body{max-width:72rem;padding:0 1.25rem 4rem;display:grid;grid-template-columns:13rem minmax(0,1fr);
column-gap:3rem}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding:1.5rem 0;
font-size:.95rem}
nav a{display:block;break-inside:avoid;padding:.2rem .6rem;color:inherit;text-decoration:none;
border-left:3px solid transparent}
nav a:hover{color:var(--accent)}nav a[aria-current]{border-color:var(--accent);font-weight:600}
nav b{display:block;padding:0 .6rem .6rem;font-size:1.05rem}
main{max-width:46rem;padding-top:1rem}
h1{font-size:1.9rem;line-height:1.2}h2{margin-top:2.2rem}h3{margin-top:1.6rem}
a{color:var(--accent)}
pre{background:var(--code);border-radius:6px;padding:.8rem 1rem;overflow:auto;white-space:pre-wrap}
:not(pre)>code{background:var(--code);border-radius:4px;padding:.1em .3em;overflow-wrap:anywhere}
img{max-width:100%;border:1px solid var(--line);border-radius:6px}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0}
th,td{border-bottom:1px solid var(--line);padding:.4rem .9rem .4rem 0;text-align:left;
vertical-align:top}
footer{display:flex;justify-content:space-between;gap:1rem;margin-top:3rem;padding-top:1rem;
border-top:1px solid var(--line)}
@media(max-width:52rem){body{display:block;padding:0 1rem 3rem}
nav{position:static;max-height:none;columns:2;padding:1rem 0;border-bottom:1px solid var(--line)}
nav b{column-span:all}}
@media print{nav,footer{display:none}body{display:block}}
"""
)


def manual_routes() -> list[Route]:
    """Return the routes of the manual, which needs no token."""

    def route(path: str, handler: Callable[..., Answer], summary: str) -> Route:
        described = operation(summary, content_type="text/html", tag="About")
        return Route("GET", path, handler, role=PUBLIC, schema=described)

    index = partial(manual_answer, INDEX)
    return [
        route(PATH, index, "The manual's list of chapters"),
        route(PATH.rstrip("/"), index, "The same, without the slash"),
        route(f"{PATH}<name>", manual_answer, "A chapter of the manual"),
        Route(
            "GET",
            f"{PATH}{PICTURES.name}/<name>",
            picture_answer,
            role=PUBLIC,
            schema=operation("A picture of the manual", content_type="image/png", tag="About"),
        ),
    ]


def manual_answer(name: str) -> Answer:
    """Return the page of a chapter, or of the index.

    Raises
    ------
    RequestError
        404: there is no such chapter.
    """
    chapter = next((each for each in chapters() if each.name == name), None)
    if chapter is None and name != INDEX:
        raise RequestError(404, f"the manual has no chapter {name}")
    title = f"{chapter.title} - manual" if chapter else "Manual"
    body = f"{_navigation(name)}<main>{as_html(chapter_text(name))}{_neighbours(chapter)}</main>"
    return html_answer(title, _STYLE, body)


def picture_answer(name: str) -> Answer:
    """Return a picture that chapters show.

    Raises
    ------
    RequestError
        404: there is no such picture.
    """
    pictures = {picture.name: picture for picture in PICTURES.glob("*.png")}
    if name not in pictures:
        raise RequestError(404, f"the manual has no picture {name}")
    return Answer(pictures[name].read_bytes(), content_type="image/png")


def as_html(text: str) -> str:
    """Return a chapter as HTML; headings can be linked to, links lead to pages."""
    # Sixty modules, for those who read the manual only.
    from markdown_it import MarkdownIt

    linked = LINK.sub(_to_page, text)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(linked)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(tokens[place + 1]))
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return html.replace("<table>", '<div class="wide"><table>').replace(
        "</table>", "</table></div>"
    )


def _to_page(link: re.Match[str]) -> str:
    return f"[{link['text']}]({_address(link['name'])}{link['anchor'] or ''})"


def _address(name: str) -> str:
    return PATH if name == INDEX else f"{PATH}{name}"


def _anchor(heading: Token) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^a-z0-9 -]", "", heading.content.lower()).replace(" ", "-")


def _navigation(current: str) -> str:
    entries = [Chapter(INDEX, "Contents", ""), *chapters()]
    links = "".join(
        f'<a href="{_address(entry.name)}"{_mark(entry.name == current)}>{escape(entry.title)}</a>'
        for entry in entries
    )
    return f"<nav><b>NetFlow appliance</b>{links}</nav>"


def _mark(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""


def _neighbours(chapter: Chapter | None) -> str:
    """Return links to the chapters before and after."""
    if chapter is None:
        return ""
    order = [Chapter(INDEX, "Contents", ""), *chapters()]
    place = order.index(chapter)
    before, after = order[place - 1], order[place + 1 : place + 2]
    links = [f'<a href="{_address(before.name)}">&larr; {escape(before.title)}</a>']
    links += [f'<a href="{_address(e.name)}">{escape(e.title)} &rarr;</a>' for e in after]
    return f"<footer>{''.join(links)}</footer>"
