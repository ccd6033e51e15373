"""Text of /etc/network/interfaces in, stanzas out; and the same text with one stanza changed.

Defined by interfaces(5) of ifupdown 0.8. Text is decoded as Latin-1, so that each character is one
octet and what is not understood stays as it is. Nothing is read or written here; the files are
found by `appliance.privileged.files`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SPACE = " \t\n\v\f\r"
"""What C's isspace() takes for space; Python's own set is larger."""

_STARTS = ("iface", "mapping", "auto", "source", "no-auto-down", "no-scripts", "rename")
_STARTING_PREFIXES = ("allow-", "source-dir")


class Word(NamedTuple):
    """A word and where it stands in the text, joined lines included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line as ifupdown reads it: physical lines that backslashes join; never a comment.

    Attributes
    ----------
    start, end
        Its place in the text; the end is behind its newline, if it has one.
    words
        At least one.
    """

    start: int
    end: int
    words: tuple[Word, ...]

    @property
    def keyword(self) -> str:
        """The first word."""
        return self.words[0].text

    @property
    def values(self) -> tuple[str, ...]:
        """The other words."""
        return tuple(word.text for word in self.words[1:])


@dataclass(frozen=True, slots=True)
class Stanza:
    """A line that begins a stanza, and the lines that belong to it."""

    head: Line
    options: tuple[Line, ...] = ()

    @property
    def keyword(self) -> str:
        """What kind of stanza it is."""
        return self.head.keyword

    @property
    def name(self) -> str:
        """Of `iface`: the interface."""
        return self.head.values[0] if self.head.values else ""

    @property
    def family(self) -> str:
        """Of `iface`: the address family, such as `inet`; empty when it is inherited."""
        values = self.head.values
        return values[1] if len(values) > 1 and values[1] != "inherits" else ""

    @property
    def method(self) -> str:
        """Of `iface`: the method, such as `static`; empty when it is inherited."""
        values = self.head.values
        return values[2] if self.family and len(values) > 2 and values[2] != "inherits" else ""

    def option(self, name: str) -> str | None:
        """Return the first value of an option, None without it."""
        return next((" ".join(o.values) for o in self.options if o.keyword == name), None)


def parse(text: str) -> tuple[Stanza, ...]:
    """Return the stanzas of a file in their order.

    Options before the first stanza, which ifupdown refuses, form one without options each.
    """
    found: list[tuple[Line, list[Line]]] = []
    for line in lines_of(text):
        takes_options = bool(found) and found[-1][0].keyword in ("iface", "mapping")
        if starts_stanza(line.keyword) or not takes_options:
            found.append((line, []))
        else:
            found[-1][1].append(line)
    return tuple(Stanza(head, tuple(options)) for head, options in found)


def starts_stanza(keyword: str) -> bool:
    """Tell whether a line with this first word begins a stanza."""
    return keyword in _STARTS or keyword.startswith(_STARTING_PREFIXES)


def lines_of(text: str) -> Iterator[Line]:
    """Yield the lines of a file that are neither empty nor comments."""
    start = 0
    while start < len(text):
        end, joined = _join(text, start)
        words = _words(joined)
        if words:
            yield Line(start, end, words)
        start = end


def ipv4_stanzas(stanzas: Iterable[Stanza], interface: str) -> list[Stanza]:
    """Return the stanzas that give an interface IPv4 addresses."""
    return [
        stanza
        for stanza in stanzas
        if stanza.keyword == "iface" and stanza.name == interface and stanza.family in ("inet", "")
    ]


def primary(stanzas: Sequence[Stanza]) -> Stanza | None:
    """Return the stanza that the interface's address is changed in, of its IPv4 stanzas.

    It is the first that brings the default route; without one, the first.
    """
    bringing = (s for s in stanzas if s.method == "dhcp" or s.option("gateway") is not None)
    return next(bringing, stanzas[0] if stanzas else None)


def is_brought_up(stanzas: Iterable[Stanza], interface: str) -> bool:
    """Tell whether an `auto` or `allow-` line names the interface or a pattern that it fits."""
    return any(
        _fits(word.partition("=")[0], interface)
        for stanza in stanzas
        if stanza.keyword == "auto" or stanza.keyword.startswith("allow-")
        for word in stanza.head.values
    )


def other_name(stanzas: Iterable[Stanza], interface: str) -> str | None:
    """Say why the interface's stanza may have another name than it; None when it has not."""
    for stanza in stanzas:
        values = stanza.head.values
        if stanza.keyword == "mapping" and any(fnmatch.fnmatchcase(interface, v) for v in values):
            return f"a mapping decides which stanza {interface} uses"
        if stanza.keyword == "auto" or stanza.keyword.startswith("allow-"):
            for name, equals, logical in (value.partition("=") for value in values):
                if equals and logical != interface and _fits(name, interface):
                    return f"{interface} uses the stanza {logical}"
    return None


def _fits(pattern: str, interface: str) -> bool:
    """Match as ifupdown does: a pattern has a slash before it (`/eth*`)."""
    variable, slash, rest = pattern.partition("/")
    if not slash:
        return pattern == interface
    return not variable and fnmatch.fnmatchcase(interface, rest.partition("/")[0])


def _join(text: str, start: int) -> tuple[int, list[tuple[str, int]]]:
    """Return where a line ends and its characters with their places; none for a comment."""
    end = _line_end(text, start)
    characters = _characters(text, start, end)
    indent = next((i for i, (letter, _) in enumerate(characters) if letter not in SPACE), 0)
    characters = characters[indent:]
    if characters and characters[0][0] == "#":
        return end, []
    # The end of a joined line is looked at again, and a comment is none behind a backslash.
    while characters and characters[-1][0] == "\\":
        characters.pop()
        following, end = end, _line_end(text, end)
        characters += _characters(text, following, end)
    return end, characters


def _characters(text: str, start: int, end: int) -> list[tuple[str, int]]:
    stop = end - 1 if text[end - 1 : end] == "\n" else end
    return [(text[at], at) for at in range(start, stop)]


def _line_end(text: str, start: int) -> int:
    newline = text.find("\n", start)
    return len(text) if newline < 0 else newline + 1


def _words(characters: list[tuple[str, int]]) -> tuple[Word, ...]:
    words: list[Word] = []
    letters, begin, last = "", 0, 0
    for letter, at in [*characters, (" ", 0)]:
        if letter not in SPACE:
            begin = begin if letters else at
            letters, last = letters + letter, at
        elif letters:
            words.append(Word(letters, begin, last + 1))
            letters = ""
    return tuple(words)
