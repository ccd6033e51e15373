"""Functions that fail in every way, as a plugin's may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.guard import Guard, PluginFailures


class OwnError(BaseException):
    """What no `except Exception` catches."""


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


RAISERS = [
    raiser(error)
    for error in (
        ZeroDivisionError("x"),
        KeyError("x"),
        SystemExit(3),
        OwnError(),
        RecursionError(),
        MemoryError(),
        GeneratorExit(),
        StopIteration(),
    )
]


def returning(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def guard_of(part: str, failures: PluginFailures) -> Guard:
    return Guard("site", part, failures)
