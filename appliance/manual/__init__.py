"""The manual: chapters in Markdown, shipped with the program, for the terminal and the web.

`index.md` lists the chapters in their order, each as `- [Title](name.md): what it is about`. Links
from one chapter to another are relative, so that they also work where the files are read as they
are.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

INDEX = "index"
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<name>[a-z-]+)\.md(?P<anchor>#[a-z0-9-]*)?\)")
"""A link to another chapter."""

_ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<name>[a-z-]+)\.md\): (?P<about>.+)$", re.M)


PICTURES = Path(__file__).parent / "pictures"
"""PNG files that chapters show; `make screenshots` takes them."""


PICTURE = re.compile(r"^!\[.*\)\n", re.M)
"""A line that is a picture."""


class Chapter(NamedTuple):
    """One chapter: its name in commands and addresses, its title, and what it is about."""

    name: str
    title: str
    about: str


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the chapters in the order of the index."""
    return tuple(Chapter(**entry.groupdict()) for entry in _ENTRY.finditer(chapter_text(INDEX)))


def chapter_text(name: str) -> str:
    """Return a chapter, or the index, as Markdown.

    Parameters
    ----------
    name
        `INDEX`, or that of one of `chapters()`.
    """
    return (files(__name__) / f"{name}.md").read_text(encoding="utf-8")
