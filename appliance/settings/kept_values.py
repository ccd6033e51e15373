"""The setting types of what the flow log keeps beside its usual columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.settings.types import TextList, parse_element

if TYPE_CHECKING:
    from appliance.flows import RawElement


@dataclass(frozen=True, slots=True)
class RawElementList:
    """Elements that are kept with their octets as received."""

    expected: str = 'a list of elements such as ["95", "9:12235", "0:95:1"]'

    def parse(self, raw: object, folder: Path) -> tuple[RawElement, ...]:
        """Return the elements in the order of the file, each once."""
        return tuple(dict.fromkeys(map(_raw_element, TextList().parse(raw, folder))))


@dataclass(frozen=True, slots=True)
class HeaderColumnList:
    """Columns of message headers that decoders fill."""

    @property
    def expected(self) -> str:
        """What is allowed."""
        from appliance.flows import HEADER_COLUMNS

        return f"some of {', '.join(HEADER_COLUMNS)}"

    def parse(self, raw: object, folder: Path) -> tuple[str, ...]:
        """Return the columns in the order of the file, each once."""
        # Reading settings loads no numpy.
        from appliance.flows import HEADER_COLUMNS

        names = tuple(dict.fromkeys(TextList().parse(raw, folder)))
        if not set(names) <= set(HEADER_COLUMNS):
            raise ValueError(raw)
        return names


def raw_element_text(element: RawElement) -> str:
    """Write an element as the file of settings has it."""
    return ":".join(map(str, element))


def _raw_element(text: str) -> RawElement:
    numbers = text.split(":")
    if len(numbers) < 3:
        return parse_element(text)
    element, (repeat,) = parse_element(":".join(numbers[:2])), numbers[2:]
    if not repeat.isdecimal() or not repeat.isascii():
        raise ValueError(text)
    return (*element, int(repeat)) if int(repeat) else element
