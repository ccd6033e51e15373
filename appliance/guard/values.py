"""Checks of single values: each returns the value, or raises TypeError with what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def of_type(value: object, expected: type[T]) -> T:
    """Return the value; it is of this type or of one below it."""
    if not isinstance(value, expected):
        raise TypeError(f"expected {expected.__name__}, found {type(value).__name__}")
    return value


def instance(expected: type[T]) -> Callable[[object], T]:
    """Return a check that a value is of a type."""
    return lambda value: of_type(value, expected)


def optional(check: Callable[[object], T]) -> Callable[[object], T | None]:
    """Return a check that lets None pass too."""
    return lambda value: None if value is None else check(value)


def list_of(expected: type[T]) -> Callable[[object], list[T]]:
    """Return a check that a value is a list of this type."""

    def check(value: object) -> list[T]:
        values = of_type(value, list)
        all_exactly(values, expected, "in a list, ")
        return values

    return check


def nothing(value: object) -> None:
    """Take whatever a method returns that is to return nothing."""


def number(value: object) -> float:
    """Return a number that is not a truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    return value


def whole(value: object) -> int:
    """Return an int; numpy's would not do in JSON."""
    if type(value) is not int:
        raise TypeError(f"expected int, found {type(value).__name__}")
    return value


def pair_of_ints(value: object) -> tuple[int, int]:
    """Return a tuple of two ints that are not negative."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"expected two ints, found {type(value).__name__}")
    first, second = map(whole, value)
    if first < 0 or second < 0:
        raise ValueError(f"expected two ints from 0, found {value}")
    return first, second


def all_exactly(values: Iterable[object], expected: type, where: str = "") -> None:
    """Check many values at once, without a Python loop: all are exactly of this type."""
    if wrong := set(map(type, values)) - {expected}:
        names = " and ".join(sorted(each.__name__ for each in wrong))
        raise TypeError(f"{where}expected {expected.__name__}, found {names}")


def mapping(value: object) -> Mapping[object, object]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a dictionary, found {type(value).__name__}")
    return value
