"""Finds the interfaces files: the main one and what it names by `source` and `source-directory`.

Reads as ifupdown does (interfaces(5), INCLUDING OTHER FILES). The files belong to root; limits keep
a loop or a mistake in them from hanging whoever reads.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.privileged.interfaces import (
    Stanza,
    ipv4_stanzas,
    is_brought_up,
    other_name,
    parse,
    primary,
)

INTERFACES = "etc/network/interfaces"
MAX_FILES = 256
MAX_OCTETS = 1_000_000
_DIRECTORY_NAMES = re.compile(r"[A-Za-z0-9_-]+")


class CannotRead(Exception):  # noqa: N818 - it says what is the case
    """The interfaces files cannot be read; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class InterfacesFile:
    """One file, as it is.

    Attributes
    ----------
    text
        Decoded as Latin-1: one character for each octet.
    """

    path: Path
    text: str
    stanzas: tuple[Stanza, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """Where and how the IPv4 address of an interface is configured.

    Attributes
    ----------
    file
        The file with the stanza; without a stanza the one where it belongs.
    stanza
        None: there is none yet.
    is_known
        There is a stanza of the interface, of any address family.
    is_brought_up
        An `auto` or `allow-` line names the interface.
    """

    file: InterfacesFile
    stanza: Stanza | None
    is_known: bool
    is_brought_up: bool


def read_interfaces(root: Path = Path("/")) -> list[InterfacesFile]:
    """Return the main file and those that it includes, each once, in the order of reading.

    Raises
    ------
    CannotRead
        There is no main file, one cannot be read, or there is too much of it.
    """
    found: dict[Path, InterfacesFile] = {}
    main = root / INTERFACES
    if not main.is_file():
        raise CannotRead(f"there is no /{INTERFACES}, so ifupdown does not run this network")
    waiting = [main]
    while waiting:
        path = waiting.pop(0)
        if path in found or not path.is_file():
            continue
        if len(found) >= MAX_FILES:
            raise CannotRead(f"/{INTERFACES} includes more than {MAX_FILES} files")
        found[path] = _read(path)
        waiting = [*_includes(found[path], root), *waiting]
    return list(found.values())


def find_configured(files: list[InterfacesFile], interface: str) -> Configured:
    """Return where an interface's IPv4 address is configured.

    Raises
    ------
    CannotRead
        Its stanza has another name, which only ifupdown finds.
    """
    everything = [stanza for file in files for stanza in file.stanzas]
    if problem := other_name(everything, interface):
        raise CannotRead(problem)
    stanza = primary(ipv4_stanzas(everything, interface))
    return Configured(
        next((file for file in files if _is_about(file, stanza, interface)), files[0]),
        stanza,
        any(stanza.keyword == "iface" and stanza.name == interface for stanza in everything),
        is_brought_up(everything, interface),
    )


def _is_about(file: InterfacesFile, stanza: Stanza | None, interface: str) -> bool:
    if stanza is not None:
        return any(own is stanza for own in file.stanzas)
    return any(own.keyword == "iface" and own.name == interface for own in file.stanzas)


def _read(path: Path) -> InterfacesFile:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {(error.strerror or '').lower()}") from None
    if len(octets) > MAX_OCTETS:
        raise CannotRead(f"{path} is larger than {MAX_OCTETS} octets")
    if b"\0" in octets:
        raise CannotRead(f"{path} is no text")
    text = octets.decode("latin-1")
    return InterfacesFile(path, text, parse(text))


def _includes(file: InterfacesFile, root: Path) -> Iterator[Path]:
    for stanza in file.stanzas:
        if stanza.keyword == "source":
            yield from _matches(file, stanza, root)
        elif stanza.keyword.startswith("source-dir"):
            for folder in _matches(file, stanza, root):
                names = sorted(os.listdir(folder)) if folder.is_dir() else []
                yield from (folder / name for name in names if _DIRECTORY_NAMES.fullmatch(name))


def _matches(file: InterfacesFile, stanza: Stanza, root: Path) -> Iterator[Path]:
    """Yield what the shell patterns of a line match, as wordexp(3) does without commands."""
    text = " ".join(stanza.head.values)
    try:
        patterns = shlex.split(text)
    except ValueError:
        patterns = []
    if not patterns or any(letter in text for letter in "$`~"):
        raise CannotRead(f"{file.path}: cannot follow '{stanza.keyword} {text}'")
    for pattern in patterns:
        start = root / pattern.lstrip("/") if pattern[:1] == "/" else file.path.parent / pattern
        yield from (Path(name) for name in sorted(glob.glob(str(start))))
