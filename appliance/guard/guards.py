"""The one broad catch around plugins, and the objects that stand in a plugin's place."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from appliance.errors import ApplianceError
from appliance.guard.failures import PluginFailures

T = TypeVar("T")

Check = Callable[[object], Any]
"""Returns the value that it was given, or raises TypeError or ValueError."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Calls one part of one plugin.

    Attributes
    ----------
    part
        A fixed word for logs and counters: `decoder`, `store`, ...
    """

    plugin: str
    part: str
    failures: PluginFailures

    def call(
        self,
        function: Callable[[], object],
        check: Callable[[object], T],
        passes: tuple[type[BaseException], ...] = (),
    ) -> T:
        """Call a function and return what it returned, checked.

        Parameters
        ----------
        passes
            What the function may raise beside an ApplianceError.

        Raises
        ------
        PluginError
            It raised anything else, or the check did.
        """
        expected: tuple[type[BaseException], ...] = (ApplianceError, KeyboardInterrupt, *passes)
        try:
            return check(function())
        except expected:
            raise
        # The guard around a plugin. SystemExit too: a plugin does not end the process.
        except BaseException as error:
            raise self.failures.add(self.plugin, self.part, error) from error


@dataclass(frozen=True, slots=True)
class Contract:
    """What an object of a plugin must have.

    Attributes
    ----------
    methods
        By name: the check of what each returns.
    iterators
        The same of methods that return an iterator: the check of each value.
    attributes
        The check of each attribute.
    passes
        What methods may raise beside an ApplianceError.
    optional
        As `methods`, of those that an object may lack.
    """

    methods: Mapping[str, Check]
    iterators: Mapping[str, Check] = field(default_factory=dict)
    attributes: Mapping[str, Check] = field(default_factory=dict)
    passes: Mapping[str, type[Exception]] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)

    def check(self, value: object) -> object:
        """Return the object.

        Raises
        ------
        TypeError
            It lacks a method, or an attribute is something else.
        """
        for name in (*self.methods, *self.iterators):
            if not callable(getattr(value, name, None)):
                raise TypeError(f"{type(value).__name__} has no method {name}")
        for name, check in self.attributes.items():
            if not hasattr(value, name):
                raise TypeError(f"{type(value).__name__} has no attribute {name}")
            check(getattr(value, name))
        return value


class GuardedObject:
    """Stands for an object of a plugin: each call goes through the guard.

    Parameters
    ----------
    make
        Returns the object; called with the first use, and again while it fails.
    """

    def __init__(self, guard: Guard, make: Callable[[], object], contract: Contract) -> None:
        self._guard, self._make, self._contract = guard, make, contract
        self._made: object = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        contract, guard = self._contract, self._guard
        with self._lock:
            if self._made is None:
                self._made = guard.call(self._make, contract.check)
        if name in contract.iterators:
            return functools.partial(self._iterate, name)
        if name in contract.methods or (name in contract.optional and hasattr(self._made, name)):
            return functools.partial(self._call, name)
        if name in contract.attributes:
            return guard.call(lambda: getattr(self._made, name), contract.attributes[name])
        # Not of the contract, so only its own plugin and tests know of it.
        return getattr(self._made, name)

    def _call(self, name: str, /, *args: Any, **named: Any) -> Any:
        passes = self._contract.passes.get(name)
        return self._guard.call(
            lambda: getattr(self._made, name)(*args, **named),
            self._contract.methods.get(name) or self._contract.optional[name],
            (passes,) if passes is not None else (),
        )

    def _iterate(self, name: str, /, *args: Any, **named: Any) -> Iterator[Any]:
        check, end = self._contract.iterators[name], object()
        iterator = self._guard.call(
            lambda: iter(getattr(self._made, name)(*args, **named)), lambda value: value
        )
        step = cast(Iterator[object], iterator)
        while True:
            value = self._guard.call(
                lambda: next(step, end), lambda value: value if value is end else check(value)
            )
            if value is end:
                return
            yield value


def guard_object(guard: Guard, value: T, contract: Contract) -> T:
    """Return what stands for an object that is there already, with the object's type."""
    return cast(T, GuardedObject(guard, lambda: value, contract))
