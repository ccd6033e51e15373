"""An engine in its guards: the program, and what reads its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from appliance.contracts import Daemon, Engine, FlowFeed
from appliance.guard.failures import PluginFailures
from appliance.guard.guards import Contract, Guard, guard_object
from appliance.guard.methods import DAEMON, FEED


class GuardedEngine:
    """Stands for a plugin's engine.

    Attributes
    ----------
    name
        As the engine said at start.
    """

    def __init__(self, plugin: str, engine: Engine, failures: PluginFailures) -> None:
        self.name = engine.name
        self._plugin, self._engine, self._failures = plugin, engine, failures

    def feed(self) -> FlowFeed:
        """Return what reads the tables that the program fills.

        Raises
        ------
        PluginError
            The engine failed, or returned something else; already counted.
        ApplianceError
            As the engine says.
        """
        return cast(FlowFeed, self._part("feed", self._engine.feed, FEED))

    def daemon(self) -> Daemon:
        """Return the program, not started.

        Raises
        ------
        PluginError, ApplianceError
            As `feed`.
        """
        return cast(Daemon, self._part("daemon", self._engine.daemon, DAEMON))

    def _part(self, part: str, make: Callable[[], object], contract: Contract) -> object:
        guard = Guard(self._plugin, part, self._failures)
        return guard_object(guard, guard.call(make, contract.check), contract)
