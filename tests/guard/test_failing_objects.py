"""Loaders, stores and other objects of plugins that fail in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.contracts import LoadReport
from appliance.flowlog import Cursor
from appliance.guard import (
    PluginError,
    PluginFailures,
    guarded,
)
from appliance.guard.methods import (
    ACCOUNTS,
    BACKUP,
    DAEMON,
    FEED,
    LOADER,
    METRICS,
    OVERRIDES,
    STORE,
)
from appliance.processes.loader import StoreFiller
from tests.guard.failing import RAISERS, guard_of, returning


class Loader:
    """A loader that works, but for one method."""

    name = "a loader"

    def load_once(self, now: float) -> LoadReport:
        return LoadReport(rows=1)

    def finish(self, now: float) -> list[str]:
        return []

    def cursor(self) -> tuple[int, int] | None:
        return 4, 5

    def expire(self, now: float) -> int:
        return 0


BAD_CURSORS = [(1,), ("a", "b"), (-1, 0), 7, [1, 2]]
BAD_REPORTS = [None, 42, LoadReport(rows="x"), LoadReport(warnings=[5])]  # type: ignore[arg-type,list-item]


@pytest.mark.parametrize(
    ("method", "function"),
    [
        *((m, r) for m in ("load_once", "cursor", "expire") for r in RAISERS),
        *(("load_once", returning(value)) for value in BAD_REPORTS),
        *(("cursor", returning(value)) for value in BAD_CURSORS),
        ("expire", returning(None)),
    ],
)
def test_loader_when_a_method_fails_then_it_is_tried_again_after_a_pause(
    method: str, function: Callable[..., Any]
) -> None:
    loader, failures = Loader(), PluginFailures()
    setattr(loader, method, function)
    filler = StoreFiller(guarded(guard_of("loader", failures), loader, LOADER))
    assert not filler.fill(1.0, 0.0)
    assert filler.cursor() == Cursor(0, 0)
    assert not filler.fill(1.0, 0.5)
    assert failures.report()["site"]["loader"]["count"] == 1
    delattr(loader, method)
    filler.fill(1.0, 1000.0)
    assert filler.cursor() == Cursor(4, 5)


CONTRACTS = {
    "store": STORE,
    "loader": LOADER,
    "feed": FEED,
    "accounts": ACCOUNTS,
    "backup": BACKUP,
    "metrics": METRICS,
    "overrides": OVERRIDES,
    "daemon": DAEMON,
}
METHODS = [(part, name) for part, contract in CONTRACTS.items() for name in (contract.methods)]


class Anything:
    """Has every method and attribute, and does one thing in each."""

    name = source = "anything"

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return self._function


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_raises_then_a_plugin_error_that_names_it(
    part: str, method: str
) -> None:
    failures = PluginFailures()
    passes = CONTRACTS[part].passes.get(method)
    for function in RAISERS:
        value = guarded(guard_of(part, failures), Anything(function), CONTRACTS[part])
        with pytest.raises((PluginError, *([passes] if passes else []))):
            getattr(value, method)()
    expected = len(RAISERS) - (passes is KeyError)
    assert failures.report()["site"][part]["count"] == expected


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_returns_something_else_then_a_plugin_error(
    part: str, method: str
) -> None:
    value = guarded(
        guard_of(part, PluginFailures()), Anything(returning(object())), CONTRACTS[part]
    )
    check = CONTRACTS[part].methods[method]
    if check.__name__ == "nothing":
        assert getattr(value, method)() is None
        return
    with pytest.raises(PluginError, match=f"plugin site: {part}: "):
        getattr(value, method)()


@pytest.mark.parametrize("part", CONTRACTS)
def test_object_when_it_lacks_a_method_then_a_plugin_error_that_says_which(part: str) -> None:
    first = next(iter(CONTRACTS[part].methods))
    value: Any = guarded(guard_of(part, PluginFailures()), object(), CONTRACTS[part])
    with pytest.raises(PluginError, match=f"object has no method {first}"):
        getattr(value, first)()


def test_feed_when_its_iterator_fails_in_the_middle_then_what_came_before_stays() -> None:
    def bins(*_: object) -> Iterator[Any]:
        yield 42

    failures = PluginFailures()
    for function in (bins, returning(42), returning(None), *RAISERS):
        value: Any = guarded(guard_of("feed", failures), Anything(function), FEED)
        with pytest.raises(PluginError):
            list(value.bins("", 0.0))
    assert failures.total == 3 + len(RAISERS)
