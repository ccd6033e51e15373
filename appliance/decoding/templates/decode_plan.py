"""A template compiled into a plan, made once for a layout, and what records of it answer.

Both kinds of `Records` (`records/fixed_records.py`, `records/scalar_records.py`) answer the same
questions about a field: as number, as address halves, as raw octets, as floating point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.templates.template import FieldSpecifier, Template, unknown_elements

Unsigned = NDArray[Any]
T = TypeVar("T")

_CACHED_FIELDS = 128
"""Larger layouts are compiled anew for each block: what is remembered stays small."""

NATIVE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""The dtype that holds a number of so many octets."""


class Records(Protocol):
    """Data Records of one layout; `field` is the index of a field specifier."""

    @property
    def n_records(self) -> int:
        """Number of Data Records."""
        ...

    def unsigned(self, field: int) -> Unsigned:
        """Return the field as uint8, 16, 32 or 64; of more than eight octets the last eight."""
        ...

    def halves(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the high and the low 64 bits of a field of up to 16 octets."""
        ...

    def octets(self, field: int) -> NDArray[Any]:
        """Return the octets: dtype `V<n>`, or object holding `bytes` where lengths differ."""
        ...

    def floating(self, field: int) -> NDArray[np.float64]:
        """Return an IEEE 754 number of four or eight octets; NaN for other lengths."""
        ...

    def record(self, index: int) -> list[bytes]:
        """Return copies of all fields of one record."""
        ...


@dataclass(frozen=True)
class DecodePlan:
    """The layout of a template, without its identifier, so that equal layouts share one plan.

    Attributes
    ----------
    version
        5, 9 or 10: which numbering the elements of vendors follow.
    minimum_length
        Octets of the shortest record; what is left of a Set below that is padding.
    """

    version: int
    fields: tuple[FieldSpecifier, ...]
    scope_count: int
    options: bool

    @cached_property
    def template(self) -> Template:
        """The layout as a template with identifier 0."""
        return Template(0, self.fields, self.scope_count, self.options)

    @cached_property
    def minimum_length(self) -> int:
        """Octets of the shortest possible record, never 0."""
        return self.template.minimum_length

    @cached_property
    def is_variable(self) -> bool:
        """Whether records have no common length."""
        return self.template.is_variable

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Offset of each field in a record of fixed length, octets."""
        ends = np.cumsum([0, *(f.length for f in self.fields)])
        return tuple(int(end) for end in ends[:-1])

    def index(self, element: int, enterprise: int = 0) -> int | None:
        """Return the first field of an element that has octets, None when there is none."""
        return self.first_index.get((enterprise, element))

    @cached_property
    def first_index(self) -> dict[tuple[int, int], int]:
        """(enterprise, element) to its first field with octets: the outer one of duplicates."""
        found: dict[tuple[int, int], int] = {}
        for index, field in enumerate(self.fields):
            if field.length:
                found.setdefault((field.enterprise, field.element), index)
        return found

    @cached_property
    def elements(self) -> frozenset[int]:
        """IANA's elements that `index` finds."""
        return frozenset(element for enterprise, element in self.first_index if not enterprise)

    @cached_property
    def unknown_elements(self) -> tuple[tuple[int, int], ...]:
        """Enterprise and number of the elements that no registry names."""
        return unknown_elements(self.fields)

    def with_index(self, first_index: dict[tuple[int, int], int]) -> DecodePlan:
        """Return the same layout, in which elements are found at other fields."""
        plan = DecodePlan(self.version, self.fields, self.scope_count, self.options)
        plan.__dict__["first_index"] = first_index  # where cached_property keeps it
        return plan

    @cached_property
    def filled(self) -> tuple[FieldSpecifier, ...]:
        """The fields that can have octets."""
        return tuple(field for field in self.fields if field.length)

    @cached_property
    def slots(self) -> tuple[int | None, ...]:
        """Each field's index in `filled`."""
        numbers = itertools.count()
        return tuple(next(numbers) if field.length else None for field in self.fields)

    @cached_property
    def _memory(self) -> dict[Callable[[DecodePlan], Any], Any]:
        return {}

    def recall(self, compute: Callable[[DecodePlan], T]) -> T:
        """Return what a function makes of this plan; it is called once and kept with the plan."""
        if compute not in self._memory:
            self._memory[compute] = compute(self)
        found: T = self._memory[compute]
        return found


def plan_of(
    version: int, fields: tuple[FieldSpecifier, ...], scope_count: int, options: bool
) -> DecodePlan:
    """Return the plan of a layout; equal layouts have equal plans, usual ones the very same."""
    if len(fields) > _CACHED_FIELDS:
        return DecodePlan(version, fields, scope_count, options)
    return _usual_plan(version, fields, scope_count, options)


def forget_plans() -> None:
    """Forget usual plans: what they recall of columns is of the plugins that there were."""
    _usual_plan.cache_clear()


@lru_cache(maxsize=1024)
def _usual_plan(
    version: int, fields: tuple[FieldSpecifier, ...], scope_count: int, options: bool
) -> DecodePlan:
    return DecodePlan(version, fields, scope_count, options)
