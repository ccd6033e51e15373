"""Counts how often each plugin failed in this process, and writes one log line a minute of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from appliance.errors import StorageError
from appliance.ratelimit import RateLimited

log = logging.getLogger(__name__)


class PluginError(StorageError):
    """A plugin raised what it must not, or returned something else than it should.

    A StorageError, so that who waits for a database that is away waits for a plugin likewise.

    Attributes
    ----------
    plugin, part
        Whose, and what of it: `decoder`, `store`, ...
    """

    def __init__(self, plugin: str, part: str, problem: str) -> None:
        self.plugin, self.part, self.problem = plugin, part, problem
        super().__init__(f"plugin {plugin}: {part}: {problem}")


class PluginFailures:
    """What failed since this process started; used by several threads at once."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock, self._log = clock, threading.Lock(), RateLimited(log)
        self._parts: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, plugin: str, part: str, error: BaseException) -> PluginError:
        """Count a failure, log it, and return the error that says so."""
        failure = PluginError(plugin, part, _problem(error))
        with self._lock:
            count, _ = self._parts.get((plugin, part), (0, 0))
            self._parts[plugin, part] = count + 1, int(self._clock() * 1000)
            # What tells lines apart is the first fact; the problem may vary with each datagram.
            self._log.exception("plugin %s failed: %s", f"{plugin}: {part}", failure.problem)
        return failure

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(count for count, _ in self._parts.values())

    def report(self) -> dict[str, Any]:
        """Return by plugin and part what JSON knows: `count`, and `last_ms` (UTC)."""
        report: dict[str, Any] = {}
        with self._lock:
            for (plugin, part), (count, last_ms) in self._parts.items():
                report.setdefault(plugin, {})[part] = {"count": count, "last_ms": last_ms}
        return report


def _problem(error: BaseException) -> str:
    try:
        text = str(error)
    # Its own `__str__` may fail as well.
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
