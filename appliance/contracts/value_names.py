"""Names for the numbers in columns of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValueNames:
    """What the numbers in some columns are called.

    Attributes
    ----------
    columns
        Columns of the flow log, or of answers about either side such as `bgp_as_number`.
    names
        Returns the names by number as they are known now, quickly: it is called for each answer.
    """

    columns: tuple[str, ...]
    names: Callable[[], Mapping[int, str]]
