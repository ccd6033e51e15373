"""Reads pmacct's `aggregate_primitives` file: information elements that a site has named itself.

A line is `name=appid field_type=95 len=4 semantics=raw`; `field_type=9:12235` is an enterprise
element. Follows nfacctd 1.7.7: a line that it would ignore is ignored here, with its words as a
warning, so that a file which works there works here. How octets become text is left to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.flows import RawElement
from appliance.plugins.pmacct.configuration.config import at_line, is_comment, read_lines

SEMANTICS = ("u_int", "hex", "ip", "mac", "str", "raw")
NAME_OCTETS = 63
"""What nfacctd keeps of a name."""

_ATTRIBUTES = ("name", "field_type", "len", "semantics")


@dataclass(frozen=True, slots=True)
class Primitive:
    """A custom primitive.

    Attributes
    ----------
    name
        Lower case, as the `aggregate` line and the SQL column call it.
    enterprise, element
        The information element; enterprise 0 is IANA's.
    length
        Octets, or None for any (`len=vlen`).
    semantics
        How the octets are written, one of `SEMANTICS`.
    repeat
        Which occurrence of the element in a record, from 0: the n-th line for one element means
        its n-th occurrence, where none has the length of the line.
    nth_of_length
        Which of the occurrences that have its length, from 0.
    occurrences
        How many lines there are for the element, so many of its occurrences are kept.
    """

    name: str
    enterprise: int
    element: int
    length: int | None
    semantics: str
    repeat: int = 0
    nth_of_length: int = 0
    occurrences: int = 1


@dataclass(frozen=True, slots=True)
class PrimitivesFile:
    """The primitives of a file in its order, and a sentence for each line that was ignored."""

    primitives: tuple[Primitive, ...]
    warnings: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[RawElement, ...]:
        """The elements that they are made of, in the order of the file."""
        return tuple(
            (p.enterprise, p.element, p.repeat) if p.repeat else (p.enterprise, p.element)
            for p in self.primitives
        )


def read_primitives(path: Path) -> PrimitivesFile:
    """Read a file of custom primitives.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    primitives: dict[str, Primitive] = {}
    warnings: list[str] = []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        try:
            primitive = _primitive(text, primitives)
        except ValueError as problem:
            warnings.append(f"{at_line(path, number)}: {problem}")
        else:
            primitives[primitive.name] = primitive
    lines = Counter((p.enterprise, p.element) for p in primitives.values())
    counted = (replace(p, occurrences=lines[p.enterprise, p.element]) for p in primitives.values())
    return PrimitivesFile(tuple(counted), tuple(warnings))


def _primitive(text: str, earlier: Mapping[str, Primitive]) -> Primitive:
    """Return the primitive of a line; `ValueError` has nfacctd's words for why there is none."""
    attributes = dict(_attribute(word, text) for word in text.split())
    name = attributes.get("name", "").lower()[:NAME_OCTETS]
    if name in earlier:
        raise ValueError(
            f"Duplicate custom aggregate primitive name specified: {name}. Line ignored."
        )
    length = _length(attributes["len"]) if "len" in attributes else 0
    enterprise, element = _field_type(attributes.get("field_type"))
    semantics = attributes.get("semantics", "")
    if not name or not element or length == 0 or semantics not in SEMANTICS:
        raise ValueError(f"Invalid entry: name={name}")
    same = [p for p in earlier.values() if (p.enterprise, p.element) == (enterprise, element)]
    nth = sum(p.length == length for p in same)
    return Primitive(name, enterprise, element, length, semantics, len(same), nth)


def _attribute(word: str, text: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"malformed line: {text.strip()}. Line ignored.")
    if key not in _ATTRIBUTES:
        raise ValueError(f"unknown key '{key}'. Ignored.")
    return key, value


def _length(written: str) -> int | None:
    if written.startswith("vlen"):
        return None
    if not written.isdecimal() or not 0 < int(written) < 65535:
        raise ValueError(f"Invalid length '{written}'. Line ignored.")
    return int(written)


def _field_type(written: str | None) -> tuple[int, int]:
    if written is None:
        return 0, 0
    enterprise, _, element = written.rpartition(":")
    usable = element.isdecimal() and (not enterprise or enterprise.isdecimal())
    if not usable or not 0 < int(element) <= 65535 or int(enterprise or 0) >= 2**32:
        raise ValueError(f"Invalid NetFlow v9/IPFIX field type '{written}'. Line ignored.")
    return int(enterprise or 0), int(element)
